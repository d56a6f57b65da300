"""What an instance wrote of an attempt, as events for the engine: each told once, in the order in which they happened."""

from __future__ import annotations

import re
from typing import Any, Final

from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant, from_seconds
from spawn.engine.news import Completed, Dropped, Ended, EndKind, Lost, ProviderEvent, Refused, Started, Usage
from spawn.providers.ec2.instances import suppose_instance, tell_launched
from spawn.providers.ec2.ledger import BEGUN, OVER, TOLD_COMPLETED, TOLD_STARTED
from spawn.providers.ec2.surveying import Claim, Ending
from spawn.providers.ec2.surveying import Completed as Said
from spawn.providers.ec2.turn import Turn, array_of

_NAME: Final = re.compile(r"i-[0-9a-f]+")
_HERE = "key = ? AND position = ? AND attempt = ?"


def attempt_of(row: Any) -> AttemptId:
    """The attempt of a row."""
    return AttemptId(ArrayKey(row["key"]), row["position"], row["attempt"])


def note_begun(turn: Turn, attempt: AttemptId, instance_id: str) -> None:
    """An instance has claimed the attempt: it is that one's, whichever it was launched for."""
    with turn.ledger.transaction():
        turn.ledger.write(f"UPDATE attempt SET state = ?, instance = ? WHERE {_HERE} AND state <> ?", BEGUN, instance_id, *_place(attempt), OVER)
        tell_launched(turn, attempt, instance_id, turn.now)


def note_started(turn: Turn, attempt: AttemptId, document: Claim) -> None:
    """started.json."""
    with turn.ledger.transaction():
        note_begun(turn, attempt, document.instance_id)
        _tell_once(turn, attempt, TOLD_STARTED, Started(attempt, from_seconds(document.at)))


def note_completed(turn: Turn, attempt: AttemptId, document: Said) -> None:
    """completed.json, or the member `completed` of an outcome."""
    event = Completed(attempt, from_seconds(document.at), document.status == "success", document.message)
    _tell_once(turn, attempt, TOLD_COMPLETED, event)


def note_outcome(turn: Turn, attempt: AttemptId, document: Ending) -> None:
    """outcome.json: all that happened and has not been told, and the end. One that comes after the end was told is told, too: the engine passes it over."""
    with turn.ledger.transaction():
        if not turn.ledger.write(f"UPDATE attempt SET recorded = 1 WHERE {_HERE} AND recorded = 0", *_place(attempt)):
            return
        note_begun(turn, attempt, document.instance_id)
        _know(turn, attempt.key, document.instance_id)
        if document.started_at is not None:
            _tell_once(turn, attempt, TOLD_STARTED, Started(attempt, from_seconds(document.started_at)))
        if document.completed is not None:
            note_completed(turn, attempt, document.completed)
        end_attempt(turn, attempt, _end_of(turn, attempt, document))


def _know(turn: Turn, key: ArrayKey, instance_id: str) -> None:
    """What another machine launched for the array costs, too: it is looked for."""
    if _NAME.fullmatch(instance_id) and turn.ledger.one("SELECT 1 FROM instance WHERE id = ?", instance_id) is None:
        suppose_instance(turn, array_of(turn.ledger.one("SELECT * FROM array WHERE key = ?", key)), instance_id)


def _end_of(turn: Turn, attempt: AttemptId, document: Ending) -> ProviderEvent:
    at, why = from_seconds(document.ended_at), document.why
    match document.end:
        case "ended":
            times = [seconds for seconds in (document.user, document.system) if seconds is not None]
            usage = Usage(cpu_s=sum(times) if times else None, max_rss_kib=document.maxrss)
            return Ended(attempt, at, EndKind(document.code, document.signal, why), usage, document.incomplete)
        case "refused":
            return Refused(attempt, at, document.reason or "CannotStartContainerError: the agent gave no reason")
        case "dropped":
            return Dropped(attempt, at)
    row = turn.ledger.one("SELECT interrupted_at FROM instance WHERE id = ?", document.instance_id)
    return Lost(attempt, at, document.reason or why, market=why == "interrupted" or (row is not None and row["interrupted_at"] is not None))


def end_attempt(turn: Turn, attempt: AttemptId, event: ProviderEvent) -> None:
    """The end of an attempt: told, and nothing more is done for it."""
    with turn.ledger.transaction():
        turn.ledger.tell(event)
        over = f"UPDATE attempt SET state = ?, over_at = coalesce(over_at, ?), over_place = (SELECT max(place) FROM event) WHERE {_HERE}"
        turn.ledger.write(over, OVER, turn.now, *_place(attempt))
    turn.stir()


def _tell_once(turn: Turn, attempt: AttemptId, flag: int, event: ProviderEvent) -> None:
    with turn.ledger.transaction():
        if turn.ledger.write(f"UPDATE attempt SET told = told | ? WHERE {_HERE} AND told & ? = 0", flag, *_place(attempt), flag):
            turn.ledger.tell(event)
            turn.stir()


def _place(attempt: AttemptId) -> tuple[str, int, int]:
    return attempt.key, attempt.position, attempt.attempt


def instant(seconds: float | None) -> Instant | None:
    """A time of a document; None: it has none."""
    return None if seconds is None else from_seconds(seconds)
