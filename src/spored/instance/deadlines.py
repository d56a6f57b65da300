"""When this instance ends, and what that means for what runs on it: rules without a clock of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace

RECORD_S = 20.0
"""How long before its end everything is stopped, so that there is time to write it down."""
HURRY_S = 8.0
"""With less than this left, only the records themselves are still written."""
AFTER_NOTICE_S = 75.0
BEFORE_TAKEN_S = 45.0
BEFORE_LOST_S = 20.0


@dataclass(frozen=True)
class Lifetime:
    """The life of one boot. Times are seconds since the epoch; `ends_at` None: it has no end."""

    booted_at: float
    ends_at: float | None
    told: float | None = None  #: the end that `control.json` named last

    def extended(self, ends_at: float) -> Lifetime:
        """Its end is moved."""
        return replace(self, ends_at=ends_at)

    def steered(self, told: float | None) -> Lifetime:
        """What `control.json` says now. Said before, or a time before this boot: nothing new, so that what was asked for here since then stands."""
        if told is None or told == self.told:
            return self
        return replace(self, told=told, ends_at=told if told > self.booted_at else self.ends_at)

    def stops_at(self, grace_s: float) -> float | None:
        """When what runs is stopped: its grace and the time to record before the end, but not before half of the life is over."""
        if self.ends_at is None:
            return None
        return max(self.ends_at - grace_s - RECORD_S, (self.booted_at + self.ends_at) / 2)


def begun(booted_at: float, ttl_s: float | None, former: float | None) -> Lifetime:
    """The life that begins with a boot. A `former` end that is still to come stands: a reboot extends nothing. One that has passed, while the
    instance was stopped, is followed by a whole new life."""
    if former is not None and former > booted_at:
        return Lifetime(booted_at, former)
    return Lifetime(booted_at, None if ttl_s is None else booted_at + ttl_s)


def grace_after_notice(now: float, taken_at: float) -> float:
    """How long what runs may take to end once the notice is there: what is left is killed 45 s before the machine goes, and 75 s after the notice."""
    return max(min(AFTER_NOTICE_S, taken_at - BEFORE_TAKEN_S - now), 0.0)
