"""What each instance is paid for: times when it ran, times when only its volume was kept, and what the spot market really took."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any, Final

from spawn.domain.fleets import Market
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant, to_datetime
from spawn.providers.ec2.prices import SPOT_HISTORY, average_of
from spawn.providers.ec2.turn import Array, Refusal, Turn

PRICE_WITHIN_S: Final = 3600.0
"""How long after its end the price of a life is looked for; then it stays what its offer said."""

_UNPRICED: Final = """
SELECT span.*, region, zone, type FROM span JOIN instance ON instance.id = span.instance
WHERE span.key = ? AND instance.market = ? AND stopped = 0 AND span.ended IS NOT NULL AND span.usd IS NULL AND span.ended > ? AND type <> ''
"""


_END = "UPDATE span SET ended = max(began, coalesce(sure, began), coalesce(?1, began), ?2), sure = NULL WHERE instance = ?3 AND ended IS NULL"
_STOP_COUNTING = "UPDATE span SET sure = max(began, coalesce(?, began)) WHERE instance = ? AND ended IS NULL AND sure IS NULL"


def begin_span(turn: Turn, key: ArrayKey, instance_id: str, at: Instant, *, stopped: bool, seen_at: Instant | None = None) -> None:
    """An instance is paid for from now on, or only its volume. Again: nothing. `seen_at`: when EC2 last had it in another state."""
    open_ = turn.ledger.one("SELECT 1 FROM span WHERE instance = ? AND ended IS NULL AND stopped = ?", instance_id, stopped)
    if open_ is None:
        turn.ledger.write(_END, seen_at, at, instance_id)
        turn.ledger.write("INSERT OR IGNORE INTO span (instance, key, began, stopped) VALUES (?, ?, ?, ?)", instance_id, key, at, stopped)


def keep_books(turn: Turn, array: Array, row: Any, state: str, at: Instant | None) -> None:
    """An instance took another state, at that time by EC2's word; None: it does not say when, and somebody looks now.

    What was counted stays: nothing ends before the last look that had it otherwise.
    """
    seen_at, since = _last_look(turn, row), turn.now if at is None else at
    if state in ("pending", "running"):
        began = Instant(row["launched_at"]) if row["state"] in ("pending", "running") else since
        begin_span(turn, array.key, row["id"], began, stopped=False, seen_at=seen_at)
    elif state in ("stopping", "stopped"):
        begin_span(turn, array.key, row["id"], since, stopped=True, seen_at=seen_at)
    elif at is not None:
        turn.ledger.write(_END, seen_at, at, row["id"])
    else:
        turn.ledger.write(_STOP_COUNTING, seen_at, row["id"])
        turn.ledger.write("UPDATE span SET ended = max(sure, ?) WHERE instance = ? AND ended IS NULL", since, row["id"])


def end_spans_at(turn: Turn, instance_id: str, at: Instant) -> None:
    """It is known now when an instance really ended of which that was not certain: no later than it was seen to have, and not before it was seen alive."""
    turn.ledger.write("UPDATE span SET ended = max(sure, min(coalesce(ended, ?1), ?1)), sure = NULL WHERE instance = ?2 AND sure IS NOT NULL", at, instance_id)


# --- up to when it is certain -------------------------------------------------------------------------------------------


def note_look(turn: Turn, key: ArrayKey, region: str) -> None:
    """EC2 said how the instances of an array in a region stand: those that it has, and that were not missed, are paid for up to now."""
    turn.ledger.write("INSERT INTO look (key, region, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)", key, region, turn.now)


def stop_counting(turn: Turn, row: Any) -> None:
    """EC2 does not list an instance: it is not known to be paid for any longer than up to the last look that had it. Again: nothing."""
    turn.ledger.write(_STOP_COUNTING, _last_look(turn, row), row["id"])


def go_on_counting(turn: Turn, instance_id: str) -> None:
    """EC2 lists it again. It had not ended, so it was paid for all the time."""
    turn.ledger.write("UPDATE span SET sure = NULL WHERE instance = ? AND ended IS NULL AND sure IS NOT NULL", instance_id)


def _last_look(turn: Turn, row: Any) -> Instant | None:
    """When EC2 last had an instance as the ledger has it; None: never."""
    found = turn.ledger.one("SELECT at FROM look WHERE key = ? AND region = ?", row["key"], row["region"])
    return None if found is None or row["seen_at"] is None or row["missed"] else Instant(found["at"])


def never_charged(turn: Turn, instance_id: str) -> None:
    """EC2 ended an instance before it ran: it is on no bill."""
    day = to_datetime(turn.now).date().isoformat()
    turn.ledger.write(
        "UPDATE span SET usd = 0, price_source = 'an instance that never ran is not charged', price_as_of = ? WHERE instance = ?", day, instance_id
    )


def has_unpriced(turn: Turn, array: Array) -> bool:
    """Whether the spot market's price of a life is still to be looked up."""
    return bool(_unpriced(turn, array))


def _unpriced(turn: Turn, array: Array) -> list[Any]:
    return turn.ledger.rows(_UNPRICED, array.key, Market.SPOT.value, turn.now - round(PRICE_WITHIN_S * 1000))


def price_spans(turn: Turn, arrays: list[Array]) -> None:
    """Look up what spot instances that have ended were really charged: one question for all of a type, region and array."""
    for array in arrays:
        groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in _unpriced(turn, array):
            groups[row["region"], row["type"]].append(row)
        for (region, kind), rows in groups.items():
            if turn.held(("prices", region, kind)) or turn.held(turn.access_subject(array)):
                continue
            answer = turn.crew.all([partial(_history, turn, array, region, kind, min(row["began"] for row in rows), max(row["ended"] for row in rows))])[0]
            if isinstance(answer, Exception):
                turn.hold(("prices", region, kind), Refusal.of(answer, f"look up spot prices in {region}").sentence, first_s=10.0, most_s=600.0)
                continue
            turn.hold(("prices", region, kind), "just looked up", for_s=30.0)
            with turn.ledger.transaction():
                for row in rows:
                    _price(turn, row, answer.get(row["zone"], []))


def _price(turn: Turn, row: Any, changes: list[tuple[float, float]]) -> None:
    usd = average_of(changes, Instant(row["began"]), Instant(row["ended"]))
    if usd is not None:
        day = to_datetime(Instant(row["ended"])).date().isoformat()
        turn.ledger.write(
            "UPDATE span SET usd = ?, price_source = ?, price_as_of = ? WHERE instance = ? AND began = ? AND stopped = 0",
            usd, SPOT_HISTORY, day, row["instance"], row["began"],
        )  # fmt: skip


def _history(turn: Turn, array: Array, region: str, kind: str, began: int, ended: int) -> dict[str, list[tuple[float, float]]]:
    """When the price changed, in milliseconds, and to what; by zone."""
    ec2 = turn.clients(array).client("ec2", region)
    times = {"StartTime": to_datetime(Instant(began)), "EndTime": to_datetime(Instant(max(ended, began + 1000)))}
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    more: dict[str, Any] = {}
    while True:
        answer = ec2.describe_spot_price_history(InstanceTypes=[kind], ProductDescriptions=["Linux/UNIX"], **times, **more)
        for entry in answer["SpotPriceHistory"]:
            found[entry["AvailabilityZone"]].append((entry["Timestamp"].timestamp() * 1000, float(entry["SpotPrice"])))
        if not answer.get("NextToken"):
            return found
        more = {"NextToken": answer["NextToken"]}
