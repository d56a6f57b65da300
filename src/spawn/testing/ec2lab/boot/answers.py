"""The words between the stand-ins of a machine and its first process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spawn.testing.ec2lab.boot import shutdowns
from spawn.testing.ec2lab.boot.units import Unit

JOURNALS = "/var/log/journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a stand-in ends, and what it says."""

    code: int = 0
    out: str = ""
    err: str = ""


Reply = Callable[[Answer], None]


class Manager(Protocol):
    """What the first process offers."""

    units: dict[str, Unit]
    minute_s: float
    scheduled: tuple[shutdowns.Request, float] | None

    def unit(self, name: str) -> Unit:
        """A service by name; BadUnit when there is none."""

    def schedule(self, request: shutdowns.Request) -> float:
        """End the machine at a time."""

    def cancel(self) -> None:
        """Forget that."""

    def say(self, text: bytes) -> None:
        """Write on the console."""


def journal_of(name: str) -> str:
    """The file that holds what a service said."""
    return f"{JOURNALS}/{name}.log"


def last_lines(path: str, count: int | None) -> str:
    """The end of a file, or all of it; nothing when it is not there."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    return "".join(lines if count is None else lines[-count:] if count else [])
