"""The runner's directory: its lock, its log, its socket, and the `spored` command of its attempts."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import time

from spored.errors import CONFLICT, SporedError

_LOG_BYTES = 1 << 20


class Home:
    """The directory of one runner. `path` is canonical: it also marks the runner's processes."""

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        self.path = os.path.realpath(directory)
        for name in ("journal", "arrays", "bin"):
            os.makedirs(os.path.join(self.path, name), 0o700, exist_ok=True)
        self.journal = os.path.join(self.path, "journal")
        self.arrays = os.path.join(self.path, "arrays")
        self._lock = -1

    def lock(self) -> None:
        """Become the only runner of this directory, for as long as this process lives."""
        fd = os.open(os.path.join(self.path, "runner.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise SporedError(f"another runner (pid {holder}) works in {self.path}", CONFLICT) from None
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        self._lock = fd

    @property
    def is_mine(self) -> bool:
        """Whether the directory still is the one that was locked."""
        try:
            there, held = os.stat(os.path.join(self.path, "runner.lock")), os.fstat(self._lock)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def take_output(self) -> None:
        """Let go of the terminal or pipe of whoever started this, and write to runner.log from now on."""
        path = os.path.join(self.path, "runner.log")
        try:
            if os.path.getsize(path) > _LOG_BYTES:
                os.rename(path, path + ".1")
        except FileNotFoundError:
            pass
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.close(null)

    def write_command(self) -> None:
        """Put a `spored` into `bin`, which runs this very program with this very Python."""
        here = os.path.dirname(os.path.abspath(__file__))
        # In a zipapp, here is ARCHIVE/spored, and the archive itself is what Python runs.
        program = os.path.join(here, "__main__.py") if os.path.isdir(here) else os.path.dirname(here)
        path = os.path.join(self.path, "bin", "spored")
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(program)} "$@"\n')
        os.rename(path + ".new", path)


def log(message: str) -> None:
    """A line for whoever looks into runner.log. A full disk is no reason to stop."""
    try:
        os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {message}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def boot_id() -> str:
    """Names this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
