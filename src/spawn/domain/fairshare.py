"""Fair shares: who of a queue's users goes first, by what each has used lately (AWS Batch, fair-share scheduling).

Usage fades exponentially: what was used one `decay` ago counts about a third (1/e) of what is used now. AWS names the length of the time that counts, not
how it fades; under any fading the shares come to run in proportion to one over their weights.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from spawn.domain.instants import Instant
from spawn.domain.policies import SchedulingPolicy

DEFAULT_DECAY: Final = timedelta(minutes=10)
"""The decay of a policy that says zero."""

GOES_ON: Final = timedelta(seconds=1)
"""What is under way counts as though it ran on for so long (never longer than the decay), so that slots that come free together go to all
shares in turn; no longer than that, or what short jobs have really used would count for nothing beside it."""

DEFAULT_WEIGHT: Final = 1.0
"""The weight factor of shares that a policy does not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareUse:
    """What one share of a queue has used: decayed vCPU-seconds up to `at`, and the thousandths of a vCPU that it has used since."""

    amount: float
    at: Instant
    rate: int = 0

    def over_time(self, now: Instant, decay: timedelta) -> float:
        """The decayed vCPU-seconds at a later time, what is under way included."""
        kept = math.exp(-max(0, now - self.at) / _ms(decay))
        return self.amount * kept + self.rate / 1000 * decay.total_seconds() * (1 - kept)

    def changed(self, by: int, at: Instant, decay: timedelta) -> ShareUse:
        """The same share, using so many thousandths of a vCPU more (or less) from a time on, which may lie in the past: news can come late."""
        if at >= self.at:
            return ShareUse(amount=self.over_time(at, decay), at=at, rate=self.rate + by)
        since = by / 1000 * decay.total_seconds() * (1 - math.exp(-(self.at - at) / _ms(decay)))
        return replace(self, amount=max(0.0, self.amount + since), rate=self.rate + by)

    def is_recent(self, now: Instant, decay: timedelta) -> bool:
        """Whether the share counts as active although it has no jobs: it does until one decay after its last attempt."""
        return self.rate > 0 or now - self.at < _ms(decay)

    def is_over(self, now: Instant, decay: timedelta) -> bool:
        """Whether nothing of it counts any more: it ended twenty decays ago, of which less than a hundred-millionth is left."""
        return self.rate <= 0 and now - self.at > 20 * _ms(decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What shares have used: decayed vCPU-seconds by queue and share; and the active shares of each queue (their jobs may not be RUNNABLE yet)."""

    used_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    active: Mapping[str, frozenset[str]] = field(default_factory=dict)


def decay_of(policy: SchedulingPolicy) -> timedelta:
    """The time over which usage counts."""
    return policy.decay or DEFAULT_DECAY


class Scale:
    """What the shares of a policy weigh, looked up once for many questions."""

    def __init__(self, policy: SchedulingPolicy) -> None:
        self._weights = {share.identifier: share.weight for share in policy.shares}
        self._lengths = sorted({len(name) - 1 for name in self._weights if name.endswith("*")}, reverse=True)
        self._goes_on_s = min(GOES_ON, decay_of(policy)).total_seconds()

    def weight(self, share: str) -> float:
        """The weight factor of a share: that of its name, else of the longest prefix, else 1."""
        names = (share, *(f"{share[:length]}*" for length in self._lengths))
        return next((self._weights[name] for name in names if name in self._weights), DEFAULT_WEIGHT)

    def behind(self, share: str, used_s: float, vcpus: float) -> float:
        """Where a share stands, the lowest first: its weighted usage over time, with the vCPUs that it has under way."""
        return self.weight(share) * (used_s + vcpus * self._goes_on_s)


def usable(policy: SchedulingPolicy, active: Collection[str], total: int) -> int:
    """How much of a queue's capacity its active shares may use together; the rest is kept for shares that are not active yet."""
    return total - round(total * (policy.reservation / 100) ** max(1, len(active)))


def _ms(duration: timedelta) -> float:
    return duration / timedelta(milliseconds=1)
