"""What instances cost: prices that say where they are from, estimates before a launch, and the sum of lives after it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars an hour, where that was read, and the day it holds for (ISO 8601)."""

    usd: float
    source: str  #: such as `AWS Price List`, `spot price history`, `table shipped with spawn`
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one way to run the array costs at most: every instance up to its TTL, root volumes included."""

    label: str  #: `on-demand`, `spot`, `25 instances × 4 indexes, on-demand`, …
    instances: int
    hours: float  #: of each instance
    usd: float
    volume_usd: float  #: the part of it that root volumes cost
    price: Price  #: of an instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a launch takes and costs. The first quote is what was asked for."""

    quotes: tuple[Quote, ...]
    children: int
    instances: int
    run_calls: int  #: RunInstances calls
    seconds: float  #: until all are launched, under EC2's published token buckets and the quota's waves
    seconds_one_by_one: float  #: the same with a call for each instance
    vcpus: int  #: of all instances together
    quota: float | None  #: vCPUs that may run at once; None: it could not be looked up
    waves: int  #: 1: all at once
    zones: tuple[str, ...]

    @property
    def usd(self) -> float:
        """What was asked for costs at most."""
        return self.quotes[0].usd
