"""An engine that was stopped, crashed, lost its socket or hangs: told apart by its lock, and told to the user."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canned import array, attempt, engine, member
from fake_engine import FakeEngine
from running import Run

from spawn.client import lock
from spawn.client.client import Client
from spawn.client.wire import CutOff, NoAnswer, NotListening, Patience, request

HOLD = """
import fcntl, os, signal, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, f"{os.getpid()}\\n".encode())
print(flush=True)
signal.pause()
"""

Hold = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def hold(state_dir: Path) -> Iterator[Hold]:
    """A process that holds the lock as an engine does, and answers nothing."""
    processes = []

    def start(name: str = "spawn.bootstrap") -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(state_dir / "engine.lock"), name], stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def silent(state_dir: Path) -> Iterator[socket.socket]:
    """A socket where one may connect, and nobody answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state_dir / "engine.sock"))
        listener.listen()
        yield listener


def test_the_holder_of_the_lock_is_the_engine_that_lives(state_dir: Path, hold: Hold) -> None:
    assert lock.holder(state_dir) is None
    engine = hold()
    assert lock.holder(state_dir) == engine.pid
    engine.kill()
    engine.wait()
    assert lock.holder(state_dir) is None


def test_a_process_that_is_no_engine_holds_nothing_of_ours(state_dir: Path, hold: Hold) -> None:
    hold("something.else")
    assert lock.holder(state_dir) is None


def test_a_lock_whose_engine_is_dead_is_not_even_tried(state_dir: Path) -> None:
    (state_dir / "engine.lock").write_text(f"{os.getpid()}\n")
    with open(state_dir / "engine.lock", "rb") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert lock.holder(state_dir) is None


