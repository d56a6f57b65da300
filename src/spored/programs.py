"""Finding the program of a child, and saying in plain words why it cannot be run."""

from __future__ import annotations

import errno
import os
import stat

from spored.errors import Refused

_DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"


def find_program(name: bytes, path: bytes, workdir: bytes) -> bytes:
    """The file that `name` means to a process in `workdir` whose PATH is `path`. Refused when there is none that may be run.

    An empty `workdir` is an empty directory: the relative places of PATH hold nothing there.
    """
    if b"/" in name:
        return name
    forbidden = None
    for place in (path or _DEFAULT_PATH).split(b":"):
        candidate = os.path.join(workdir, place, name)
        if not candidate.startswith(b"/"):
            continue
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and os.access(candidate, os.X_OK):
            return candidate
        forbidden = forbidden or candidate
    if not name:
        raise Refused("the command is an empty word")
    if forbidden:
        raise Refused(f"{os.fsdecode(forbidden)} is not executable (chmod +x makes it so)")
    raise Refused(f"{os.fsdecode(name)} was not found in the PATH of the job")


def check_program(program: bytes) -> None:
    """Raise the OSError that executing `program` from here would end with, as far as a look can tell."""
    if not os.access(program, os.X_OK) or os.path.isdir(program):
        number = errno.EACCES if os.path.lexists(program) else errno.ENOENT
        raise OSError(number, os.strerror(number))
    interpreter = _interpreter(program)
    if interpreter is not None and not os.path.exists(interpreter):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def explain(error: OSError, program: bytes, workdir: bytes, hidden: bool) -> str:
    """Why running `program` failed with `error`; `hidden` when a private /tmp hides it."""
    shown = os.fsdecode(program)
    path = os.path.join(workdir, program)
    if hidden:
        return f"{shown} is below /tmp, which is private to the attempt, so it cannot see it"
    if error.errno == errno.ENOENT:
        return _missing(shown, path)
    if error.errno == errno.EACCES:
        return _forbidden(shown, path)
    if error.errno == errno.ENOEXEC:
        return f"{shown} is neither a program for this machine nor a script that begins with #! and its interpreter"
    if error.errno == errno.E2BIG:
        return "its arguments and environment together are longer than this system takes"
    if error.errno == errno.EAGAIN:
        return "the limit on the number of processes is reached (ulimit -u)"
    return f"{shown} cannot be run: {error.strerror}"


def _missing(shown: str, path: bytes) -> str:
    if not os.path.exists(path):
        return f"{shown} does not exist"
    interpreter = _interpreter(path)
    if interpreter is None:
        return f"{shown} was built for another system: its loader does not exist here"
    if interpreter.endswith("\r"):
        return f"the first line of {shown} ends in a carriage return; give the file Unix line ends"
    return f"the first line of {shown} names {interpreter or 'nothing'} as interpreter, which does not exist"


def _forbidden(shown: str, path: bytes) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return f"{shown} may not be reached: permission denied"
    if stat.S_ISDIR(mode):
        return f"{shown} is a directory"
    if not os.access(path, os.X_OK):
        if mode & 0o111 and os.statvfs(path).f_flag & os.ST_NOEXEC:
            return f"{shown} is on a file system mounted noexec"
        return f"{shown} is not executable (chmod +x makes it so)"
    interpreter = _interpreter(path)
    return f"{shown} or its interpreter {interpreter} may not be run" if interpreter else f"{shown} may not be run: permission denied"


def _interpreter(path: bytes) -> str | None:
    """What the #! line names, with a carriage return if it ends in one; None when there is no such line."""
    try:
        with open(path, "rb") as file:
            line = file.readline(256).rstrip(b"\n")
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = line[2:].lstrip(b" \t").replace(b"\t", b" ").split(b" ")
    return os.fsdecode(words[0])
