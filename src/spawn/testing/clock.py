"""A clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass

from spawn.domain.instants import Instant

_BEGINNING = Instant(1_800_000_000_000)


@dataclass(slots=True)
class ManualClock:
    """Stands still until told otherwise."""

    at: Instant = _BEGINNING

    def now(self) -> Instant:
        """The instant it was set to."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Go on by so many seconds."""
        self.at = Instant(self.at + round(seconds * 1000))