def cut_off(listener: socket.socket, then: Callable[[], None]) -> threading.Thread:
    """Take one request, do something, and hang up without an answer."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            then()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def never() -> None:
    raise AssertionError("brought back")


def test_an_engine_that_hangs_up_and_then_takes_its_socket_away_was_stopped(state_dir: Path, hold: Hold, silent: socket.socket) -> None:
    hold()
    client = Client(state_dir, restart=never)
    client._was_served = True
    later = threading.Timer(0.2, (state_dir / "engine.sock").unlink)
    cut_off(silent, later.start)
    with pytest.raises(NotListening, match="was stopped meanwhile; what runs goes on") as caught:
        client.array("x")
    assert caught.value.stopped


def test_an_engine_that_hangs_up_and_is_dead_has_crashed_although_its_socket_is_there(state_dir: Path, hold: Hold, silent: socket.socket) -> None:
    engine = hold()
    restarts: list[str] = []
    client = Client(state_dir, restart=lambda: restarts.append("again"))
    client._was_served = True

    def crash() -> None:
        silent.close()
        engine.kill()
        engine.wait()

    thread = cut_off(silent, crash)
    with pytest.raises(NotListening, match="Connection refused"):
        client.array("x")
    thread.join()
    assert restarts == ["again"] * 3


@pytest.mark.parametrize("verb", ["wait", "watch"])
def test_who_waits_does_not_bring_back_what_was_stopped(fake: FakeEngine, spawn: Run, hold: Hold, verb: str) -> None:
    hold()
    fake.arrays = [array()]

    def stop() -> None:
        # answers that are under way are cut off first, and the socket goes a little later
        threading.Timer(0.2, fake.close).start()
        raise ConnectionAbortedError

    fake.on_settled = stop
    result = spawn(verb, "last")
    id_ = "array-20260127-100000"
    assert result.code == 6
    assert result.err == f"error: the engine was stopped; what runs of {id_} goes on, and `spawn wait {id_}` starts the engine and waits on\n"
    assert [path.name for path in fake.state_dir.iterdir()] == ["engine.lock"]


def test_an_engine_without_its_socket_is_named_and_not_taken_for_none(state_dir: Path, spawn: Run, hold: Hold) -> None:
    engine = hold()
    status = spawn("engine", "status")
    assert status.code == 6
    assert f"the engine, process {engine.pid}, runs but does not answer at {state_dir / 'engine.sock'}" in status.err
    assert "`spawn engine stop`" in status.err
    assert any(line.startswith(f"fail\tengine\tprocess {engine.pid} runs but does not answer") for line in spawn("doctor").lines)
    assert spawn("engine", "stop", "--terminate", "--yes").code == 6
    assert spawn("engine", "stop", "--dry-run").code == 0
    assert engine.poll() is None


def test_an_engine_without_its_socket_is_stopped_with_a_signal(spawn: Run, hold: Hold) -> None:
    engine = hold()
    threading.Thread(target=engine.wait).start()
    result = spawn("engine", "stop")
    assert (result.code, result.out) == (0, "")
    assert result.err.endswith("sending it SIGTERM\nthe engine has stopped; what ran goes on\n")
    assert engine.wait() == -signal.SIGTERM
    assert "no engine runs" in spawn("engine", "stop").err


def test_a_paused_engine_is_told_with_what_lets_it_go_on(spawn: Run, hold: Hold) -> None:
    engine = hold()
    engine.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, engine.pid, os.WSTOPPED | os.WNOWAIT)
    result = spawn("engine", "stop")
    assert result.code == 6
    assert f"`kill -CONT {engine.pid}`" in result.err


def test_an_engine_that_hangs_is_named_with_the_way_out(state_dir: Path, hold: Hold, silent: socket.socket) -> None:
    engine = hold()
    client = Client(state_dir, restart=never, patience_s=0.1)
    with pytest.raises(NoAnswer, match=rf"did not answer within 0 s; its process is {engine.pid}: .*`kill -9 {engine.pid}` ends it"):
        client.array("x")
    with pytest.raises(NoAnswer, match="may or may not have happened; look with `spawn status`"):
        client.limit("x", 3)
    with pytest.raises(NoAnswer):
        client.engine()
    with pytest.raises(NoAnswer):
        client.stop_engine(terminate=False)


def test_an_engine_with_too_many_callers_is_waited_for_and_not_called_dead(state_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        listener.bind(str(state_dir / "engine.sock"))
        listener.listen(0)
        first.connect(str(state_dir / "engine.sock"))
        second.setblocking(False)
        with pytest.raises(NoAnswer, match="did not answer within"):
            Client(state_dir, restart=never, patience_s=0.1).array("x")


def test_slowness_is_told_once_and_an_answer_is_still_taken(state_dir: Path, silent: socket.socket) -> None:
    told: list[str] = []

    def answer() -> None:
        connection, _ = silent.accept()
        with connection:
            connection.recv(65536)
            while not told:
                threading.Event().wait(0.01)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    threading.Thread(target=answer).start()
    patience = Patience(longest_s=30, slow_s=0.05, on_slow=lambda: told.append("slow"))
    assert request(state_dir / "engine.sock", "GET", "/", None, patience).read() == b"{}"
    assert told == ["slow"]


def test_half_an_answer_from_an_engine_that_lives_is_asked_for_again_and_then_given_up(state_dir: Path, silent: socket.socket) -> None:
    cut_off(silent, lambda: None)
    with pytest.raises(CutOff):
        Client(state_dir).array("x")


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended, so that nobody waits for it."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_ec2_did_not_confirm_is_no_success(fake: FakeEngine, spawn: Run, gone: int) -> None:
    fake.about = engine(pid=gone, runner_pid=None, instances=8)
    asked = spawn("engine", "stop", "--terminate", "--dry-run").err
    assert asked == "would stop the engine and terminate 2 running and 3 queued children, and 8 instances on EC2\n"
    ids = [f"i-{number}" for number in range(6)]
    ends = [None, *(f"2026-01-27T1{number}:00:00Z" for number in range(5))]
    fake.ending = {"unended": [{"id": one, "ends_at": end} for one, end in zip(ids, ends, strict=True)], "launching": 2}
    result = spawn("engine", "stop", "--terminate", "--yes")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "error: the engine has stopped, but EC2 has not confirmed within 30 s that 8 instances end (i-0, i-1, i-2, i-3, i-4, …); "
        "2 of them may have been launched by a call that was not answered; 1 of them has no TTL and may run for ever; "
        "at 2026-01-27T14:00:00Z at the latest they have reached their TTL and end by themselves; "
        "`spawn engine start` asks EC2 again, `spawn cleanup` finds what is left\n"
    )


def test_an_engine_with_nothing_left_on_ec2_ends_with_success(fake: FakeEngine, spawn: Run, gone: int) -> None:
    fake.about = engine(pid=gone, runner_pid=None)
    result = spawn("engine", "stop", "--terminate", "--yes")
    assert (result.code, result.err) == (0, "the engine has stopped\n")


def test_an_engine_that_goes_away_before_it_has_said_that_all_has_ended_is_no_success(fake: FakeEngine, spawn: Run, gone: int) -> None:
    fake.about = engine(pid=gone, runner_pid=None)

    def hang_up() -> None:
        raise ConnectionAbortedError

    fake.on_stop = hang_up
    result = spawn("engine", "stop", "--terminate", "--yes")
    assert result.code == 6
    assert "ended before it could say that all has ended: `spawn engine stop --terminate` again" in result.err


def test_terminating_everything_without_an_engine_asks_before_it_starts_one(spawn: Run, state_dir: Path) -> None:
    assert "no engine runs" in spawn("engine", "stop", "--terminate", "--yes").err
    (state_dir / "store.db").touch()
    asked = spawn("engine", "stop", "--terminate", "--dry-run")
    assert (asked.code, asked.err) == (0, "would start an engine, for none runs, and with it terminate all that runs or waits\n")
    refused = spawn("engine", "stop", "--terminate")
    assert (refused.code, "add --yes" in refused.err) == (2, True)
    assert [path.name for path in state_dir.iterdir()] == ["store.db"]


@pytest.mark.parametrize("verb", [["status"], ["list"], ["status", "last", "-o", "json"], ["wait", "last"], ["logs"], ["collect", "last", "out"]])
def test_an_engine_that_can_record_nothing_says_so_with_whatever_it_is_asked(fake: FakeEngine, in_process: Run, verb: list[str]) -> None:
    fake.trouble = "the engine cannot record what happens: no space left in /srv/ä"
    fake.arrays = [array(size=1, indexes="0", status="SUCCEEDED", counts={"SUCCEEDED": 1})]
    fake.members = [member(0, status="SUCCEEDED")]
    fake.logs = {f"{fake.members[0]['id']}": b"a word\n"}
    fake.attempts = {fake.members[0]["id"]: [attempt(1)]}
    result = in_process(*verb)
    assert result.err.count(f"warning: {fake.trouble}\n") == 1
    assert "srv" not in result.out
