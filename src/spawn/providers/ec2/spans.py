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


def begin_span(turn: Turn, key: ArrayKey, instance_id: str, at: Instant, *, stopped: bool) -> None:
    """An instance is paid for from now on, or only its volume. Again: nothing."""
    open_ = turn.ledger.one("SELECT 1 FROM span WHERE instance = ? AND ended IS NULL AND stopped = ?", instance_id, stopped)
    if open_ is None:
        _end_spans(turn, instance_id, at)
        turn.ledger.write("INSERT OR IGNORE INTO span (instance, key, began, stopped) VALUES (?, ?, ?, ?)", instance_id, key, at, stopped)


def keep_books(turn: Turn, array: Array, row: Any, state: str, at: Instant) -> None:
    """An instance took another state at that time."""
    if state in ("pending", "running"):
        begin_span(turn, array.key, row["id"], Instant(row["launched_at"]) if row["state"] in ("pending", "running") else at, stopped=False)
    elif state in ("stopping", "stopped"):
        begin_span(turn, array.key, row["id"], at, stopped=True)
    else:
        _end_spans(turn, row["id"], at)


def _end_spans(turn: Turn, instance_id: str, at: Instant) -> None:
    turn.ledger.write("UPDATE span SET ended = max(began, ?) WHERE instance = ? AND ended IS NULL", at, instance_id)


def end_spans_at(turn: Turn, instance_id: str, at: Instant) -> None:
    """It is known now when an instance really ended: what is written of it ends no later."""
    turn.ledger.write("UPDATE span SET ended = max(began, min(coalesce(ended, ?1), ?1)) WHERE instance = ?2", at, instance_id)


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
