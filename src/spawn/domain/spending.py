"""What instances have cost so far and will have cost at the end: the sum of their lives, whole or by index, day and type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar

from spawn.domain.costs import HOURS_A_MONTH, MIN_BILLED_S
from spawn.domain.fleets import Life
from spawn.domain.instants import Instant, later, to_datetime

K = TypeVar("K")

_MINIMUM: Final = timedelta(seconds=MIN_BILLED_S)
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


class Spent(NamedTuple):
    """Instances, the hours that they ran, and US dollars; those of root volumes and of public addresses are part of `usd`."""

    instances: int = 0
    hours: float = 0.0
    usd: float = 0.0
    volume_usd: float = 0.0
    address_usd: float = 0.0

    def and_also(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            self.instances + other.instances,
            self.hours + other.hours,
            self.usd + other.usd,
            self.volume_usd + other.volume_usd,
            self.address_usd + other.address_usd,
        )


class TypeKey(NamedTuple):
    """One kind of instance on the bill."""

    type: str
    market: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What is known of an array's future."""

    launches: int = 0  #: instances still to be launched
    usd_per_hour: float = 0.0  #: of each of those, volume and public address included
    ttl: timedelta | None = None
    lives_to_ttl: bool = False  #: instances live on when their work is done
    ends: Mapping[str, Instant] = field(default_factory=dict)  #: when instances end at the latest, by id, where that is not their launch and the TTL


class Outlook(NamedTuple):
    """US dollars at the end of an array; None where nothing tells."""

    expected: float | None
    at_most: float | None


def billed_until(life: Life, now: Instant) -> Instant:
    """Up to when a life is on the bill, as far as is known now. What is said once is never taken back: it goes no further than is certain."""
    until = life.known_to if life.known_to is not None else life.ended if life.ended is not None else now
    return max(until, later(life.began, _MINIMUM))


def hourly(life: Life) -> float:
    """US dollars that an hour of it costs, root volume and public address included."""
    return life.usd_per_hour.usd + _volume_hourly(life) + _address_hourly(life)


def _volume_hourly(life: Life) -> float:
    return life.volume_gib * life.volume_usd_gib_month / HOURS_A_MONTH


def _address_hourly(life: Life) -> float:
    return 0.0 if life.stopped else life.address_usd


def _spent(life: Life, begin: int, end: int) -> Spent:
    hours = (end - begin) / _HOUR_MS
    return Spent(1, 0.0 if life.stopped else hours, hours * hourly(life), hours * _volume_hourly(life), hours * _address_hourly(life))


def _summed(parts: Iterable[tuple[K, str, Spent]]) -> dict[K, Spent]:
    """The sum for each key; each part comes with its instance, all stretches of which are one instance."""
    found: dict[K, Spent] = {}
    seen: set[tuple[K, str]] = set()
    for key, instance, part in parts:
        found[key] = found.get(key, Spent()).and_also(part._replace(instances=0) if (key, instance) in seen else part)
        seen.add((key, instance))
    return found


def total(lives: Iterable[Life], now: Instant) -> Spent:
    """What all of them have cost so far."""
    return _summed((None, life.instance_id, _spent(life, life.began, billed_until(life, now))) for life in lives).get(None, Spent())


def by_position(lives: Iterable[Life], now: Instant) -> dict[int | None, Spent]:
    """What each child has cost: an instance of several is shared by them in equal parts, and one that ran none is None's."""
    return _summed(part for life in lives for part in _shares(life, now))


def _shares(life: Life, now: Instant) -> Iterator[tuple[int | None, str, Spent]]:
    whole = _spent(life, life.began, billed_until(life, now))
    sharers: Sequence[int | None] = sorted(set(life.positions)) or [None]
    for position in sharers:
        hours, usd, volume_usd, address_usd = (part / len(sharers) for part in whole[1:])
        yield position, life.instance_id, Spent(1, hours, usd, volume_usd, address_usd)


def by_day(lives: Iterable[Life], now: Instant) -> dict[str, Spent]:
    """What each day (UTC, ISO 8601) has cost, oldest first; an instance counts on every day that it lived."""
    days = ((life, *day) for life in lives for day in _days(life.began, billed_until(life, now)))
    return dict(sorted(_summed((day, life.instance_id, _spent(life, begin, end)) for life, day, begin, end in days).items()))


def _days(begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    while begin < end:
        midnight = (begin // _DAY_MS + 1) * _DAY_MS
        yield to_datetime(Instant(begin)).date().isoformat(), begin, min(midnight, end)
        begin = midnight


def by_type(lives: Iterable[Life], now: Instant) -> dict[TypeKey, Spent]:
    """What each kind of instance has cost."""
    parts = ((TypeKey(life.type, life.market.value, life.region), life.instance_id, _spent(life, life.began, billed_until(life, now))) for life in lives)
    return dict(sorted(_summed(parts).items()))


def outlook(lives: Sequence[Life], now: Instant, prospect: Prospect) -> Outlook:
    """What all will have cost at the end: expected, when every instance lives as long as those did that have ended, and at most, when each lives to its TTL."""
    so_far = total(lives, now).usd
    running = [life for life in lives if life.ended is None]
    if not running and not prospect.launches:
        return Outlook(so_far, so_far)
    at_most = _at_ttl(running, now, prospect, so_far)
    ended_ms = [billed_until(life, now) - life.began for life in lives if life.ended is not None and not life.stopped]
    if prospect.lives_to_ttl or not ended_ms:
        return Outlook(at_most, at_most)
    usual_ms = sum(ended_ms) / len(ended_ms)
    expected = so_far + sum(hourly(life) * max(0.0, life.began + usual_ms - billed_until(life, now)) / _HOUR_MS for life in running)
    expected += prospect.launches * prospect.usd_per_hour * usual_ms / _HOUR_MS
    return Outlook(expected if at_most is None else min(expected, at_most), at_most)


def _at_ttl(running: Sequence[Life], now: Instant, prospect: Prospect, so_far: float) -> float | None:
    if prospect.ttl is None and (prospect.launches or any(life.instance_id not in prospect.ends for life in running)):
        return None
    ttl = prospect.ttl or timedelta()
    left = sum(hourly(life) * max(0, prospect.ends.get(life.instance_id, later(life.began, ttl)) - billed_until(life, now)) / _HOUR_MS for life in running)
    return so_far + left + prospect.launches * prospect.usd_per_hour * ttl.total_seconds() / 3600
