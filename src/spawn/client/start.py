"""Find the engine of a state directory, or start it in the background."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from spawn.client.client import SHORT_PATIENCE_S, Client
from spawn.client.wire import NotListening, connect
from spawn.config import LOG_NAME, SOCKET_NAME, state_directory
from spawn.domain.errors import ERRORS_BY_CODE, ConfigurationError, SpawnError, Unavailable

_START_PATIENCE_S: Final = 60.0
_SLOW_S: Final = 3.0
_LOG_TAIL: Final = 4096


class _Failure(msgspec.Struct):
    code: str
    message: str


class _Ready(msgspec.Struct):
    ready: bool = False
    error: _Failure | None = None


def ensure_engine(
    state_dir: Path | None = None,
    on_slow: Callable[[], None] | None = None,
    *,
    terminating: bool = False,
    on_trouble: Callable[[str], None] | None = None,
) -> Client:
    """A client of the engine that serves `state_dir` (default: this user's). Starts the engine when none answers; two at once end with one engine.

    `on_slow` is called when the start or an answer takes longer than 3 s. `terminating`: one that is started begins nothing, and terminates all.
    """
    directory = state_dir or state_directory()
    if not is_up(directory):
        start_engine(directory, on_slow, terminating=terminating)
    return Client(directory, restart=lambda: start_engine(directory, on_slow), on_slow=on_slow, on_trouble=on_trouble)


def running_engine(state_dir: Path | None = None, on_slow: Callable[[], None] | None = None) -> Client:
    """A client of the engine that already serves `state_dir`, and that waits 5 s at most; NotListening when there is none. Starts nothing."""
    directory = state_dir or state_directory()
    connect(directory / SOCKET_NAME, SHORT_PATIENCE_S).close()
    return Client(directory, patience_s=SHORT_PATIENCE_S, on_slow=on_slow)


def is_up(state_dir: Path) -> bool:
    """Whether somebody answers at the socket."""
    try:
        connect(state_dir / SOCKET_NAME, SHORT_PATIENCE_S).close()
    except NotListening as error:
        if isinstance(error.__cause__, PermissionError):
            raise ConfigurationError(f"{state_dir / SOCKET_NAME} belongs to someone else: set SPAWN_STATE_DIR to a directory of your own") from error
        return False
    return True


def start_engine(state_dir: Path, on_slow: Callable[[], None] | None = None, *, terminating: bool = False) -> None:
    """Start an engine and return when it, or another one that was quicker, answers. Raises what it said was in the way."""
    import subprocess

    _refuse_in_sandbox()
    _make_private(state_dir)
    reader, writer = os.pipe()
    words = ["engine", "--state-dir", str(state_dir), "--ready-fd", str(writer), *(["--terminating"] if terminating else [])]
    try:
        # what the engine inherits is its own: not this terminal, nor a working directory that could then not be unmounted
        with open(state_dir / LOG_NAME, "ab", opener=_private) as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "spawn.bootstrap", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writer,),
                start_new_session=True,
                cwd=state_dir,
                env=_engine_environment(),
            )
    except OSError as error:
        os.close(reader)
        raise ConfigurationError(f"cannot start the engine in {state_dir}: {error.strerror or error}") from error
    finally:
        os.close(writer)
    try:
        line = _first_line(reader, on_slow)
    finally:
        os.close(reader)
    # it lives on; without this, Popen would warn about that when it is collected
    process.returncode = 0
    _raise_unless_ready(line, state_dir)


def _refuse_in_sandbox() -> None:
    """An engine started by a child with a /tmp of its own would live in that /tmp, and lose it with the child's instance."""
    runner = os.environ.get("SPAWN_RUNNER")
    if not runner or "SPAWN_ATTEMPT_ID" not in os.environ:
        return
    try:
        pid = int(Path(runner, "runner.lock").read_text())
        outside = os.readlink("/proc/self/ns/mnt") == os.readlink(f"/proc/{pid}/ns/mnt")
    except (OSError, ValueError):
        outside = False
    if not outside:
        raise Unavailable("no engine runs, and a child with a /tmp of its own cannot start one that lasts: `spawn engine start` outside, then try again")


def _engine_environment() -> dict[str, str]:
    """This environment; what is relative in PYTHONPATH made absolute, because the engine stands elsewhere.

    An engine that a child of an array happens to start is marked as not belonging to it, so that it does not end with that child.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("SPAWN_ATTEMPT_ID", "SPAWN_RUNNER")}
    environment["SPAWN_DETACHED"] = "1"
    if path := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in path.split(os.pathsep) if part)
    return environment


def _make_private(state_dir: Path) -> None:
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the state directory {state_dir}: {error.strerror or error}; set SPAWN_STATE_DIR to a directory of your own"
        ) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _first_line(reader: int, on_slow: Callable[[], None] | None) -> bytes:
    """What the engine says first, or nothing when it ended without a word."""
    import select
    import time

    line = b""
    end = time.monotonic() + _START_PATIENCE_S
    if on_slow is not None and not select.select([reader], [], [], _SLOW_S)[0]:
        on_slow()
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise Unavailable(f"the engine was not ready after {_START_PATIENCE_S:.0f} s; see `spawn engine logs`")
        piece = os.read(reader, 4096)
        if not piece:
            break
        line += piece
    return line


def _raise_unless_ready(line: bytes, state_dir: Path) -> None:
    try:
        said = msgspec.json.decode(line, type=_Ready) if line else _Ready()
    except msgspec.DecodeError:
        said = _Ready()
    if said.error is not None:
        raise ERRORS_BY_CODE.get(said.error.code, SpawnError)(said.error.message)
    if not said.ready:
        raise Unavailable(f"the engine ended before it was ready{_log_says(state_dir)}; see `spawn doctor` and `spawn engine logs`")


def _log_says(state_dir: Path) -> str:
    """Its last words: the last line of its log that is not empty."""
    try:
        with open(state_dir / LOG_NAME, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _LOG_TAIL))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return f" ({lines[-1]})" if lines else ""
