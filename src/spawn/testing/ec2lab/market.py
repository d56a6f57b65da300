"""Prices, quotas and room: what an instance costs and whether there is one to be had. All of it may change while the laboratory runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from spawn.testing.ec2lab.catalogue import DEFAULT_QUOTA, InstanceType, instance_types, regional, usual_spot_price
from spawn.testing.ec2lab.plan import LabPlan, SpotPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A spot price from some moment on."""

    zone: str
    type: str
    price: float
    at: float  #: seconds since the epoch


class Market:
    """What is for sale. Times are seconds since the epoch."""

    def __init__(self, plan: LabPlan, began: float) -> None:
        self._plan = plan
        self._began = began
        self._spot = sorted(plan.spot_prices, key=lambda price: price.at_s)
        self._quotas = dict(plan.quotas)
        self._capacity: dict[bool, dict[str, int | None]] = {False: {**plan.capacity}, True: {**plan.spot_capacity}}

    # --- prices ---------------------------------------------------------------------------------------------------------

    def on_demand(self, type_: InstanceType, region: str) -> float:
        """US dollars an hour."""
        return regional(self._plan.prices.get(type_.name, type_.price), region)

    def spot(self, type_: InstanceType, zone: str, at: float) -> float:
        """US dollars an hour at a moment."""
        known = [price for price in self._spot if _is_for(price, zone, type_.name) and self._began + price.at_s <= at]
        return known[-1].price if known else self._usual(type_, zone)

    def quotes(self, type_: InstanceType, zone: str) -> list[Quote]:
        """Every price that spot instances of a type have had or will have in a zone, the oldest first."""
        moves = [price for price in self._spot if _is_for(price, zone, type_.name)]
        first = [] if moves and moves[0].at_s <= 0 else [(0.0, self._usual(type_, zone))]
        return [Quote(zone=zone, type=type_.name, price=price, at=self._began + at_s) for at_s, price in [*first, *((each.at_s, each.price) for each in moves)]]

    def moves(self) -> Iterator[float]:
        """When the plan moves a price."""
        yield from sorted({self._began + price.at_s for price in self._spot if price.at_s > 0})

    def set_spot_price(self, price: float, *, zone: str, type_: str, now: float) -> None:
        """Another price from now on."""
        self._spot.append(SpotPrice(zone=zone, type=type_, price=price, at_s=now - self._began))
        self._spot.sort(key=lambda each: each.at_s)

    def _usual(self, type_: InstanceType, zone: str) -> float:
        return usual_spot_price(self.on_demand(type_, zone[:-1]), zone)

    # --- quotas ---------------------------------------------------------------------------------------------------------

    def quota(self, code: str, region: str) -> float:
        """vCPUs that may run at once."""
        return self._quotas.get(f"{region}/{code}", self._quotas.get(code, DEFAULT_QUOTA))

    def set_quota(self, code: str, value: float, region: str | None) -> None:
        """Another quota, in one region or in all."""
        if region is None:
            for key in [key for key in self._quotas if key.endswith(f"/{code}")]:
                del self._quotas[key]
        self._quotas[code if region is None else f"{region}/{code}"] = value

    # --- room -----------------------------------------------------------------------------------------------------------

    def offered(self, type_: str, zone: str) -> bool:
        """Whether a zone has a type at all."""
        return type_ in instance_types() and zone not in self._plan.unoffered.get(type_, ())

    def capacity(self, type_: str, zone: str, *, spot: bool) -> int | None:
        """How many instances of a type fit in a zone, None: as many as are asked for. The most exact rule counts."""
        rules = self._capacity[spot]
        for key in (f"{zone}/{type_}", f"{zone}/*", f"*/{type_}", "*/*"):
            if key in rules:
                return rules[key]
        return None

    def set_capacity(self, count: int | None, *, zone: str, type_: str, spot: bool) -> None:
        """Another number that fits, None: any."""
        self._capacity[spot][f"{zone}/{type_}"] = count


def _is_for(price: SpotPrice, zone: str, type_: str) -> bool:
    return fnmatchcase(zone, price.zone) and fnmatchcase(type_, price.type)
