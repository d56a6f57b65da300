"""What the engine answers about money (docs/api.md): plans before a launch, and costs after it."""

from __future__ import annotations

from msgspec import Struct, field


class Price(Struct, frozen=True, kw_only=True):
    """US dollars an hour, where that was read, and the day it holds for."""

    usd: float
    source: str
    as_of: str


class Quote(Struct, frozen=True, kw_only=True):
    """What one way to run an array costs at most."""

    label: str
    instances: int
    hours: float
    usd: float
    volume_usd: float
    address_usd: float = 0.0
    price: Price


class Offer(Struct, frozen=True, kw_only=True):
    """One way to launch an instance: a type in a zone."""

    region: str
    zone: str
    type: str
    vcpus: int
    memory_mib: int
    architecture: str
    ami: str
    on_demand: Price | None = None
    spot: Price | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """What a launch on EC2 takes and costs, before it happens. The first quote is what was asked for; there is none when no price is known.

    There is no `usd` then, nor without a TTL: `usd_per_hour` is what an hour of all instances costs.
    """

    schema_version: int
    provider: str
    name: str
    children: int
    instances: int
    instance_types: list[str]
    spot: bool
    regions: list[str]
    zones: list[str]
    account: str
    bucket: str
    bucket_region: str
    ttl_s: float | None
    volume_gib: int
    volume_usd_gib_month: float
    run_calls: int
    seconds: float
    seconds_one_by_one: float
    vcpus: int
    quota: float | None
    waves: int
    usd: float | None
    usd_per_hour: float | None
    quotes: list[Quote]
    offers: list[Offer]
    notes: list[str] = field(default_factory=list)


class PaidPrice(Price, frozen=True, kw_only=True):
    """A price, what it was paid for, and for how many instances."""

    type: str
    market: str
    region: str
    instances: int


class CostPart(Struct, frozen=True, kw_only=True):
    """A part of what an array has cost: of an index (None: of no one), a day, or a kind of instance."""

    index: int | None = None
    day: str | None = None
    type: str | None = None
    market: str | None = None
    region: str | None = None
    instances: int
    hours: float
    usd: float
    volume_usd: float
    address_usd: float = 0.0


class Cost(Struct, frozen=True, kw_only=True):
    """What an array has cost so far, and will have at its end. `hypothetical`: it ran on this machine, and would have cost this on EC2."""

    schema_version: int
    array_id: str
    name: str
    kind: str
    provider: str
    size: int
    status: str
    hypothetical: bool
    instances: int
    running: int
    hours: float
    usd: float
    volume_usd: float
    address_usd: float = 0.0
    usd_expected: float | None
    usd_at_most: float | None
    prices: list[PaidPrice] = field(default_factory=list)
    parts: list[CostPart] | None = None
    as_of: str
    notes: list[str] = field(default_factory=list)
