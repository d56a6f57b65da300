"""Reading what instances wrote into the bucket: hints that something is new, the records that they name, and signs of life."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.hindrances import Because
from spawn.domain.ids import AttemptId
from spawn.engine.news import Dropped
from spawn.providers.ec2.clients import Kind, is_denial
from spawn.providers.ec2.ledger import OVER
from spawn.providers.ec2.objects import NotUnderstood, delete_objects, listed, read_object
from spawn.providers.ec2.records import end_attempt, instant, note_begun, note_completed, note_outcome, note_started
from spawn.providers.ec2.surveying import Claim, Completed, Ending, Heard
from spawn.providers.ec2.turn import Array, Refusal, Turn, chunks

_log = logging.getLogger(__name__)
_HINT = re.compile(r"([0-9]{1,9})-([0-9]{1,6})-(claimed|started|completed|ended|dropped)")
_READ_AT_ONCE: Final = 500
_FINAL: Final = frozenset({"ended", "dropped"})
_FILES: Final[dict[str, tuple[str, type[Any]]]] = {
    "claimed": ("claim.json", Claim),
    "started": ("started.json", Claim),
    "completed": ("completed.json", Completed),
    "ended": ("outcome.json", Ending),
    "dropped": ("outcome.json", Ending),
}

Hints = dict[tuple[int, int], set[str]]


def read_news(turn: Turn, arrays: list[Array], *, at_once: bool) -> None:
    """Read what is new of arrays that have instances, where that is due (or at once)."""
    for array in arrays:
        if turn.ledger.one("SELECT 1 FROM instance WHERE key = ? AND settled = 0 LIMIT 1", array.key) is None and not _begun(turn, array):
            continue
        subject, size = ("news", array.key), turn.ledger.one("SELECT count(*) FROM instance WHERE key = ? AND settled = 0", array.key)[0]
        if turn.held(turn.access_subject(array)) or turn.held(("bucket", array.key)) or not turn.is_due(subject, at_once=at_once, size=size):
            continue
        try:
            _read_array(turn, array)
            turn.free(("bucket", array.key))
        except (BotoCoreError, ClientError) as error:
            hold_bucket(turn, array, error)


def _begun(turn: Turn, array: Array) -> bool:
    return turn.ledger.one("SELECT 1 FROM attempt WHERE key = ? AND state IN ('launched', 'begun', 'queued') LIMIT 1", array.key) is not None


def hold_bucket(turn: Turn, array: Array, error: Exception) -> None:
    """The bucket of an array could not be read or written: not now."""
    refusal = Refusal.of(error, f"use the bucket {array.fleet.bucket}")
    if refusal.kind is Kind.EXPIRED:
        turn.hold_access(array, refusal)
    turn.hold(("bucket", array.key), refusal.sentence, because=Because.UNHEARD)


def _read_array(turn: Turn, array: Array) -> None:
    hints: Hints = defaultdict(set)
    for name, _ in listed(turn, array, "news/"):
        if (match := _HINT.fullmatch(name)) and int(match[1]) < array.job.size:
            hints[int(match[1]), int(match[2])].add(match[3])
    for group in chunks(sorted(_ours(turn, array, hints)), _READ_AT_ONCE):
        _read_hints(turn, array, {place: hints[place] for place in group})
    _read_signs(turn, array)


def _ours(turn: Turn, array: Array, hints: Hints) -> list[tuple[int, int]]:
    """The attempts with hints that this ledger has. Those of others are left to them: another machine may follow the array, and launch for it."""
    known = (
        {(row["position"], row["attempt"]) for row in turn.ledger.rows("SELECT position, attempt FROM attempt WHERE key = ?", array.key)} if hints else set()
    )
    return [place for place in hints if place in known]


def _read_hints(turn: Turn, array: Array, hints: Hints) -> None:
    """Read the records that hints name, note them, and only then delete the hints. What could not be read or understood keeps its hint."""
    wanted = [(place, kind) for place, kinds in hints.items() for kind in _worth_reading(kinds)]
    answers: list[Any] = turn.crew.all([partial(read_object, turn, array, *_object(array, place, kind)) for place, kind in wanted])
    done: list[str] = []
    failure: Exception | None = None
    with turn.ledger.transaction():
        for (place, kind), answer in zip(wanted, answers, strict=True):
            if isinstance(answer, NotUnderstood):
                _log.warning("%s", answer)
                continue
            if isinstance(answer, Exception):
                failure = answer
                continue
            if kind == "ended" and answer is None:
                continue  # the hint is older than the record that it names: that one is still to come
            _note(turn, AttemptId(array.key, *place), kind, answer)
            done += [f"news/{place[0]}-{place[1]}-{each}" for each in (hints[place] if kind in _FINAL else {kind})]
    if done:
        _delete_hints(turn, array, sorted(set(done)))
    if failure is not None:
        raise failure


def _delete_hints(turn: Turn, array: Array, names: list[str]) -> None:
    """Delete hints that were followed. Where that is not allowed they are read again with each look, which is dear and changes nothing."""
    subject = ("hints", array.key)
    if subject not in turn.memory.holds:
        turn.stir()
    try:
        delete_objects(turn, array, names)
        turn.free(subject)
    except ClientError as error:
        if not is_denial(error):
            raise
        turn.hold(subject, Refusal.of(error, f"delete what was read in the bucket {array.fleet.bucket}").sentence)


def _worth_reading(kinds: set[str]) -> set[str]:
    """An outcome tells everything that came before it; that something was started tells that it was claimed."""
    if kinds & _FINAL:
        return {"ended"} if "ended" in kinds else {"dropped"}
    return kinds - {"claimed"} or kinds


def _object(array: Array, place: tuple[int, int], kind: str) -> tuple[str, type[Any]]:
    name, shape = _FILES[kind]
    return f"{array.job.index_at(place[0])}/{place[1]}/{name}", shape


def _note(turn: Turn, attempt: AttemptId, kind: str, document: Any) -> None:
    known = turn.ledger.one("SELECT state FROM attempt WHERE key = ? AND position = ? AND attempt = ?", attempt.key, attempt.position, attempt.attempt)
    if known is None:
        return  # of an attempt that this ledger never had: there is nobody to tell
    if document is None:
        if kind == "dropped" and known["state"] != OVER:
            end_attempt(turn, attempt, Dropped(attempt, turn.now))
        return
    match kind:
        case "claimed":
            note_begun(turn, attempt, document.instance_id)
        case "started":
            note_started(turn, attempt, document)
        case "completed":
            note_completed(turn, attempt, document)
        case _:
            note_outcome(turn, attempt, document)


# --- signs of life ------------------------------------------------------------------------------------------------------


def _read_signs(turn: Turn, array: Array) -> None:
    """Read the instances/ID.json that have changed."""
    known = {row["id"]: row["etag"] for row in turn.ledger.rows("SELECT id, etag FROM instance WHERE key = ?", array.key)}
    changed: list[tuple[str, str]] = []
    for name, etag in listed(turn, array, "instances/"):
        instance_id = name.removesuffix(".json")
        if instance_id in known and known[instance_id] != etag:
            changed.append((instance_id, etag))
    for group in chunks(changed, _READ_AT_ONCE):
        answers = turn.crew.all([partial(read_object, turn, array, f"instances/{instance_id}.json", Heard) for instance_id, _ in group])
        with turn.ledger.transaction():
            for (instance_id, etag), answer in zip(group, answers, strict=True):
                if isinstance(answer, Heard):
                    _note_sign(turn, instance_id, etag, answer)
        for answer in answers:
            if isinstance(answer, NotUnderstood):
                _log.warning("%s", answer)
            elif isinstance(answer, Exception):
                raise answer


def _note_sign(turn: Turn, instance_id: str, etag: str, sign: Heard) -> None:
    turn.ledger.write(
        "UPDATE instance SET etag = ?, checked_in_at = coalesce(checked_in_at, ?), heard_at = max(coalesce(heard_at, 0), ?), ends_at = ?, unsent = ?, "
        "interrupted_at = coalesce(interrupted_at, ?) WHERE id = ?",
        etag, turn.now, instant(sign.at), instant(sign.ends_at), sign.unsent, instant(sign.interrupted_at), instance_id,
    )  # fmt: skip
