"""The script or command of a launch: read, checked before anything is launched, and the settings a script carries in its own comments."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from spawn.config import LAUNCH_SETTINGS, Setting, Settings, did_you_mean
from spawn.domain.errors import UsageError

WAITING_SCRIPT: Final = "#!/bin/sh\nexit 0\n"
"""What runs when neither a script nor a command was given: nothing, on an instance that lives on."""

_INTERPRETER: Final = "give the absolute path of one that is, or #!/usr/bin/env NAME"
_WITHOUT_BOM: Final = r"sed -i '1s/^\xEF\xBB\xBF//'"

_SBATCH: Final = {
    "--array": "array",
    "-a": "array",
    "--time": "timeout",
    "-t": "timeout",
    "--cpus-per-task": "cpus",
    "-c": "cpus",
    "--mem": "memory",
    "--job-name": "name",
    "-J": "name",
}
_SLURM_TIME = re.compile(r"(?:(\d+)-(\d+)(?::(\d+))?(?::(\d+))?)|(?:(\d+)(?::(\d+))?(?::(\d+))?)")


class Directives(NamedTuple):
    """Settings that a script carries in `#SPAWN` and `#SBATCH` lines, and the `#SBATCH` flags that mean nothing here."""

    settings: Settings
    ignored: Sequence[str]


def read_script(user_data: str) -> tuple[str, str]:
    """The text of `--user-data` and what to call it in messages: `@FILE` is read, `@-` is stdin, anything else is the text itself."""
    if not user_data.startswith("@"):
        return _checked(user_data, "the script"), "the script"
    path = os.path.expanduser(user_data[1:])
    try:
        content = sys.stdin.buffer.read() if path == "-" else _file(path)
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"--user-data: {path} is not UTF-8 text: to run a program, give it after `--`") from error
    return _checked(text, path), path


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"--user-data: cannot read {path or 'the file after @'}: {error.strerror}") from error


def _checked(text: str, name: str) -> str:
    """Refuse what no kernel would run, with the way out."""
    if not text.strip():
        raise UsageError(f"--user-data: {name} is empty")
    if "\0" in text:
        raise UsageError(f"--user-data: {name} is not text: to run a program, give it after `--`")
    if text.startswith("\ufeff"):
        file = "FILE" if name == "the script" or name == "-" else shlex.quote(name)
        raise UsageError(f"--user-data: {name} begins with a byte order mark (BOM), which hides its '#!': remove it with `{_WITHOUT_BOM} {file}`")
    first = text.split("\n", 1)[0]
    if not first.startswith("#!") or not first[2:].strip():
        way_out = " (to read a file, write @FILE)" if name == "the script" and "\n" not in text.strip() else ""
        raise UsageError(f"--user-data: {name} has no '#!' in its first line: begin it with the interpreter, such as #!/bin/bash{way_out}")
    if first.endswith("\r"):
        raise UsageError(f"--user-data: {name} has Windows line ends, which no interpreter takes: remove them with `sed -i 's/\\r$//'`")
    interpreter = first[2:].split()[0]
    if not os.path.isabs(interpreter):
        raise UsageError(f"--user-data: the interpreter of {name}, {interpreter}, is not there: {_INTERPRETER}")
    return text


def check_interpreter(script: str, name: str) -> None:
    """Refuse a script that runs on this machine and whose interpreter is not here."""
    interpreter = script.split("\n", 1)[0][2:].split(maxsplit=1)[0]
    if not os.access(interpreter, os.X_OK):
        raise UsageError(f"--user-data: the interpreter of {name}, {interpreter}, is not there: {_INTERPRETER}")


def check_command(command: Sequence[str], *, workdir: str, environment: Mapping[str, str]) -> None:
    """Refuse a command that cannot start: not found, not executable, a script without `#!`."""
    program = command[0]
    if "/" not in program:
        _check_in_path(program, workdir=workdir, path=environment.get("PATH", os.defpath))
        return
    full = os.path.join(workdir, program)
    if not os.path.exists(full):
        where = "" if os.path.isabs(program) else f" in {workdir}"
        raise UsageError(f"{program} is not there{where}")
    if os.path.isdir(full):
        raise UsageError(f"{program} is a directory, not a program")
    if not os.access(full, os.X_OK):
        raise UsageError(f"{program} is not executable: chmod +x {shlex.quote(program)}, or name its interpreter: -- bash {shlex.quote(program)}")
    _check_shebang(program, full)


def _check_in_path(program: str, *, workdir: str, path: str) -> None:
    import shutil

    if not program:
        raise UsageError("the command after `--` is an empty text")
    found = shutil.which(program, path=path)
    if found is not None:
        _check_shebang(program, found)
        return
    if os.path.exists(os.path.join(workdir, program)):
        raise UsageError(f"{program} is not in PATH: to run the one in {workdir}, write ./{program}")
    if any(char in program for char in " \t|;&$<>"):
        raise UsageError(f"'{program[:60]}' is not a program: give a shell line as -- sh -c {shlex.quote(program[:60])}")
    raise UsageError(f"{program} was not found in PATH")


def _check_shebang(program: str, full: str) -> None:
    try:
        with open(full, "rb") as file:
            head = file.read(256)
    except OSError:
        return  # may be executable without being readable
    if head.startswith(b"\xef\xbb\xbf"):
        raise UsageError(f"{program} begins with a byte order mark (BOM), which hides its '#!': remove it with `{_WITHOUT_BOM} {shlex.quote(program)}`")
    if head and b"\0" not in head and not head.startswith(b"#!"):
        raise UsageError(f"{program} has no '#!' in its first line: begin it with the interpreter, such as #!/bin/bash")


def directives(script: str, name: str) -> Directives:
    """The settings in the comments that a script begins with. `#SPAWN` lines beat `#SBATCH` lines; of two lines for one flag, the later one holds."""
    ours: Settings = {}
    slurm: Settings = {}
    ignored: list[str] = []
    for number, line in enumerate(script.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            break
        word, _, rest = line.partition(" ")
        if word == "#SPAWN":
            for key, value in _spawn_flags(rest, f"{name}:{number}"):
                earlier = ours.get(key)
                both = earlier.value + value if isinstance(value, list) and earlier is not None and isinstance(earlier.value, list) else value
                ours[key] = Setting(both, f"{name}:{number}")
        elif word == "#SBATCH":
            _read_sbatch(rest, f"{name}:{number}", slurm, ignored)
    return Directives(slurm | ours, ignored)


def _words(text: str, origin: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise UsageError(f"{origin}: {error}") from error


def _spawn_flags(text: str, origin: str) -> list[tuple[str, str | bool | list[str]]]:
    """`--ttl 30m --spot --tag=a=b` as settings."""
    words = _words(text, origin)
    found: list[tuple[str, str | bool | list[str]]] = []
    place = 0
    while place < len(words):
        flag, equals, value = words[place].partition("=")
        place += 1
        key = flag.removeprefix("--")
        if not flag.startswith("--") or (key not in LAUNCH_SETTINGS and key.removeprefix("no-") not in LAUNCH_SETTINGS):
            raise UsageError(f"{origin}: unknown flag '{flag}'{did_you_mean(flag, [f'--{known}' for known in LAUNCH_SETTINGS])}")
        known = key if key in LAUNCH_SETTINGS else key.removeprefix("no-")
        if LAUNCH_SETTINGS[known] == "flag":
            found.append((known, known == key))
            continue
        if known != key:
            raise UsageError(f"{origin}: unknown flag '{flag}'; did you mean '--{known}'?")
        if not equals:
            if place == len(words):
                raise UsageError(f"{origin}: {flag} needs a value")
            value = words[place]
            place += 1
        found.append((key, [value] if LAUNCH_SETTINGS[key] in ("list", "table") else value))
    return found


def _read_sbatch(text: str, origin: str, settings: Settings, ignored: list[str]) -> None:
    words = _words(text, origin)
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") and len(flag) > 2:  # -t60
            flag, equals, value = word[:2], "=", word[2:]
        if not equals and place < len(words) and not words[place].startswith("-"):
            value = words[place]
            place += 1
        key = _SBATCH.get(flag)
        if key is None:
            ignored.append(flag)
            continue
        translated = _translated(key, value, origin)
        if translated is not None:
            settings[key] = Setting(translated, origin)


def _translated(key: str, value: str, origin: str) -> str | None:
    """A value of Slurm's in our grammar; None when it asks for no limit."""
    if key == "array":
        body, percent, limit = value.partition("%")
        # to Slurm, `--array=5` is the one index 5; to us, a bare number is a size
        return f"{body}-{body}{percent}{limit}" if body.isdecimal() else value
    if key == "timeout":
        return _slurm_time(value, origin)
    if key == "memory" and value == "0":
        return None
    return value


def _slurm_time(text: str, origin: str) -> str | None:
    """`MIN`, `MIN:SEC`, `H:MIN:SEC`, `D-H`, `D-H:MIN`, `D-H:MIN:SEC` as seconds; `0` and UNLIMITED as none."""
    if text.upper() in ("0", "UNLIMITED", "INFINITE"):
        return None
    match = _SLURM_TIME.fullmatch(text)
    if match is None:
        raise UsageError(f"{origin}: '{text}' is not a time of Slurm's: minutes, H:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds, first, second, third = (int(part) if part else None for part in match.groups())
    if days is not None:
        total = days * 86400 + (hours or 0) * 3600 + (minutes or 0) * 60 + (seconds or 0)
    elif third is not None:
        total = (first or 0) * 3600 + (second or 0) * 60 + third
    else:
        total = (first or 0) * 60 + (second or 0)
    return f"{total}s"
