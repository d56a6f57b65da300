"""The client: framing, errors, versions, and an engine that is not there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from canned import array, engine, member
from fake_engine import FakeEngine, Reply, refuse
from running import Run

from spawn.client.client import Client
from spawn.client.start import ensure_engine, running_engine
from spawn.client.submission import Submission
from spawn.client.wire import CutOff, NotListening
from spawn.domain.errors import ConfigurationError, Conflict, NotFound, SpawnError, Unavailable


def serve(path: Path, *answers: bytes) -> threading.Thread:
    """Listen, and give each connection one of these answers as it is; then listen no more, as an engine that crashed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_socket_with_a_long_path_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    short = Path(f"/tmp/{tmp_path.name[:20]}-{threading.get_native_id()}")
    short.symlink_to(deep)
    try:
        fake = FakeEngine(short)
        assert running_engine(deep).engine().pid == engine()["pid"]
        fake.close()
    finally:
        short.unlink()


def test_an_error_comes_back_as_what_it_was(fake: FakeEngine) -> None:
    with pytest.raises(NotFound, match="nothing is called 'nope'"):
        Client(fake.state_dir).array("nope")


def test_an_error_that_is_no_json_is_shown(fake: FakeEngine) -> None:
    fake.launch_answer = Reply(502, b"<h1>Bad</h1>")
    with pytest.raises(SpawnError, match="HTTP 502: <h1>Bad</h1>"):
        Client(fake.state_dir).submit(Submission())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_half_an_answer_is_none(state_dir: Path, answer: bytes) -> None:
    server = serve(state_dir / "engine.sock", answer)
    with pytest.raises(CutOff, match="went away while it answered"):
        Client(state_dir).array("x")
    server.join()


def test_half_a_stream_is_not_taken_for_all_of_it(state_dir: Path) -> None:
    server = serve(state_dir / "engine.sock", b'HTTP/1.1 200 OK\r\n\r\n{"schema_version": 1,')
    with pytest.raises(CutOff):
        list(Client(state_dir).members())
    server.join()


def test_what_was_asked_and_not_answered_is_called_unclear(state_dir: Path) -> None:
    server = serve(state_dir / "engine.sock", b"")
    with pytest.raises(CutOff, match="may or may not have happened; look with `spawn status`"):
        Client(state_dir).limit("x", 3)
    server.join()


def crash_once(state_dir: Path, answer: bytes) -> tuple[threading.Thread, Client, list[str]]:
    """An engine that crashes on the first request, and what brings it back."""
    crashed = serve(state_dir / "engine.sock", b"")
    restarts: list[str] = []

    def restart() -> None:
        crashed.join()
        restarts.append("again")
        (state_dir / "engine.sock").unlink()
        serve(state_dir / "engine.sock", answer)

    return crashed, Client(state_dir, restart=restart), restarts


def test_a_reading_call_brings_a_crashed_engine_back(state_dir: Path) -> None:
    body = b'{"reasons": []}'
    _, client, restarts = crash_once(state_dir, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert client.why("x") == []
    assert restarts == ["again"]


def test_an_engine_that_was_stopped_stays_stopped(state_dir: Path) -> None:
    body = b'{"reasons": []}'
    once = serve(state_dir / "engine.sock", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def never() -> None:
        raise AssertionError("brought back")

    client = Client(state_dir, restart=never)
    assert client.why("x") == []
    once.join()
    (state_dir / "engine.sock").unlink()
    with pytest.raises(NotListening, match="was stopped meanwhile; what runs goes on") as caught:
        client.why("x")
    assert caught.value.stopped


@pytest.mark.parametrize("change", [lambda a: a | {"schema_version": 2}, lambda a: {"entirely": "else"}])
def test_an_engine_of_another_version_is_named_with_the_way_out(fake: FakeEngine, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
    fake.about = {"version": "9.9", "schema_version": 2}
    fake.arrays = [array()]
    fake._find = lambda _ref: change(array())  # type: ignore[method-assign]
    with pytest.raises(Conflict, match=r"an engine of version 9\.9 runs, .*`spawn engine stop`"):
        Client(fake.state_dir).array("x")
    fake.members = [member(0) | {"schema_version": 2}]
    with pytest.raises(Conflict):
        list(Client(fake.state_dir).members())


@pytest.mark.parametrize("calls", [lambda client: client.array("x"), lambda client: client.log("x"), lambda client: list(client.members())])
def test_an_engine_that_does_not_know_a_call_is_named_with_the_way_out_when_it_is_of_another_version(
    fake: FakeEngine, calls: Callable[[Client], object]
) -> None:
    unknown = refuse(404, "not_found", "there is no call GET /v1/x")
    fake.answer = lambda _method, target, _body: fake.about if target == "/v1/engine" else unknown  # type: ignore[method-assign]
    with pytest.raises(NotFound, match="there is no call GET /v1/x"):
        calls(Client(fake.state_dir))
    fake.about = engine() | {"version": "0.1.0"}
    with pytest.raises(Conflict, match=r"an engine of version 0\.1\.0 runs, .*`spawn engine stop`"):
        calls(Client(fake.state_dir))


def test_a_state_directory_that_cannot_be_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="SPAWN_STATE_DIR"):
        ensure_engine(tmp_path / "file" / "state")


def test_no_engine_for_those_that_start_none(spawn: Run, state_dir: Path) -> None:
    result = spawn("engine", "status")
    assert (result.code, result.out) == (6, "")
    assert "`spawn engine start` starts one" in result.err
    assert spawn("engine", "stop").code == 0
    assert spawn("engine", "logs").code == 4
    assert list(state_dir.iterdir()) == []


def test_an_engine_that_dies_at_once_is_told_with_its_last_words(spawn: Run, state_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif '--ready-fd' in sys.orig_argv:\n    sys.stderr.write('out of luck\\n')\n    import os\n    os._exit(9)\n"
    )
    result = spawn("status", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[2] / 'src'}")
    assert result.code == 6
    assert result.err == "error: the engine ended before it was ready (out of luck); see `spawn doctor` and `spawn engine logs`\n"
    assert spawn("engine", "logs").out == "out of luck\n"
    assert (state_dir / "engine.log").stat().st_mode & 0o777 == 0o600


def test_an_engine_that_says_what_is_wrong_is_believed(spawn: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, os\nif '--ready-fd' in sys.orig_argv:\n"
        '    os.write(int(sys.orig_argv[-1]), b\'{"error": {"code": "configuration", "message": "the store is of version 9"}}\\n\')\n    os._exit(3)\n'
    )
    result = spawn("status", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[2] / 'src'}")
    assert (result.code, result.err) == (3, "error: the store is of version 9\n")


def test_unavailable_is_6(fake: FakeEngine, spawn: Run) -> None:
    assert issubclass(NotListening, Unavailable)
    fake.about = {"schema_version": 1}
    assert spawn("engine", "stop").code == 0
    assert not (fake.state_dir / "engine.sock").exists()
