"""What instances cost: prices that say where they are from, estimates before a launch, and the sum of lives after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Final

MIN_BILLED_S: Final = 60
"""Seconds that an instance and its volumes are billed for at least; beyond them each second counts."""

HOURS_A_MONTH: Final = 730.0
"""What AWS reckons a month with, by which volumes are priced."""

REQUESTS: Final = 5
"""RunInstances requests that an account and region may make at once; more come back at 2 a second (EC2's request bucket)."""

RESOURCES: Final = 1000
"""Instances that may be asked for at once; more come back at 2 a second (EC2's resource bucket)."""

REFILL: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars an hour, where that was read, and the day it holds for (ISO 8601)."""

    usd: float
    source: str  #: such as `AWS Price List`, `spot price history`, `table shipped with spawn`
    as_of: str


PUBLIC_ADDRESS: Final = Price(usd=0.005, source="AWS's published price of a public IPv4 address, in every region", as_of="2024-02-01")
"""An hour of a public IPv4 address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one way to run the array costs at most: every instance up to its TTL, root volumes and public addresses included."""

    label: str  #: `on-demand`, `spot`, `25 instances × 4 indexes, on-demand`, …
    instances: int
    hours: float  #: of each instance
    usd: float
    volume_usd: float  #: the part of it that root volumes cost
    address_usd: float = 0.0  #: the part of it that public addresses cost
    price: Price  #: of an instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a launch takes and costs. The first quote is what was asked for; there are none when its price is not known."""

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
    def usd(self) -> float | None:
        """What was asked for costs at most (without a TTL: in an hour); None: no price is known."""
        return self.quotes[0].usd if self.quotes else None

    @property
    def usd_per_hour(self) -> float | None:
        """What an hour of all that was asked for costs; None: no price is known."""
        return self.quotes[0].usd / self.quotes[0].hours if self.quotes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How an array meets instances, and what it may take: what an estimate is made of."""

    children: int
    instances: int
    vcpus: int  #: of an instance
    per_call: int  #: most instances that a RunInstances call asks for
    ttl: timedelta | None  #: None: no end; prices are then those of one hour
    volume_gib: int
    volume_usd_gib_month: float
    quota: float | None = None
    zones: tuple[str, ...] = ()
    address_usd: float = 0.0  #: an hour of an instance's public address; 0: it has none

    @property
    def hours(self) -> float:
        """How long each instance is paid for at most."""
        return 1.0 if self.ttl is None else max(MIN_BILLED_S, self.ttl.total_seconds()) / 3600

    @property
    def at_once(self) -> int:
        """Instances that fit under the quota; all when it is not known."""
        return self.instances if self.quota is None else min(self.instances, int(self.quota // self.vcpus))

    @property
    def waves(self) -> int:
        """In how many turns the quota lets the instances run; the quota holds at least one."""
        return ceil(self.instances / max(1, self.at_once))


def launch_seconds(instances: int, *, per_call: int) -> float:
    """When the last RunInstances call of a region can be made under EC2's published buckets, both full at the start; what calls themselves take is left out."""
    calls = ceil(instances / per_call)
    return max(0.0, (calls - REQUESTS) / REFILL, (instances - RESOURCES) / REFILL)


def estimate(layout: Layout, *, on_demand: Price | None, spot: Price | None, wants_spot: bool) -> Estimate:
    """What a launch takes and costs: what was asked for first, then the other market, then fewer instances with several children each.

    Without a price of the market asked for there are no quotes. A later wave of the quota begins when the one before has ended: after its TTL at the
    latest (without one: taken to be an hour).
    """
    waiting = (layout.waves - 1) * layout.hours * 3600
    return Estimate(
        quotes=_quotes(layout, on_demand=on_demand, spot=spot, wants_spot=wants_spot),
        children=layout.children,
        instances=layout.instances,
        run_calls=_calls(layout),
        seconds=launch_seconds(layout.instances, per_call=layout.per_call) + waiting,
        seconds_one_by_one=launch_seconds(layout.instances, per_call=1) + waiting,
        vcpus=layout.instances * layout.vcpus,
        quota=layout.quota,
        waves=layout.waves,
        zones=layout.zones,
    )


def _calls(layout: Layout) -> int:
    whole, rest = divmod(layout.instances, max(1, layout.at_once))
    return whole * ceil(max(1, layout.at_once) / layout.per_call) + ceil(rest / layout.per_call)


def _quotes(layout: Layout, *, on_demand: Price | None, spot: Price | None, wants_spot: bool) -> tuple[Quote, ...]:
    markets = [("spot", spot), ("on-demand", on_demand)] if wants_spot else [("on-demand", on_demand), ("spot", spot)]
    label, price = markets[0]
    if price is None:
        return ()
    quotes = [_quote(layout, label, price) for label, price in markets if price is not None]
    if layout.instances < layout.children:
        return tuple(quotes)
    for fewer in _fewer(layout):
        each = ceil(layout.children / fewer.instances)
        quotes.append(_quote(fewer, f"{fewer.instances} instance{'s' * (fewer.instances > 1)} × {each} indexes, {label}", price))
    return tuple(quotes)


def _quote(layout: Layout, label: str, price: Price) -> Quote:
    hours = layout.instances * layout.hours
    volume = hours * layout.volume_gib * layout.volume_usd_gib_month / HOURS_A_MONTH
    address = hours * layout.address_usd
    usd = hours * price.usd + volume + address
    return Quote(label=label, instances=layout.instances, hours=layout.hours, usd=usd, volume_usd=volume, address_usd=address, price=price)


def _fewer(layout: Layout) -> Iterable[Layout]:
    """As many children on an instance as it has vCPUs, and a tenth of the instances. Turn by turn each child may take as long as a TTL."""
    numbers = {ceil(layout.children / each) for each in (max(2, layout.vcpus), 10)}
    for instances in sorted((number for number in numbers if number < layout.instances), reverse=True):
        turns = ceil(ceil(layout.children / instances) / layout.vcpus)
        ttl = None if layout.ttl is None else layout.ttl * turns
        yield replace(layout, instances=instances, ttl=ttl)
