"""What the machines of a laboratory are like: how fast they are, and what is on their disks."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

OLDEST = (3, 9)
NEWEST = (3, 9)  #: what Amazon Linux 2023 has as python3
EVERY_IMAGE = "*"
_SHARED = frozenset({"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu", "proc", "dev", "sys", "run"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """A file of an image: its bytes (in JSON: base64), or the file of this machine that it is a copy of."""

    content: bytes | None = None
    source: str | None = None
    mode: int = 0o644

    def __post_init__(self) -> None:
        if (self.content is None) == (self.source is None):
            raise ValueError("a file of an image has either content or a source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python of this machine."""

    path: str  #: of the program itself, no link and no shim
    version: tuple[int, int]

    @property
    def note(self) -> str | None:
        """One line to tell users when it is not the one that instances have, otherwise None."""
        if self.version == NEWEST:
            return None
        return f"no Python 3.9 was found here: machines of the laboratory have Python {self.version[0]}.{self.version[1]} ({self.path}) as python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """How machines boot, live and end. Times are in seconds. All of it can be read from JSON by msgspec."""

    minute_s: float = 60.0  #: how long a minute of `shutdown +N` lasts
    boot_s: float = 0.0  #: from launch to user data
    shutdown_s: float = 30.0  #: what runs has so long, after SIGTERM, until the power goes
    at_once: int = 8  #: so many machines boot at the same time; the others wait, pending
    python: str | None = None  #: the program that is python3; None: a Python 3.9, or else the one that runs the laboratory
    aws: str | None = None  #: the AWS CLI; None: the one beside this Python or in PATH
    files: Mapping[str, Mapping[str, ImageFile]] = field(default_factory=dict)  #: image id (or `*`: every one) -> absolute path -> file
    visible: tuple[str, ...] = ()  #: places of this machine that are seen in every machine, for reading

    def __post_init__(self) -> None:
        for name, value in (("minute_s", self.minute_s), ("shutdown_s", self.shutdown_s)):
            if value <= 0:
                raise ValueError(f"{name} must be more than 0 seconds, not {value}")
        if self.boot_s < 0:
            raise ValueError(f"boot_s must not be less than 0 seconds, not {self.boot_s}")
        if self.at_once < 1:
            raise ValueError(f"at_once must be at least 1, not {self.at_once}")
        for path in [path for files in self.files.values() for path in files] + list(self.visible):
            if not os.path.isabs(path) or os.path.normpath(path) != path:
                raise ValueError(f"{path!r} must be an absolute path without `..`")
        for path in [path for files in self.files.values() for path in files]:
            if path.split("/")[1] in _SHARED and not path.startswith("/usr/local/"):
                raise ValueError(f"{path!r} cannot be on a disk of its own: /usr/local can")


def find_interpreter(wanted: str | None) -> Interpreter:
    """The Python that machines have: the wanted one; without a wish a Python 3.9, from PATH or pyenv, and failing that the one that runs this.

    ValueError when the wanted one is none or too old.
    """
    if wanted is not None:
        found = _asked(wanted)
        if found is None or found.version < OLDEST:
            raise ValueError(f"{wanted!r} is no Python of at least 3.9: name another one as BootPlan.python")
        return found
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    candidates = sorted(glob.glob(f"{glob.escape(root)}/versions/3.9.*/bin/python3.9"), reverse=True)
    on_path = shutil.which("python3.9")
    for candidate in [*candidates, *([on_path] if on_path else [])]:
        found = _asked(candidate)
        if found is not None and found.version == NEWEST:
            return found
    return Interpreter(path=os.path.realpath(sys.executable), version=sys.version_info[:2])


def _asked(program: str) -> Interpreter | None:
    """What a program says of itself; None when it is no Python."""
    words = [program, "-IS", "-c", "import os, sys; print(*sys.version_info[:2], os.path.realpath(sys.executable))"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL).stdout.split(maxsplit=2)
        return Interpreter(path=answer[2].strip(), version=(int(answer[0]), int(answer[1])))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
