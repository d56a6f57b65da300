"""Scheduling policies: how the jobs of a queue share what there is (AWS Batch, fair-share scheduling)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Final

from spawn.domain.errors import InvalidField
from spawn.domain.names import check_name

MAX_SHARES: Final = 500
"""Most shares of a policy, and most identifiers that are active in a queue at once."""

MAX_DECAY: Final = timedelta(weeks=1)
"""Longest share decay."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9]{1,255}\*?|\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share, or with `*` at the end all whose identifiers begin so; a lower weight factor gets more."""

    identifier: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.identifier):
            problem = f"'{self.identifier[:60]}' is not 1 to 255 letters and digits, with or without '*' at the end"
            raise InvalidField("fairsharePolicy.shareDistribution.shareIdentifier", problem)
        if not 0.0001 <= self.weight <= 999.9999:
            raise InvalidField("fairsharePolicy.shareDistribution.weightFactor", f"{self.weight:g} is not between 0.0001 and 999.9999")

    @property
    def stem(self) -> str:
        """The identifier without the `*` at its end."""
        return self.identifier.removesuffix("*")

    def overlaps(self, other: Share) -> bool:
        """Whether some identifier belongs to both."""
        mine, its = self.stem, other.stem
        return mine == its or (self.identifier.endswith("*") and its.startswith(mine)) or (other.identifier.endswith("*") and mine.startswith(its))


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingPolicy:
    """A fair-share policy; `decay` zero means the default of ten minutes."""

    name: str
    decay: timedelta = timedelta(0)
    reservation: int = 0  #: percent of the capacity kept for shares that are not active yet
    shares: tuple[Share, ...] = ()
    quota: str | None = None  #: how idle capacity is given to quota shares of service jobs; None: a fair-share policy
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not timedelta(0) <= self.decay <= MAX_DECAY:
            raise InvalidField("fairsharePolicy.shareDecaySeconds", f"{self.decay.total_seconds():.0f} is not between 0 and 604800")
        if not 0 <= self.reservation <= 99:
            raise InvalidField("fairsharePolicy.computeReservation", f"{self.reservation} is not between 0 and 99")
        check_shares(self.shares)


def check_shares(shares: Iterable[Share]) -> None:
    """Refuse more than 500 shares, and two that overlap: an identifier belongs to one share at most (InvalidField)."""
    shares = tuple(shares)
    if len(shares) > MAX_SHARES:
        raise InvalidField("fairsharePolicy.shareDistribution", f"{len(shares)} shares are more than {MAX_SHARES}")
    # in this order, whatever begins like a share follows it at once
    for one, other in pairwise(sorted(shares, key=lambda share: share.stem)):
        if one.overlaps(other):
            problem = f"'{one.identifier[:60]}' and '{other.identifier[:60]}' overlap: an identifier belongs to one share at most"
            raise InvalidField("fairsharePolicy.shareDistribution", problem)
