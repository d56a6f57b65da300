"""A runner that an earlier version left: it finishes what it has, is given nothing new, and then makes room for one of this version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spawn.engine.news import Dropped, Ended, Lost, ProviderEvent, Refused


class Elder:
    """What such a runner still has, known from its welcome and then from the journal."""

    def __init__(self, welcome: Mapping[str, Any]) -> None:
        self.pid = int(welcome["pid"])
        self.version = str(welcome["version"])
        self._left: set[str] = {*welcome["queued"], *welcome["running"]}

    def note(self, events: Iterable[ProviderEvent]) -> None:
        """Take what the journal says. An attempt has its last event there once, after the welcome that names it."""
        for event in events:
            if isinstance(event, Ended | Refused | Dropped | Lost):
                self._left.discard(str(event.attempt))

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing left, so that ending it ends nothing else."""
        return not self._left

    def __str__(self) -> str:
        """Why nothing new starts, and the way out."""
        count = len(self._left)
        attempts = "1 attempt" if count == 1 else f"{count} attempts"
        return (
            f"the runner (process {self.pid}) is of version {self.version} and still has {attempts} of its own; "
            f"new ones start as soon as these have ended (`kill {self.pid}` ends them now)"
        )
