"""Running `spawn` as a program."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Result(NamedTuple):
    """How a run ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.out.splitlines()


Run = Callable[..., Result]


def command(*arguments: str) -> list[str]:
    """The command line of `spawn`."""
    return [sys.executable, "-m", "spawn.cli", *arguments]


def read_all(master: int) -> bytes:
    """Everything that is shown on a terminal, until the other end is closed."""
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed: that is how a terminal says so
            piece = b""
        if not piece:
            os.close(master)
            return shown
        shown += piece


def without_escapes(text: str) -> str:
    """What a person would read."""
    return _ESCAPES.sub("", text)
