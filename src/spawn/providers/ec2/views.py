"""What the doors read of the ledger: instances and their lives. Any thread; nothing here asks AWS or writes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from typing import Any, Final

from spawn.domain.costs import Price
from spawn.domain.fleets import Fleet, InstanceFacts, Life, Market
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine.fleets import Access
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.stored import decode_job

_SPANS: Final = """
SELECT instance.*, span.began, span.ended, span.stopped, span.usd AS paid, span.price_source AS paid_source, span.price_as_of AS paid_as_of,
    coalesce(span.sure, span.ended, CASE WHEN instance.seen_at IS NOT NULL THEN look.at END, span.began) AS known_to
FROM span JOIN instance ON instance.id = span.instance LEFT JOIN look ON look.key = instance.key AND look.region = instance.region
WHERE span.key = ? ORDER BY span.began, instance.id
"""


class LedgerReader:
    """Reads what has been seen."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def job(self, key: ArrayKey) -> Job | None:
        """The job of an array, None when this ledger has none."""
        row = self._ledger.one("SELECT * FROM array WHERE key = ?", key)
        return None if row is None else decode_job(row["body"])

    def access(self, key: ArrayKey) -> Access | None:
        """With whose access an array is worked on: secrets among it."""
        row = self._ledger.one("SELECT access FROM array WHERE key = ?", key)
        found: Access | None = None if row is None else json.loads(row["access"])
        return found

    def is_live(self, key: ArrayKey) -> bool:
        """Whether anything of an array is still to be done or watched."""
        return self._ledger.one("SELECT 1 FROM array WHERE key = ? AND live = 1", key) is not None

    def instances(self, key: ArrayKey, positions: Collection[int] | None = None) -> dict[int, InstanceFacts]:
        """The latest instance of each child, as last seen, by position."""
        rows = self._ledger.rows("SELECT position, attempt, instance FROM attempt WHERE key = ? AND instance IS NOT NULL ORDER BY position, attempt", key)
        latest = {row["position"]: row["instance"] for row in rows}
        attempts: dict[str, list[AttemptId]] = defaultdict(list)
        for row in rows:
            attempts[row["instance"]].append(AttemptId(key, row["position"], row["attempt"]))
        found = {row["id"]: row for row in self._ledger.rows("SELECT * FROM instance WHERE key = ?", key)}
        wanted = latest.keys() if positions is None else latest.keys() & set(positions)
        facts = {one: _facts(found[one], tuple(attempts[one])) for one in {latest[position] for position in wanted} if one in found}
        return {position: facts[latest[position]] for position in sorted(wanted) if latest[position] in facts}

    def states(self, key: ArrayKey) -> dict[InstanceState, int]:
        """How many instances of an array are in each state, as last seen: those that ended, and those on which no child stands, too."""
        rows = self._ledger.rows("SELECT state, count(*) AS n FROM instance WHERE key = ? GROUP BY state", key)
        found = {InstanceState(row["state"]): int(row["n"]) for row in rows}
        return {state: found[state] for state in InstanceState if state in found}

    def lives(self, key: ArrayKey) -> list[Life]:
        """The lives of all instances of an array so far, the oldest first; between a stop and a start, which costs only the volume, is a life of its own."""
        row = self._ledger.one("SELECT * FROM array WHERE key = ?", key)
        if row is None:
            return []
        fleet = decode_job(row["body"]).fleet
        if fleet is None:
            return []
        positions = self._positions(key)
        return [_life(row, fleet, positions.get(row["id"], ())) for row in self._ledger.rows(_SPANS, key)]

    def _positions(self, key: ArrayKey) -> dict[str, tuple[int, ...]]:
        """The children that each instance was launched for or ran."""
        found: dict[str, set[int]] = defaultdict(set)
        for row in self._ledger.rows("SELECT instance, position FROM attempt WHERE key = ? AND instance IS NOT NULL", key):
            found[row["instance"]].add(row["position"])
        for row in self._ledger.rows("SELECT instance.id, launch_index, members FROM instance JOIN launch USING (token) WHERE instance.key = ?", key):
            members = json.loads(row["members"])
            if row["launch_index"] < len(members):
                found[row["id"]].update(position for position, _ in members[row["launch_index"]])
        return {instance: tuple(sorted(positions)) for instance, positions in found.items()}


def _life(row: Any, fleet: Fleet, positions: tuple[int, ...]) -> Life:
    price = Price(usd=row["usd"], source=row["price_source"], as_of=row["price_as_of"])
    if row["stopped"]:
        price = Price(usd=0.0, source="a stopped instance is not charged", as_of=row["price_as_of"])
    elif row["paid"] is not None:
        price = Price(usd=row["paid"], source=row["paid_source"], as_of=row["paid_as_of"])
    return Life(
        instance_id=row["id"],
        region=row["region"],
        zone=row["zone"],
        type=row["type"],
        market=Market(row["market"]),
        began=Instant(row["began"]),
        ended=_instant(row["ended"]),
        known_to=Instant(max(row["began"], row["known_to"])),
        usd_per_hour=price,
        positions=positions,
        stopped=bool(row["stopped"]),
        volume_gib=fleet.volume_gib,
        volume_usd_gib_month=fleet.volume_usd_gib_month,
        address_usd=max((offer.address_usd for offer in fleet.offers if offer.zone == row["zone"]), default=0.0),
    )


def _facts(row: Any, attempts: tuple[AttemptId, ...]) -> InstanceFacts:
    return InstanceFacts(
        instance_id=row["id"],
        region=row["region"],
        zone=row["zone"],
        type=row["type"],
        market=Market(row["market"]),
        state=InstanceState(row["state"]),
        address=row["address"],
        image=row["image"],
        key_name=row["key_name"],
        launched_at=_instant(row["launched_at"]),
        ended_at=_instant(row["ended_at"]),
        ended_why=row["ended_why"],
        checked_in_at=_instant(row["checked_in_at"]),
        heard_at=_instant(row["heard_at"]),
        ends_at=_instant(row["ends_at"]),
        extended_to=_instant(row["extended_to"]),
        unsent=row["unsent"],
        attempts=attempts,
    )


def _instant(value: int | None) -> Instant | None:
    return None if value is None else Instant(value)
