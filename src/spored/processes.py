"""The processes of this machine, as /proc tells them, and signals that reach the one that was meant."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import NamedTuple

from spored.environment import ATTEMPT_MARK, DETACHED_MARK, RUNNER_MARK

_ATTEMPT = f"\0{ATTEMPT_MARK}=".encode()
_RUNNER = f"\0{RUNNER_MARK}=".encode()
_DETACHED = f"\0{DETACHED_MARK}=".encode()
_KTHREADD = 2
ticks_per_second = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """A process that is not a zombie."""

    pid: int
    parent: int
    session: int
    started: int  #: clock ticks since boot; with the pid it names this process for ever
    attempt: str | None  #: the attempt id its environment names, when the environment also names this runner
    foreign: bool  #: it belongs to another runner, or said that it belongs to no attempt


def snapshot(runner: bytes) -> dict[int, Process]:
    """All processes, by pid. `runner` is the directory that marks the processes of this runner."""
    mark = _RUNNER + runner + b"\0"
    found = {}
    for name in os.listdir("/proc"):
        if name[0] in "123456789":
            process = _look(name, mark)
            if process is not None:
                found[process.pid] = process
    return found


def _look(name: str, mark: bytes) -> Process | None:
    stat = _read(f"/proc/{name}/stat")
    # The name of the program may hold spaces and parentheses; what follows its last one does not.
    fields = stat[stat.rfind(b")") + 2 :].split()
    if len(fields) < 20 or fields[0] in b"ZX" or int(fields[1]) == _KTHREADD:
        return None
    environment = b"\0" + _read(f"/proc/{name}/environ")
    ours = mark in environment
    foreign = _DETACHED in environment or (not ours and _RUNNER in environment)
    attempt = _value(environment, _ATTEMPT) if ours and not foreign else None
    return Process(int(name), int(fields[1]), int(fields[3]), int(fields[19]), attempt, foreign)


def _value(environment: bytes, name: bytes) -> str | None:
    at = environment.find(name)
    if at < 0:
        return None
    begin = at + len(name)
    return environment[begin : environment.find(b"\0", begin)].decode("ascii", "replace")


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = b""
        while True:
            more = os.read(fd, 1 << 17)
            if not more:
                return data
            data += more
    except OSError:
        return b""
    finally:
        os.close(fd)


def started_at(pid: int) -> int:
    """When the process with this pid started, in clock ticks since boot; 0 when there is none."""
    stat = _read(f"/proc/{pid}/stat")
    fields = stat[stat.rfind(b")") + 2 :].split()
    return int(fields[19]) if len(fields) > 19 else 0


def newest_pid() -> int:
    """The pid that was given out last; 0 where the kernel does not tell."""
    try:
        return int(_read("/proc/loadavg").split()[-1])
    except (IndexError, ValueError):
        return 0


def send(processes: Iterable[Process], number: int) -> None:
    """Send a signal to these very processes. One that is gone gets none, nor does a later one with its pid."""
    for process in processes:
        try:
            fd = os.pidfd_open(process.pid)
        except (OSError, AttributeError):
            _send_plainly(process, number)
            continue
        try:
            if started_at(process.pid) == process.started:
                signal.pidfd_send_signal(fd, number)
        except OSError:
            pass
        finally:
            os.close(fd)


def _send_plainly(process: Process, number: int) -> None:
    """For kernels before 5.3 (and gone processes): between the look and the signal lie microseconds."""
    if started_at(process.pid) == process.started:
        try:
            os.kill(process.pid, number)
        except OSError:
            pass


def log_of(pid: int) -> bytes:
    """The file that stdout or stderr of a process goes to, if it is a log of an attempt; empty otherwise."""
    for fd in (1, 2):
        try:
            path = os.readlink(b"/proc/%d/fd/%d" % (pid, fd))
        except OSError:
            continue
        if path.endswith(b".log"):
            return path
    return b""
