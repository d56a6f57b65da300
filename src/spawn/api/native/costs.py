"""What arrays have cost so far, and will have cost at their end: on EC2 what is paid, on this machine what would have been."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from spawn.api.native.planning import price_object
from spawn.api.native.references import References
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.domain.costs import HOURS_A_MONTH, Price
from spawn.domain.errors import UsageError
from spawn.domain.fleets import DEFAULT_TYPE, Fleet, Life, Market
from spawn.domain.ids import AttemptId
from spawn.domain.instances import OnComplete
from spawn.domain.instants import Instant, iso, later
from spawn.domain.jobs import Job
from spawn.domain.queues import EC2, LOCAL
from spawn.domain.spending import Prospect, Spent, by_day, by_position, by_type, outlook, total
from spawn.domain.states import NOT_STARTED, SETTLED, UNDER_WAY, Status
from spawn.engine.fleets import Fleets
from spawn.engine.ports import Clock, Records
from spawn.engine.records import JobRow

Json = dict[str, Any]

WAYS: Final = ("index", "day", "type")
"""By what costs can be told apart."""

_BLOCK: Final = 10_000
"""Children whose attempts are read at a time."""

_LATELY: Final = timedelta(minutes=2)
"""EC2 is asked every half minute at least how instances stand that live: after this time it does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrices:
    """What EC2 asks for instances by the table shipped with spawn, for arrays that never ran there."""

    region: str
    of_type: Callable[[str], Price | None]  #: None: the table does not have it
    of_volumes: Callable[[], float]  #: a GiB-month of a root volume
    volume_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Answers `GET /v1/costs`. Asks nobody: it goes by what has been seen."""

    records: Records
    clock: Clock
    fleets: Fleets | None  #: None: this engine has no provider for EC2
    prices: ListPrices

    def costs(self, *, refs: Sequence[str], tags: Mapping[str, str], by: str | None) -> Json:
        """The arrays named, or all that carry the tags, newest first."""
        if by is not None and by not in WAYS:
            raise UsageError(f"'{by[:60]}' is not a way to tell costs apart: use one of {', '.join(WAYS)}")
        references = References(self.records)
        rows = [references.job(ref) for ref in refs] if refs else list(self.records.all_jobs(tags))[::-1]
        rows = [row for row in rows if all(row.job.tags.get(name) == value for name, value in tags.items())]
        return {"schema_version": SCHEMA_VERSION, "arrays": [self._of(row, by) for row in rows]}

    def _of(self, row: JobRow, by: str | None) -> Json:
        job, now = row.job, self.clock.now()
        lives = list(self._lives(row))
        prospect = self._prospect(row, lives)
        spent, ahead = total(lives, now), outlook(lives, now, prospect)
        return {
            "schema_version": SCHEMA_VERSION,
            "array_id": job.id,
            "name": job.name,
            "kind": "array" if job.is_array else "job",
            "provider": LOCAL if job.fleet is None else EC2,
            "size": job.size,
            "status": row.status.name,
            "hypothetical": job.fleet is None,
            **_spent(spent),
            "running": sum(life.ended is None and not life.stopped for life in lives),
            "usd_expected": _rounded(ahead.expected),
            "usd_at_most": _rounded(ahead.at_most),
            "prices": _prices(lives),
            "parts": None if by is None else list(_parts(job, lives, by, now)),
            "as_of": iso(now),
            "notes": self._notes(job, lives),
        }

    def _notes(self, job: Job, lives: Sequence[Life]) -> list[str]:
        if job.fleet is not None:
            return [*self._uncounted(job, {life.instance_id for life in lives}), *_not_heard_of(lives, self.clock.now())]
        wanted = _type_wanted(job)
        known = self.prices.of_type(wanted)
        what = "what ran on this machine cost nothing: shown is what it would have cost on EC2, with an instance for every attempt, ended with it"
        return [what] if known is not None else [what, f"the table of prices does not have {wanted}: {DEFAULT_TYPE} stands for it"]

    def _uncounted(self, job: Job, counted: Collection[str]) -> list[str]:
        """What is said of instances that had ended before this machine took the array over, or were launched by another one and never met here."""
        ran = {row["instance_id"] for row in self.records.read("attempts_of", {"key": int(job.key, 16), "low": 0, "high": job.size - 1})}
        known = 0 if self.fleets is None else sum(self.fleets.states(job.key).values())
        count = max(len(ran - {None} - set(counted)), known - len(counted))
        if count < 1:
            return []
        what, they, them = ("1 instance whose life was", "it", "it") if count == 1 else (f"{count} instances whose lives were", "they", "them")
        were = "was" if count == 1 else "were"
        return [f"not counted: {what} not seen here: {they} ended before the array was adopted, or {were} launched elsewhere, where `spawn cost` knows {them}"]

    def _lives(self, row: JobRow) -> Iterator[Life]:
        if row.job.fleet is None:
            return self._lives_here(row.job)
        return iter(() if self.fleets is None else self.fleets.lives(row.job.key))

    def _lives_here(self, job: Job) -> Iterator[Life]:
        """The attempts of a local array, each as the life of an instance of its own."""
        kind, price = self._price_of(job)
        volume_usd = self.prices.of_volumes()
        for low in range(0, job.size, _BLOCK):
            wanted: dict[str, object] = {"key": int(job.key, 16), "low": low, "high": low + _BLOCK - 1}
            began = [(row[0], row[1], row[2], row[3]) for row in self.records.read("attempts_of", wanted)]
            began += [(row[0], row[2], row[4], None) for row in self.records.read("members", wanted) if Status(row[1]) in UNDER_WAY]
            for position, attempt, started_at, stopped_at in began:
                if started_at is not None:
                    yield Life(
                        instance_id=AttemptId(job.key, position, attempt).instance_id,
                        region=self.prices.region,
                        zone="",
                        type=kind,
                        market=Market.ON_DEMAND,
                        began=started_at,
                        ended=stopped_at,
                        usd_per_hour=price,
                        positions=(position,),
                        volume_gib=self.prices.volume_gib,
                        volume_usd_gib_month=volume_usd,
                    )

    def _price_of(self, job: Job) -> tuple[str, Price]:
        wanted = _type_wanted(job)
        found = self.prices.of_type(wanted)
        if found is not None:
            return wanted, found
        default = self.prices.of_type(DEFAULT_TYPE)
        assert default is not None, "the table has the default type"
        return DEFAULT_TYPE, default

    def _prospect(self, row: JobRow, lives: Sequence[Life]) -> Prospect:
        job = row.job
        if row.status in SETTLED:
            launches = 0
        else:
            waiting = sum(row.counts[status] for status in (*NOT_STARTED, Status.STARTING))
            launches = waiting if job.fleet is None else self._still_to_launch(row, job.fleet, lives, waiting)
        facts = {} if job.fleet is None or self.fleets is None else self.fleets.instances(job.key)
        return Prospect(
            launches=launches,
            usd_per_hour=self._hourly(job),
            ttl=job.lifetime.ttl,
            lives_to_ttl=job.fleet is not None and job.lifetime.on_complete is not OnComplete.TERMINATE,
            ends={one.instance_id: one.ends_at for one in facts.values() if one.ends_at is not None},
        )

    def _still_to_launch(self, row: JobRow, fleet: Fleet, lives: Sequence[Life], waiting: int) -> int:
        """Instances that an array needs and does not have yet. Those that live on after their work are of no use to it."""
        if fleet.options.instances is not None:
            return max(0, min(fleet.options.instances, row.job.size) - len({life.instance_id for life in lives})) if waiting else 0
        done = {position for position, record in self.records.rows(row.job.key) if Status(record.status) in SETTLED} if waiting else set()
        at_work = sum(life.ended is None and not life.stopped and not done.issuperset(life.positions) for life in lives)
        return max(0, waiting - max(0, at_work - row.counts[Status.RUNNING]))

    def _hourly(self, job: Job) -> float:
        """What an hour of an instance that is still to be launched will cost, volume and public address included."""
        if job.fleet is None:
            return self._price_of(job)[1].usd + self.prices.volume_gib * self.prices.of_volumes() / HOURS_A_MONTH
        offer = job.fleet.offers[0]
        price = (offer.spot if job.fleet.options.spot else None) or offer.on_demand
        volume = job.fleet.volume_gib * job.fleet.volume_usd_gib_month / HOURS_A_MONTH
        return (price.usd if price is not None else 0.0) + volume + offer.address_usd


def _type_wanted(job: Job) -> str:
    """The instance type that an array on this machine was launched with, if any."""
    named = job.cloud.get("instance_types") or job.cloud.get("instance_type")
    found = named[0] if isinstance(named, (list, tuple)) and named else named
    return found if isinstance(found, str) else DEFAULT_TYPE


def _parts(job: Job, lives: Sequence[Life], by: str, now: Instant) -> Iterator[Json]:
    nothing: Json = {"index": None, "day": None, "type": None, "market": None, "region": None}
    if by == "index":
        found = by_position(lives, now)
        for position in sorted(found, key=lambda position: (position is None, position or 0)):
            index = job.index_at(position) if position is not None and job.is_array else None
            yield nothing | {"index": index} | _spent(found[position])
    elif by == "day":
        for day, spent in by_day(lives, now).items():
            yield nothing | {"day": day} | _spent(spent)
    else:
        for kind, spent in by_type(lives, now).items():
            yield nothing | kind._asdict() | _spent(spent)


def _spent(spent: Spent) -> Json:
    return {
        "instances": spent.instances,
        "hours": round(spent.hours, 6),
        "usd": _rounded(spent.usd),
        "volume_usd": _rounded(spent.volume_usd),
        "address_usd": _rounded(spent.address_usd),
    }


def _not_heard_of(lives: Sequence[Life], now: Instant) -> list[str]:
    """What is said of instances that EC2 has not been heard about lately, and that may cost more than is counted."""
    since = [life.known_to for life in lives if life.ended is None and life.known_to is not None and later(life.known_to, _LATELY) < now]
    if not since:
        return []
    what, how = ("1 instance costs", "it stands") if len(since) == 1 else (f"{len(since)} instances cost", "they stand")
    return [f"not counted: what {what} since {iso(min(since))}, when EC2 last said how {how}; the engine goes on asking"]


def _prices(lives: Sequence[Life]) -> list[Json]:
    """What instances were paid at, and how many at each price; prices are averages of the spot market's, so those that look the same are one."""
    paid: dict[tuple[str, str, str, Price], set[str]] = {}
    for life in lives:
        if not life.stopped:
            price = replace(life.usd_per_hour, usd=round(life.usd_per_hour.usd, 6))
            paid.setdefault((life.type, life.market.value, life.region, price), set()).add(life.instance_id)
    ordered = sorted(paid.items(), key=lambda entry: (entry[0][:3], entry[0][3].usd, entry[0][3].as_of))
    return [
        {"type": kind, "market": market, "region": region, "instances": len(those)} | price_object(price) for (kind, market, region, price), those in ordered
    ]


def _rounded(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 6)
