"""The runner's directory: its lock, its log, its socket, and the `spored` command of its attempts."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import time

from spored.errors import CONFLICT, UNAVAILABLE, SporedError

_LOG_BYTES = 1 << 20
_PATIENCE = 10.0
"""Seconds to wait for what a killed runner has left to let go of the lock."""


class Home:
    """The directory of one runner. `path` is canonical: it also marks the runner's processes."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.realpath(directory)
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
            for name in ("journal", "arrays", "bin"):
                os.makedirs(os.path.join(self.path, name), 0o700, exist_ok=True)
        except OSError as error:
            raise SporedError(f"{directory} cannot be used: {error.strerror}", UNAVAILABLE) from error
        self.journal = os.path.join(self.path, "journal")
        self.arrays = os.path.join(self.path, "arrays")
        self.lock_fd = -1

    def lock(self) -> None:
        """Become the only runner of this directory, for as long as this process lives.

        The lock is also held by what a runner has forked and not yet executed, and by its spawner. So when it is had, nothing can start
        an attempt any more that a former runner decided to start; after a kill that may take a moment, for which this waits.
        """
        fd = os.open(os.path.join(self.path, "runner.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                lives = _is_runner(holder)
                if lives or time.monotonic() > until:
                    os.close(fd)
                    who = f"another runner (pid {holder}) works in" if lives else f"something that a killed runner (pid {holder or 'unknown'}) started holds"
                    raise SporedError(f"{who} {self.path}", CONFLICT) from None
                time.sleep(0.005)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        self.lock_fd = fd

    @property
    def is_mine(self) -> bool:
        """Whether the directory still is the one that was locked."""
        try:
            there, held = os.stat(os.path.join(self.path, "runner.lock")), os.fstat(self.lock_fd)
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
        path = os.path.join(self.path, "bin", "spored")
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(this_program())} "$@"\n')
        os.rename(path + ".new", path)


def this_program() -> str:
    """The file that Python runs to be this very program."""
    here = os.path.dirname(os.path.abspath(__file__))
    # In a zipapp, here is ARCHIVE/spored, and the archive itself is what Python runs.
    return os.path.join(here, "__main__.py") if os.path.isdir(here) else os.path.dirname(here)


def _is_runner(pid: str) -> bool:
    """Whether this is a runner that lives, or one that is about to write its pid into the lock."""
    if not pid.isdigit():
        return False
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"\0run\0" in file.read()
    except OSError:
        return False


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
