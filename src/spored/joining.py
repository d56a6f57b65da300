"""Making a process inside a cgroup: it joins by itself before it becomes its program, because the runner's own memory must not be counted there."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping
from typing import NoReturn

SHELL = b"/bin/sh"
_JOIN = b'echo $$ > "$0" && exec "$@"'
_PLAIN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_SIGNALS = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


def survive_a_shell(names: Iterable[bytes]) -> bool:
    """Whether a shell hands all these variables on: many drop those whose names they could not write themselves, such as `a.b`."""
    return all(_PLAIN.fullmatch(name) for name in names)


def through_a_shell(cgroup: bytes, program: bytes, argv: list[bytes]) -> list[bytes]:
    """The words of a shell that joins the cgroup of this `cgroup.procs` and becomes `program`: the cheapest way."""
    return [SHELL, b"-c", _JOIN, cgroup, program, *argv[1:]]


def fork_into(cgroup: bytes, program: bytes, argv: list[bytes], environment: Mapping[bytes, bytes], files: tuple[int, int, int]) -> int:
    """The same without a shell, for seven times the runner's CPU time: all variables arrive. `files` become 0, 1 and 2. OSError when it cannot be run."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    with open(told, "rb") as file:
        # a handler that ran in the child would write into the runner's own pipe of signals
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                _become(cgroup, program, argv, environment, files, tell)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(tell)
        number = file.read()
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)))
    return pid


def _become(cgroup: bytes, program: bytes, argv: list[bytes], environment: Mapping[bytes, bytes], files: tuple[int, int, int], tell: int) -> NoReturn:
    """The rest of the child's life as this program; what is in the way is told as its number."""
    try:
        os.setsid()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for target, file in enumerate(files):
            os.dup2(file, target)
        group = os.open(cgroup, os.O_WRONLY | os.O_CLOEXEC)
        os.write(group, b"0")
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(program, argv, environment)
    except OSError as error:
        os.write(tell, b"%d" % (error.errno or 0))
    finally:
        os._exit(127)
