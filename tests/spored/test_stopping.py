"""Ending attempts: everything they started ends with them, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.spored.driver import Runner, alive

DAEMON = "(setsid sh -c 'echo $$ > \"$0\"; exec sleep 300' {file} >/dev/null 2>&1 &)"
"""Detached in every way that keeps its environment: of another session, its parent gone."""
NAMELESS = "(env -i /bin/sh -c 'echo $$ > \"$0\"; exec setsid /bin/sleep 300' {file} &)"
"""Of another session, its parent gone, and without the marks in its environment; only its output still goes to the log."""
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.2; done"


def pid_in(runner: Runner, file: Path) -> int:
    """The pid that a process has written to a file."""
    return int(runner.wait(lambda: file.exists() and file.read_text().strip(), f"a pid in {file}"))


def stop(runner: Runner, attempt: str, grace: float = 5, why: str = "stopped") -> None:
    runner.send({"op": "stop", "attempts": [attempt], "why": why, "grace_s": grace})


def test_a_stop_is_a_sigterm_that_scripts_may_answer(runner: Runner) -> None:
    attempt = runner.sh("trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    runner.wait(lambda: "ready" in runner.output(attempt))
    stop(runner, attempt)
    ended = runner.ended(attempt)
    assert (ended["code"], ended["why"]) == (7, "stopped")
    assert runner.output(attempt).endswith("cleaned\n")


def test_who_does_not_listen_is_killed_after_the_grace(runner: Runner) -> None:
    attempt = runner.sh(STUBBORN)
    runner.wait(lambda: "ready" in runner.output(attempt))
    began = time.monotonic()
    stop(runner, attempt, grace=0.5)
    ended = runner.ended(attempt)
    assert ended["signal"] == signal.SIGKILL
    assert 0.4 < time.monotonic() - began < 5


def test_a_second_stop_may_shorten_the_grace(runner: Runner) -> None:
    attempt = runner.sh(STUBBORN)
    runner.wait(lambda: "ready" in runner.output(attempt))
    stop(runner, attempt, grace=300)
    stop(runner, attempt, grace=0, why="ttl")
    assert runner.ended(attempt)["why"] == "stopped"


def test_a_suspended_process_is_stopped_too(runner: Runner) -> None:
    attempt = runner.sh("trap 'exit 4' TERM; echo ready; kill -STOP $$; while :; do sleep 0.05; done")
    runner.wait(lambda: "ready" in runner.output(attempt))
    stop(runner, attempt)
    assert runner.ended(attempt)["code"] == 4


def test_a_stop_reaches_all_descendants_however_they_detached(runner: Runner, place: Path) -> None:
    files = [place / name for name in ("daemon", "nameless", "child")]
    script = f"{DAEMON.format(file=files[0])}; {NAMELESS.format(file=files[1])}; sh -c 'echo $$ > {files[2]}; exec sleep 300' & wait"
    attempt = runner.sh(script)
    pids = [pid_in(runner, file) for file in files]
    stop(runner, attempt)
    runner.ended(attempt)
    assert not [pid for pid in pids if alive(pid)]


def test_what_an_attempt_leaves_behind_ends_before_its_end_is_told(runner: Runner, place: Path) -> None:
    files = [place / name for name in ("daemon", "nameless")]
    wait = "; ".join(f"until [ -s {file} ]; do sleep 0.01; done" for file in files)
    attempt = runner.sh(f"{DAEMON.format(file=files[0])}; {NAMELESS.format(file=files[1])}; {wait}; exit 5")
    ended = runner.ended(attempt)
    assert (ended["code"], ended["why"]) == (5, None)
    assert not [file for file in files if alive(int(file.read_text()))]


def test_stubborn_leftovers_are_killed(runner: Runner, place: Path) -> None:
    file = place / "pid"
    attempt = runner.sh(f"(trap '' TERM; echo $$ > {file}; while :; do sleep 0.2; done) & until [ -s {file} ]; do sleep 0.01; done; exit 0")
    assert runner.ended(attempt)["code"] == 0


def test_leftovers_of_one_attempt_do_not_cost_another_its_processes(runner: Runner, place: Path) -> None:
    mine, other = place / "mine", place / "other"
    lives = runner.sh(f"{DAEMON.format(file=mine)}; while :; do sleep 0.2; done", directory=str(runner.files / "lives"))
    kept = pid_in(runner, mine)
    dies = runner.sh(f"{DAEMON.format(file=other)}; until [ -s {other} ]; do sleep 0.01; done", directory=str(runner.files / "dies"))
    runner.ended(dies)
    assert not alive(int(other.read_text()))
    assert alive(kept)
    stop(runner, lives)
    runner.ended(lives)
    # its end is told when its leader is gone; what it left dies of the same signal, a moment earlier or later
    runner.wait(lambda: not alive(kept), "the end of what it left")


def test_a_process_that_belongs_to_no_attempt_any_more_is_swept_up(runner: Runner, place: Path) -> None:
    file = place / "pid"
    other = runner.sh("sleep 300", directory=str(runner.files / "other"))
    runner.event(other, "started")
    # No marks, no session, no log: nothing tells whose it is while another attempt runs that began before it.
    hidden = f"(env -i /bin/sh -c 'echo $$ > \"$0\"; exec setsid /bin/sleep 300' {file} >/dev/null 2>&1 &)"
    runner.ended(runner.sh(f"{hidden}; until [ -s {file} ]; do sleep 0.01; done", directory=str(runner.files / "hidden")))
    stop(runner, other)
    runner.ended(other)
    runner.wait(lambda: not alive(int(file.read_text())), "the end of the stray")


def test_a_detached_program_is_left_alone(runner: Runner, place: Path) -> None:
    file = place / "pid"
    daemon = f"(SPAWN_DETACHED=1 setsid sh -c 'echo $$ > {file}; exec sleep 300' >/dev/null 2>&1 &)"
    runner.ended(runner.sh(f"{daemon}; until [ -s {file} ]; do sleep 0.01; done"))
    runner.ended(runner.sh("sleep 0.1", directory=str(runner.files / "b")))
    pid = int(file.read_text())
    try:
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_timeout_and_ttl_end_an_attempt(runner: Runner) -> None:
    late = runner.sh("sleep 300", timeout_s=0.2, ttl_s=60, directory=str(runner.files / "late"))
    old = runner.sh(STUBBORN, ttl_s=0.2, grace_s=0.2, directory=str(runner.files / "old"))
    ended = runner.ended(late)
    assert (ended["why"], ended["signal"]) == ("timeout", signal.SIGTERM)
    ended = runner.ended(old)
    assert (ended["why"], ended["signal"]) == ("ttl", signal.SIGKILL)
    assert runner.ended(runner.sh("true", timeout_s=5, ttl_s=5, directory=str(runner.files / "quick")))["why"] is None


def test_a_deadline_can_be_moved_both_ways_and_before_the_start(runner: Runner) -> None:
    runner.hello(cpus=1000)
    key = runner.array(size=2, argv=["/bin/sh", "-c", "sleep 0.6"], ttl_s=0.3)
    first, second = runner.begin(key, 0, 1)
    runner.event(first, "started")
    runner.send({"op": "deadline", "attempts": [first], "at": time.time() + 100})
    runner.send({"op": "deadline", "attempts": [second], "at": time.time() + 101})
    assert runner.ended(first)["why"] is None
    assert runner.ended(second)["why"] is None
    third = runner.one(argv=["/bin/sleep", "300"], ttl_s=300)
    runner.event(third, "started")
    runner.send({"op": "deadline", "attempts": [third], "at": time.time() - 5})
    assert runner.ended(third)["why"] == "ttl"


def test_a_kept_instance_lives_until_its_release(runner: Runner, place: Path) -> None:
    file = place / "pid"
    attempt = runner.sh(f"{DAEMON.format(file=file)}; until [ -s {file} ]; do sleep 0.01; done", keep=True)
    assert runner.ended(attempt)["code"] == 0
    pid = int(file.read_text())
    assert alive(pid)
    for _ in range(2):
        runner.send({"op": "release", "key": attempt[:10], "directory": str(runner.files / "a"), "attempts": [[attempt, 0]], "keep_files": False})
        runner.wait(lambda: not alive(pid), "the end of the leftover")


def test_a_kept_instance_ends_at_its_deadline_without_an_engine(runner: Runner, place: Path) -> None:
    file = place / "pid"
    attempt = runner.sh(f"{DAEMON.format(file=file)}; until [ -s {file} ]; do sleep 0.01; done", keep=True, ttl_s=300)
    runner.ended(attempt)
    runner.send({"op": "deadline", "attempts": [attempt], "at": time.time()})
    runner.wait(lambda: not alive(int(file.read_text())), "the end of the leftover")
    assert runner.ended(attempt)["why"] is None


def test_a_release_ends_an_attempt_that_still_runs(runner: Runner) -> None:
    attempt = runner.sh("sleep 300", keep=True)
    runner.event(attempt, "started")
    runner.send({"op": "release", "key": attempt[:10], "directory": str(runner.files / "a"), "attempts": [[attempt, 0]], "keep_files": False})
    assert runner.ended(attempt)["why"] == "stopped"


def test_many_attempts_are_stopped_together(runner: Runner) -> None:
    runner.hello(cpus=100_000)
    key = runner.array(size=60, argv=["/bin/sh", "-c", STUBBORN])
    attempts = runner.begin(key, *range(60))
    for attempt in attempts:
        runner.wait(lambda attempt=attempt: runner.of(attempt).get("started") and "ready" in runner.output(attempt))
    runner.send({"op": "stop", "attempts": attempts, "why": "stopped", "grace_s": 0.3})
    assert all(runner.ended(attempt)["why"] == "stopped" for attempt in attempts)


def test_shutdown_stops_everything_and_says_so(runner: Runner) -> None:
    key = runner.array(size=4, argv=["/bin/sleep", "300"])
    attempts = runner.begin(key, 0, 1, 2, 3)
    runner.event(attempts[1], "started")
    runner.send({"op": "shutdown", "grace_s": 5})
    assert runner.process is not None
    assert runner.process.wait(20) == 0
    assert [runner.of(attempt)["ended"]["why"] for attempt in attempts[:2]] == ["stopped", "stopped"]
    assert all("dropped" in runner.of(attempt) for attempt in attempts[2:])
    assert not (runner.directory / "runner.sock").exists()


def test_sigterm_is_a_shutdown_and_sigint_and_sighup_are_nothing(runner: Runner) -> None:
    attempt = runner.sh("sleep 300")
    runner.event(attempt, "started")
    assert runner.process is not None
    runner.process.send_signal(signal.SIGINT)
    runner.process.send_signal(signal.SIGHUP)
    assert runner.ask({"op": "status", "a": attempt})["op"] == "status"
    runner.process.send_signal(signal.SIGTERM)
    assert runner.process.wait(20) == 0
    assert runner.of(attempt)["ended"]["why"] == "stopped"


def test_a_runner_with_nothing_to_do_and_no_engine_ends(make_runner: Callable[..., Runner]) -> None:
    runner = make_runner()
    runner.idle_exit = 0.2
    runner.start()
    runner.ended(runner.sh("sleep 0.5"))
    assert runner.process is not None
    assert runner.socket is not None
    assert runner.process.poll() is None
    runner.socket.close()
    runner.socket = None
    assert runner.process.wait(20) == 0
