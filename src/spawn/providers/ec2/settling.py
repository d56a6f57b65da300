"""Instances that are gone: what they left is read before anything is said of their attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant, from_seconds, later
from spawn.domain.states import InstanceState
from spawn.engine.news import Dropped, InstanceChanged, Lost, ProviderEvent, Refused
from spawn.providers.ec2.instances import TERMINATED, suppose_instance, tell_changed
from spawn.providers.ec2.ledger import QUEUED, REFUSE, WANTED
from spawn.providers.ec2.objects import ENGINE, NotUnderstood, claim, read_object
from spawn.providers.ec2.offers import hold_offer, offer_subject_of
from spawn.providers.ec2.reading import hold_bucket
from spawn.providers.ec2.records import attempt_of, end_attempt, note_begun, note_outcome
from spawn.providers.ec2.spans import end_spans_at, never_charged
from spawn.providers.ec2.surveying import Claim, Ending, Heard
from spawn.providers.ec2.turn import Array, Turn, chunks

NEVER_CHECKED_IN: Final = "never checked in"
UNREADABLE: Final = "its record in the bucket could not be read"
_MARKET_CODES: Final = frozenset(["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"])
_BY_ITSELF: Final = "Client.InstanceInitiatedShutdown"
_NO_ROOM: Final = "Server.InsufficientInstanceCapacity"
_NOTICE_MS: Final = 120_000
_ROUNDED_UP: Final = timedelta(minutes=1)
_AT_ONCE: Final = 500

_STRANDED: Final = """
SELECT attempt.* FROM attempt LEFT JOIN instance ON instance.id = attempt.instance
WHERE attempt.key = ? AND attempt.state IN ('launched', 'begun') AND (instance.settled = 1 OR attempt.instance IS NULL AND attempt.token IS NOT NULL)
"""
"""Attempts of instances that are gone and have been looked after, or of a launch whose instances were gone before they were known."""


class _Trace(NamedTuple):
    """What is left of an attempt: its outcome, or else who claimed it (`ENGINE`: nobody, and nobody will; `UNREADABLE`: nobody can tell any more)."""

    outcome: Ending | None
    claimed_by: str


def settle(turn: Turn, arrays: list[Array]) -> None:
    """For every instance that was terminated: tell the ends of its attempts, then that it is gone. What cannot be read is asked for again."""
    for array in arrays:
        _suppose_unknown(turn, array)
        gone = turn.ledger.rows("SELECT * FROM instance WHERE key = ? AND settled = 0 AND state = ?", array.key, TERMINATED)
        stranded = turn.ledger.rows(_STRANDED, array.key)
        if not gone and not stranded:
            continue
        if turn.held(turn.access_subject(array)) or turn.held(("bucket", array.key)):
            continue
        _settle_attempts(turn, array, [(row, _instance_of(turn, row)) for row in stranded])
        _tell_gone(turn, stranded)
        if array.is_pool and gone and not _look_into_queue(turn, array, gone):
            continue
        for group in chunks(gone, _AT_ONCE):
            if not _settle_instances(turn, array, group):
                break


def _tell_gone(turn: Turn, stranded: Sequence[Any]) -> None:
    """Of what ended on an instance that had been settled before: that it is gone, too."""
    ended = "SELECT instance.id FROM attempt JOIN instance ON instance.id = attempt.instance WHERE attempt.key = ? AND position = ? AND attempt = ? "
    with turn.ledger.transaction():
        for row in stranded:
            found = turn.ledger.one(f"{ended} AND attempt.state = 'over' AND settled = 1", *_place(row))
            if found is not None:
                turn.ledger.tell(InstanceChanged(attempt_of(row), turn.now, found["id"], InstanceState.TERMINATED))


def _settle_instances(turn: Turn, array: Array, gone: Sequence[Any]) -> bool:
    """Whether everything that they left could be read. Those of which it could are settled."""
    signs = turn.crew.all([partial(_sign, turn, array, row["id"]) for row in gone])
    heard = [(_checked_in(turn, instance, sign), sign) for instance, sign in zip(gone, signs, strict=True) if not isinstance(sign, Exception)]
    _hold_offers(turn, array, [instance for instance, _ in heard])
    opened = "SELECT * FROM attempt WHERE instance = ? AND state <> 'over' ORDER BY position"
    known = _settle_attempts(turn, array, [(row, instance) for instance, _ in heard for row in turn.ledger.rows(opened, instance["id"])])
    with turn.ledger.transaction():
        for instance, sign in heard:
            if turn.ledger.one(opened, instance["id"]) is not None:
                continue  # of one that could not be read, or of another instance that is gone, whose turn comes with the next round
            ended = Instant(instance["ended_at"]) if instance["ended_said"] else _ended_at(turn, array, instance, sign)
            turn.ledger.write("UPDATE instance SET settled = 1, ended_at = ? WHERE id = ?", ended, instance["id"])
            end_spans_at(turn, instance["id"], ended)
            tell_changed(turn, instance["id"], InstanceState.TERMINATED)
    turn.wake_at(turn.now)
    for answer in signs:
        if isinstance(answer, Exception):
            hold_bucket(turn, array, answer)
            return False
    return known


def _sign(turn: Turn, array: Array, instance_id: str) -> Heard | None:
    """The last word of an instance; None: it said none, or none that is understood."""
    try:
        return read_object(turn, array, f"instances/{instance_id}.json", Heard)
    except NotUnderstood:
        return None


def _checked_in(turn: Turn, instance: Any, sign: Heard | None) -> Any:
    """An instance as the ledger has it, which knows now whether it ever said a word."""
    if sign is None or instance["checked_in_at"] is not None:
        return instance
    turn.ledger.write("UPDATE instance SET checked_in_at = ? WHERE id = ?", turn.now, instance["id"])
    return turn.ledger.one("SELECT * FROM instance WHERE id = ?", instance["id"])


def _hold_offers(turn: Turn, array: Array, gone: Sequence[Any]) -> None:
    """What EC2 took and had no room for then counts as if it had been refused; nobody pays for it."""
    with turn.ledger.transaction():
        for instance in gone:
            if not never_ran(instance):
                continue
            hold_offer(turn, offer_subject_of(array, instance), f"EC2 ended the instance before it ran: {_why(instance)}")
            if instance["ended_code"] == _NO_ROOM:
                never_charged(turn, instance["id"])


def never_ran(instance: Any) -> bool:
    """Whether EC2 ended an instance for want of room before anything could begin on it.

    The spot market gives two minutes' notice to what runs: what it took sooner, and without a word of the agent, was not up yet.
    """
    if instance["checked_in_at"] is not None:
        return False
    soon = instance["ended_at"] is not None and instance["ended_at"] - instance["launched_at"] <= _NOTICE_MS
    return instance["ended_code"] == _NO_ROOM or (soon and instance["ended_code"] in _MARKET_CODES)


def _ended_at(turn: Turn, array: Array, instance: Any, sign: Heard | None) -> Instant:
    """When an instance ended of which EC2 does not say it: no later than it was seen to have, which may be long after when nobody looked."""
    seen = Instant(instance["ended_at"] or turn.now)
    ends = [seen]
    if sign is not None and sign.ending:
        ends.append(from_seconds(sign.at))
    if instance["interrupted_at"] is not None:
        ends.append(Instant(instance["interrupted_at"] + _NOTICE_MS))
    if instance["ended_code"] == _BY_ITSELF and sign is None and array.job.lifetime.ttl is not None:
        ends.append(later(Instant(instance["launched_at"]), array.job.lifetime.ttl + _ROUNDED_UP))
    return max(Instant(instance["launched_at"]), min(ends))


def _instance_of(turn: Turn, row: Any) -> Any:
    return turn.ledger.one("SELECT * FROM instance WHERE id = ?", row["instance"])


def _look_into_queue(turn: Turn, array: Array, gone: list[Any]) -> bool:
    """See which attempts that seem to wait in the queue were taken by an instance that never could say so; False when that cannot be read now.

    Done when instances are gone that did not end by themselves, or when none is left that could take what waits. What nobody has claimed then is
    put into the queue once more: its message may have gone with an instance.
    """
    alive = turn.ledger.one("SELECT count(*) FROM instance WHERE key = ? AND state <> ?", array.key, TERMINATED)[0]
    if alive and all(row["ended_code"] == _BY_ITSELF for row in gone):
        return True
    queued = turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND state = ?", array.key, QUEUED)
    for group in chunks(queued, _AT_ONCE):
        names = [f"{array.job.index_at(row['position'])}/{row['attempt']}/claim.json" for row in group]
        answers = turn.crew.all([partial(read_object, turn, array, name, Claim) for name in names])
        with turn.ledger.transaction():
            for row, answer in zip(group, answers, strict=True):
                if isinstance(answer, NotUnderstood):
                    note_begun(turn, attempt_of(row), gone[0]["id"])  # somebody has claimed it, and it ends with one of those
                elif isinstance(answer, Exception):
                    hold_bucket(turn, array, answer)
                    return False
                elif answer is not None and answer.instance_id != ENGINE:
                    note_begun(turn, attempt_of(row), answer.instance_id)
                elif not alive:
                    turn.ledger.write("UPDATE attempt SET state = ? WHERE key = ? AND position = ? AND attempt = ?", WANTED, *_place(row))
    return True


def _place(row: Any) -> tuple[str, int, int]:
    return row["key"], row["position"], row["attempt"]


def _suppose_unknown(turn: Turn, array: Array) -> None:
    rows = turn.ledger.rows(
        "SELECT DISTINCT attempt.instance FROM attempt LEFT JOIN instance ON instance.id = attempt.instance "
        "WHERE attempt.key = ? AND attempt.state IN ('launched', 'begun') AND attempt.instance IS NOT NULL AND instance.id IS NULL",
        array.key,
    )
    if rows:
        with turn.ledger.transaction():
            for row in rows:
                suppose_instance(turn, array, row["instance"])


def _settle_attempts(turn: Turn, array: Array, attempts: Sequence[tuple[Any, Any]]) -> bool:
    """Whether the ends of all of them are known; each comes with its instance."""
    for group in chunks(attempts, _AT_ONCE):
        calls: list[Callable[[], _Trace]] = [partial(_trace, turn, array, row) for row, _ in group]
        traces = turn.crew.all(calls)
        failure: Exception | None = None
        with turn.ledger.transaction():
            for (row, instance), trace in zip(group, traces, strict=True):
                if isinstance(trace, Exception):
                    failure = trace
                else:
                    _conclude(turn, array, instance, row, trace)
        if failure is not None:
            hold_bucket(turn, array, failure)
            return False
    return True


def _trace(turn: Turn, array: Array, row: Any) -> _Trace:
    position, number = row["position"], row["attempt"]
    try:
        outcome = read_object(turn, array, f"{array.job.index_at(position)}/{number}/outcome.json", Ending)
        return _Trace(outcome, "") if outcome is not None else _Trace(None, claim(turn, array, position, number))
    except NotUnderstood:
        return _Trace(None, UNREADABLE)


def _conclude(turn: Turn, array: Array, instance: Any, row: Any, trace: _Trace) -> None:
    attempt = attempt_of(row)
    if trace.outcome is not None:
        note_outcome(turn, attempt, trace.outcome)
    elif trace.claimed_by == UNREADABLE:
        end_attempt(turn, attempt, Lost(attempt, turn.now, UNREADABLE, market=instance is not None and _by_market(instance)))
    elif trace.claimed_by == ENGINE:
        end_attempt(turn, attempt, never_begun(turn, attempt, row["stopping"], instance, shared=array.fleet.options.shared))
    elif instance is not None and trace.claimed_by != instance["id"] and not _is_settled(turn, trace.claimed_by):
        note_begun(turn, attempt, trace.claimed_by)  # it is another one's, which has not ended
    else:
        if instance is None:
            note_begun(turn, attempt, trace.claimed_by)
        end_attempt(turn, attempt, _lost(turn, attempt, trace.claimed_by))


def never_begun(turn: Turn, attempt: AttemptId, stopping: str | None, instance: Any, *, shared: bool) -> ProviderEvent:
    """The end of an attempt that nobody began and nobody can begin any more. `instance`: the one that it had to itself, if it had one."""
    if stopping is not None and stopping.startswith(REFUSE):
        return Refused(attempt, turn.now, f"CannotStartContainerError: {stopping.removeprefix(REFUSE)}")
    if stopping is not None or instance is None or shared or never_ran(instance):
        return Dropped(attempt, turn.now)
    market = _by_market(instance)
    why = _never_heard(instance) if instance["checked_in_at"] is None and not market else _why(instance)
    return Lost(attempt, turn.now, why, market=market)


def _never_heard(instance: Any) -> str:
    """With EC2's own reason where neither the instance nor the engine ended it: a launch that was taken may fail afterwards, for want of a quota or a key."""
    said = _why(instance)
    ours = instance["ending"] is not None or instance["ended_code"] in (None, _BY_ITSELF)
    return NEVER_CHECKED_IN if ours or said is None else f"{NEVER_CHECKED_IN}: {said}"


def _is_settled(turn: Turn, instance_id: str) -> bool:
    return turn.ledger.one("SELECT 1 FROM instance WHERE id = ? AND settled = 1", instance_id) is not None


def _lost(turn: Turn, attempt: AttemptId, instance_id: str) -> Lost:
    row = turn.ledger.one("SELECT * FROM instance WHERE id = ?", instance_id)
    return Lost(attempt, turn.now, None if row is None else _why(row), market=row is not None and _by_market(row))


def _why(instance: Any) -> str | None:
    why: str | None = instance["ended_why"] or instance["ended_code"]
    return why


def _by_market(instance: Any) -> bool:
    return instance["ended_code"] in _MARKET_CODES or instance["interrupted_at"] is not None
