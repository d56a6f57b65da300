"""Reading the journal back: what a former runner left, as the next one has to know it."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from spored.journal import segment_name

_CLOSING = frozenset({"ended", "refused", "lost"})


class OpenAttempt(NamedTuple):
    """An attempt that was begun and has no end in the journal."""

    pid: int  #: 0 when its process may not have been made
    started: float  #: when, seconds since the epoch


class Past(NamedTuple):
    """What the journal says."""

    identity: str | None
    segment: int  #: the last one, 0 when there is none
    boot: str | None  #: of the last runner
    open: dict[str, OpenAttempt]
    begun: set[str]  #: every attempt id that must not start again


def read_journal(directory: str) -> Past:
    """Read all segments, and cut the torn last line off the last one. A line that cannot be read is passed over."""
    numbers = sorted(int(name[:-6]) for name in os.listdir(directory) if name.endswith(".jsonl") and name[:-6].isdigit())
    reader = _Reader()
    for number in numbers:
        path = os.path.join(directory, segment_name(number))
        with open(path, "rb") as file:
            data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data) and number == numbers[-1]:
            os.truncate(path, whole)
        for line in data[:whole].splitlines():
            reader.read(line)
    return Past(reader.identity, numbers[-1] if numbers else 0, reader.boot, reader.open, reader.begun)


class _Reader:
    def __init__(self) -> None:
        self.identity: str | None = None
        self.boot: str | None = None
        self.open: dict[str, OpenAttempt] = {}
        self.begun: set[str] = set()
        self.unread: list[bytes] = []

    def read(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind = event["e"]
            if kind == "journal":
                self.identity = self.identity or str(event["id"])
            elif kind == "runner":
                self.boot = str(event["boot"])
            else:
                self._attempt(kind, str(event["a"]), event)
        except (ValueError, KeyError, TypeError):
            self.unread.append(line)

    def _attempt(self, kind: str, attempt: str, event: dict[str, object]) -> None:
        if kind == "starting":
            self.begun.add(attempt)
            self.open[attempt] = OpenAttempt(0, float(str(event["t"])))
        elif kind == "started":
            self.open[attempt] = OpenAttempt(int(str(event["pid"])), float(str(event["t"])))
        elif kind == "dropped":
            self.begun.add(attempt)
        elif kind in _CLOSING:
            self.begun.add(attempt)
            self.open.pop(attempt, None)
