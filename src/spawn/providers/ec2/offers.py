"""Which offer of a fleet the next launch takes, and how many instances of it; or why none for now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from spawn.domain.fleets import MAX_PER_CALL, Market, Offer
from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.pacing import RUN_INSTANCES, RUN_RESOURCES
from spawn.providers.ec2.turn import Array, Subject, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An offer, its place in the fleet, how it is paid for, and how many instances of it are asked for now."""

    offer: Offer
    place: int
    market: Market
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """No launch for now, and why."""

    why: Hindrance


_NO_ROOM_FIRST_S: Final = 15.0
_NO_ROOM_MOST_S: Final = 300.0


def offer_subject(account: str, offer: Offer, market: Market) -> Subject:
    """What is held while EC2 has no room for an offer."""
    return ("offer", account, offer.region, offer.zone, offer.type, market.value)


def offer_subject_of(array: Array, instance: Any) -> Subject:
    """The same, by an instance that the ledger has."""
    return ("offer", array.account, instance["region"], instance["zone"], instance["type"], instance["market"])


def hold_offer(turn: Turn, subject: Subject, sentence: str) -> None:
    """EC2 has no room for an offer: the next one takes its place, and it is asked for again after 15 s, and after up to five minutes when that fails again."""
    _, _, _, zone, kind, market = subject
    why = f"no capacity: {kind} {market} in {zone}: {sentence}"
    turn.hold(subject, why, because=Because.NO_CAPACITY, first_s=_NO_ROOM_FIRST_S, most_s=_NO_ROOM_MOST_S)


def quota_subject(account: str, region: str, market: Market) -> Subject:
    """What is held while an account may run no more instances in a region."""
    return ("quota", account, region, market.value)


def run_subject(account: str, region: str) -> Subject:
    """What is held while EC2 throttles RunInstances."""
    return ("RunInstances", account, region)


Load = dict[tuple[str, str, Market], int]
"""vCPUs of ours that run or are asked for, by account, region and market."""


def load_of(turn: Turn) -> Load:
    """What the instances and open launches of all arrays take."""
    rows = turn.ledger.rows(
        "SELECT array.account, instance.region, instance.market, sum(instance.vcpus) AS vcpus FROM instance JOIN array USING (key) "
        "WHERE instance.settled = 0 AND instance.state NOT IN ('stopped', 'terminated') GROUP BY 1, 2, 3"
    )
    load: Load = {(row["account"], row["region"], Market(row["market"])): row["vcpus"] for row in rows}
    opened = turn.ledger.rows("SELECT * FROM launch WHERE state = 'open'")
    for array in turn.arrays() if opened else ():
        for launch in opened:
            if launch["key"] == array.key:
                place = (array.account, launch["region"], Market(launch["market"]))
                load[place] = load.get(place, 0) + launch["count"] * array.fleet.offers[launch["offer"]].vcpus
    return load


def choose(turn: Turn, array: Array, wanted: int, number: int, load: Load) -> Choice | Nothing:
    """The first offer with room, in the fleet's order: zones in turn, then other types, then on-demand for spot with its fallback.

    An offer whose region is throttled is waited for; only one that EC2 has no room for gives way to another type or market.
    """
    why: list[Hindrance] = []
    for market in _markets(array):
        waits: list[Hindrance] = []
        for group in _groups(array.fleet.offers, number):
            found = [_judged(turn, array, place, offer, market, wanted, load) for place, offer in group]
            for choice in found:
                if isinstance(choice, Choice):
                    return choice
            waiting = [choice.why for choice in found if isinstance(choice, _Waits)]
            if any(isinstance(choice, _Waits) and choice.for_us for choice in found):
                return Nothing(why=waiting[0])
            waits += waiting
            why += [choice.why for choice in found if isinstance(choice, Nothing)]
        if waits:  # over quota: the market has room when instances end, so that another one is not paid for instead
            return Nothing(why=waits[0])
    return Nothing(why=why[0] if why else Hindrance(Because.REFUSED, "the launch has no offer"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waits:
    """It would do, but not yet. `for_us`: for the pace of calls; otherwise for the quota."""

    why: Hindrance
    for_us: bool


def _markets(array: Array) -> Iterator[Market]:
    options = array.fleet.options
    yield Market.SPOT if options.spot else Market.ON_DEMAND
    if options.on_demand_fallback:
        yield Market.ON_DEMAND


def _groups(offers: tuple[Offer, ...], number: int) -> Iterator[list[tuple[int, Offer]]]:
    """The offers of each type, in turn: another launch begins with another zone."""
    for _, of_type in groupby(enumerate(offers), key=lambda entry: entry[1].type):
        group = list(of_type)
        first = number % len(group)
        yield group[first:] + group[:first]


def _judged(turn: Turn, array: Array, place: int, offer: Offer, market: Market, wanted: int, load: Load) -> Choice | Nothing | _Waits:
    account = array.account
    if hold := turn.held(offer_subject(account, offer, market)):
        return Nothing(why=hold.why)
    if hold := turn.held(quota_subject(account, offer.region, market)):
        return _Waits(why=hold.why, for_us=False)
    room = _room(array.fleet.quotas, offer, market, load.get((account, offer.region, market), 0))
    if room is not None and room < 1:
        quota = array.fleet.quotas[f"{offer.region}/{market.value}"]
        return _Waits(
            why=Hindrance(
                Because.OVER_QUOTA, f"over quota: the account may run {quota:g} vCPUs {market.value} in {offer.region} at once; it goes on when instances end"
            ),
            for_us=False,
        )
    if hold := turn.held(run_subject(account, offer.region)):
        return _Waits(why=hold.why, for_us=True)
    count = min(wanted, MAX_PER_CALL, wanted if room is None else room)
    refused = turn.memory.holds.get(quota_subject(account, offer.region, market))
    if refused is not None:  # for so many there was no room under the quota, which others use, too: there may be for half of them
        count = max(1, count >> refused.failures)
    wait = max(
        turn.tokens_in(array, offer.region, "RunInstances", RUN_INSTANCES, 1),
        turn.tokens_in(array, offer.region, "RunInstances/instances", RUN_RESOURCES, count),
    )
    if wait:
        turn.wake_at(type(turn.now)(turn.now + wait))
        paced = f"paced: EC2 takes 1,000 new instances at once in {offer.region}, and 2 more each second"
        return _Waits(why=Hindrance(Because.PACED, paced), for_us=True)
    if refused is not None:  # one such try at a time
        turn.memory.holds[quota_subject(account, offer.region, market)] = replace(refused, until=type(turn.now)(turn.now + 1000))
    return Choice(offer=offer, place=place, market=market, count=count)


def _room(quotas: Mapping[str, float], offer: Offer, market: Market, used: int) -> int | None:
    quota = quotas.get(f"{offer.region}/{market.value}")
    return None if quota is None else int((quota - used) // offer.vcpus)
