"""Pacing of calls: token buckets as EC2 publishes them, and pauses that grow. Plain values; time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from spawn.domain.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A bucket's size in tokens, and how many come back each second."""

    burst: int
    per_second: float


RUN_INSTANCES: Final = Rate(burst=5, per_second=2.0)
"""Requests of RunInstances (EC2 API, request token buckets)."""

RUN_RESOURCES: Final = Rate(burst=1000, per_second=2.0)
"""Instances that RunInstances asks for (EC2 API, resource token buckets)."""

TERMINATE_INSTANCES: Final = Rate(burst=100, per_second=5.0)
"""Requests of TerminateInstances."""

TERMINATE_RESOURCES: Final = Rate(burst=1000, per_second=20.0)
"""Instances that TerminateInstances names."""

DESCRIBE: Final = Rate(burst=100, per_second=20.0)
"""Requests of DescribeInstances that are filtered and paginated, as all of ours are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many tokens there were at an instant."""

    rate: Rate
    tokens: float
    at: Instant

    @classmethod
    def full(cls, rate: Rate, at: Instant) -> Self:
        """A bucket from which nothing has been taken for long."""
        return cls(rate=rate, tokens=float(rate.burst), at=at)

    def level(self, now: Instant) -> float:
        """How many tokens there are now: never more than its size."""
        return min(float(self.rate.burst), self.tokens + max(0, now - self.at) / 1000 * self.rate.per_second)

    def wait_ms(self, count: int, now: Instant) -> int:
        """Milliseconds until so many tokens are there (0: now); more than its size counts as its size."""
        missing = min(count, self.rate.burst) - self.level(now)
        # rounded up, and a millisecond more than the sum of many roundings
        return 0 if missing <= 1e-6 else int(missing / self.rate.per_second * 1000) + 1

    def taken(self, count: int, now: Instant) -> Self:
        """The bucket after this many were taken; taking more than there are leaves none."""
        return replace(self, tokens=max(0.0, self.level(now) - count), at=now)

    def drained(self, now: Instant) -> Self:
        """The bucket after the other side said that there was nothing left in it."""
        return replace(self, tokens=0.0, at=now)


def pause_ms(failures: int, chance: float, *, first_s: float = 1.0, most_s: float = 60.0) -> int:
    """Wait before asking again: 1 s after the first failure, then 2, 4, 8, and never more than 60; of that between half and all, by chance (0 to 1)."""
    whole = min(most_s, first_s * 2.0 ** min(max(0, failures - 1), 30))
    return round(whole * (0.5 + 0.5 * chance) * 1000)
