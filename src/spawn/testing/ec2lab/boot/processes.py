"""The processes of a machine: how they are made, and which belong together."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

MARK = "INVOCATION_ID"
_FILES = 1024  # as systemd starts services
_EXIT_CHDIR = 200  # as systemd says it
_EXIT_EXEC = 203


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a process is to run."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str = "/"
    umask: int = 0o022


def start(program: Program, output: int) -> int:
    """Make a process with nothing on its input, in a session of its own. One that cannot be run says so on `output` and ends with 203."""
    pid = os.fork()
    if pid == 0:
        _become(program, output)
    return pid


def _become(program: Program, output: int) -> NoReturn:
    code = _EXIT_EXEC
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open("/dev/null", os.O_RDONLY)
        for target, fd in ((0, nothing), (1, output), (2, output)):
            os.dup2(fd, target)
        os.closerange(3, 1 << 20)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, most), most))
        os.umask(program.umask)
        code = _EXIT_CHDIR
        os.chdir(program.directory)
        code = _EXIT_EXEC
        os.execvpe(program.argv[0], list(program.argv), dict(program.environment))
    except OSError as error:
        os.write(2, f"{program.argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(code)


def everybody() -> dict[int, int]:
    """Every process of this machine but its first, with its parent. Those that have ended already are left out."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    words = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if words[0] not in (b"Z", b"X"):
                parents[int(name)] = int(words[1])
    return parents


def family(main: int | None, mark: str) -> set[int]:
    """The processes of a unit: its main one, what descends from it, and what bears its mark."""
    parents = everybody()
    found = {main} & parents.keys() if main is not None else set[int]()
    found |= {pid for pid in parents if _bears(pid, mark)}
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grew = bool(more)
        found |= more
    return found


def _bears(pid: int, mark: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={mark}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to all of them that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
