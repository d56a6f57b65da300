"""Who serves a state directory: `engine.lock` has the pid of the engine, which keeps it locked for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from spawn.config import LOCK_NAME, SOCKET_NAME

_ENGINE: Final = b"spawn.bootstrap"
_LEAVING_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.02


def holder(state_dir: Path) -> int | None:
    """The pid of the engine that lives, whether or not it answers; None when none does."""
    try:
        lock = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        written = os.read(lock, 32).strip()
        pid = int(written) if written.isdigit() else None
        # a lock whose pid is dead is not tried: an engine that is just starting may want it, and would find it taken
        return pid if pid is not None and is_engine(pid) and _is_locked(lock) else None
    finally:
        os.close(lock)


def is_engine(pid: int) -> bool:
    """Whether that process is an engine, of whichever state directory."""
    try:
        return _ENGINE in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_paused(pid: int) -> bool:
    """Whether that process is stopped by a signal or a debugger, so that it can do nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] in ("T", "t")
    except OSError:
        return False


def _is_locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False  # closing the descriptor, which comes next, lets go of it again


def left_on_purpose(state_dir: Path) -> bool:
    """Whether the engine took its socket away, as it does when it was stopped and not when it crashed. One that still lives gets 2 s to do so."""
    end = time.monotonic() + _LEAVING_S
    first = holder(state_dir)
    while True:
        now = holder(state_dir)  # before the socket is looked at: a dead engine does nothing to it any more
        if not os.path.lexists(state_dir / SOCKET_NAME):
            return True
        if now is None or now != first or time.monotonic() > end:
            return False
        time.sleep(_LOOK_EVERY_S)


def way_out(state_dir: Path) -> str:
    """What to do about an engine that does not answer: its pid, and what helps."""
    pid = holder(state_dir)
    if pid is None:
        return "see `spawn engine logs`"
    if is_paused(pid):
        return f"its process, {pid}, is paused: `kill -CONT {pid}` lets it go on"
    return f"its process is {pid}: see `spawn engine logs`; `kill -9 {pid}` ends it, what runs goes on, and the next command starts another"
