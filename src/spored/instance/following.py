"""Reading the runner's journal as it grows."""

from __future__ import annotations

import json
import os
from typing import Any

from spored.journal import segment_name


class Follower:
    """Gives every event of a journal once, from its beginning. Lines without their end are left until they have it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._segment = 0
        self._offset = 0
        self.identity: str | None = None  #: the journal's

    def read(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        events: list[dict[str, Any]] = []
        while True:
            if self._segment:
                events += self._rest()
            following = self._next()
            if following is None:
                return events
            self._segment, self._offset = following, 0

    def _next(self) -> int | None:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return None
        later = [int(name[:-6]) for name in names if name.endswith(".jsonl") and name[:-6].isdigit() and int(name[:-6]) > self._segment]
        return min(later, default=None)

    def _rest(self) -> list[dict[str, Any]]:
        try:
            with open(os.path.join(self._directory, segment_name(self._segment)), "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        events = []
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "e" in event:
                if event["e"] == "journal":
                    self.identity = self.identity or str(event.get("id"))
                events.append(event)
        return events
