"""control.json: what instances are to know of ends that were moved and attempts that are to stop (docs/wire-ec2.md).

Every machine that follows the array writes it, each only over what it has read: what another one wrote since then is read first, and stands in the next
text beside one's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.instants import Instant, from_seconds
from spawn.providers.ec2.clients import code_of
from spawn.providers.ec2.reading import hold_bucket
from spawn.providers.ec2.records import attempt_of
from spawn.providers.ec2.turn import Array, Turn

_TRIES: Final = 3
"""So often in a row is it read and written again when others write it at the same time."""

_AGAIN_MS: Final = 1000
_CHANGED: Final = frozenset(["PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey"])
_MISSING: Final = frozenset(["NoSuchKey", "404"])


class _Text(msgspec.Struct, frozen=True, kw_only=True):
    """What it says; with `seq` as it stands in the bucket."""

    seq: int = 0
    ends_at: float | None = None
    ends_at_of: dict[str, float | None] = {}
    stop: dict[str, dict[str, Any]] = {}

    @property
    def said(self) -> dict[str, object]:
        """Without its number."""
        return {"ends_at": self.ends_at, "ends_at_of": self.ends_at_of, "stop": self.stop}


_EMPTY: Final = _Text()


class _Stored(NamedTuple):
    """The object in the bucket: its text, and the ETag by which it is overwritten; None: there is none."""

    text: _Text
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What this machine's ledger has to say, and of what it knows that nothing need be said any more."""

    ends: dict[str, float]
    stop: dict[str, dict[str, Any]]
    settled: frozenset[str]
    over: frozenset[str]


def write_control(turn: Turn, arrays: list[Array]) -> None:
    """Write it for every array where it is to say something else than it does, with a greater `seq`."""
    for array in arrays:
        row = turn.ledger.one("SELECT * FROM array WHERE key = ?", array.key)
        if not row["control_due"] or turn.held(("bucket", array.key)) or turn.held(turn.access_subject(array)):
            continue
        try:
            _bring_up_to_date(turn, array, row)
        except (BotoCoreError, ClientError) as error:
            hold_bucket(turn, array, error)


def _bring_up_to_date(turn: Turn, array: Array, row: Any) -> None:
    """One call while nobody else writes it."""
    before = _parsed(row["control"] or "{}")
    stored = _Stored(before, row["control_etag"])
    seq = row["control_seq"]
    for _ in range(_TRIES):
        own = _own(turn, array, before, stored.text)
        wanted = _merged(own, before, stored.text)
        if wanted.said == stored.text.said:
            _note(turn, array, wanted, seq, stored.etag)
            return
        etag = _written(turn, array, msgspec.structs.replace(wanted, seq=seq + 1), stored.etag)
        if etag is not None:
            _note(turn, array, wanted, seq + 1, etag)
            return
        stored = _read(turn, array)
        seq = max(seq, stored.text.seq)
        if stored.etag is None:
            before = _EMPTY
    turn.wake_at(Instant(turn.now + _AGAIN_MS))


def _own(turn: Turn, array: Array, *texts: _Text) -> _Own:
    instances = {row["id"]: row for row in turn.ledger.rows("SELECT id, settled, extended_to FROM instance WHERE key = ?", array.key)}
    named = {attempt for text in texts for attempt in text.stop}
    over = (
        {str(attempt_of(row)) for row in turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND state = 'over'", array.key)} & named if named else set[str]()
    )
    stops = turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND stopping = 'stop' AND state = 'begun'", array.key) if array.fleet.options.shared else []
    grace_s = array.job.grace.total_seconds()
    return _Own(
        ends={name: row["extended_to"] / 1000 for name, row in instances.items() if row["extended_to"] is not None},
        stop={str(attempt_of(row)): {"why": "stopped", "grace_s": grace_s if row["grace_s"] is None else row["grace_s"]} for row in stops},
        settled=frozenset(name for name, row in instances.items() if row["settled"]),
        over=frozenset(over),
    )


def _merged(own: _Own, before: _Text, stored: _Text) -> _Text:
    """What it is to say: of each end the newest, which is this machine's where that has changed since it last read or wrote it; of stops all."""
    ends = {
        name: own.ends[name]
        if name in own.ends and (name not in stored.ends_at_of or own.ends[name] != before.ends_at_of.get(name))
        else stored.ends_at_of[name]
        for name in (own.ends.keys() | stored.ends_at_of.keys()) - own.settled
    }
    stop = {attempt: how for attempt, how in (stored.stop | own.stop).items() if attempt not in own.over}
    return _Text(ends_at=stored.ends_at, ends_at_of=ends, stop=stop)


def _note(turn: Turn, array: Array, text: _Text, seq: int, etag: str | None) -> None:
    """It says this now. Ends that another machine moved are what this one's instances are meant to have, too."""
    moved = [(from_seconds(end), name) for name, end in text.ends_at_of.items() if end is not None]
    with turn.ledger.transaction():
        turn.ledger.write_many("UPDATE instance SET extended_to = ?1 WHERE id = ?2 AND extended_to IS NOT ?1", moved)
        changed = "UPDATE array SET control = ?, control_seq = ?, control_etag = ?, control_due = 0 WHERE key = ?"
        turn.ledger.write(changed, json.dumps(text.said, sort_keys=True), seq, etag, array.key)


# --- the object ---------------------------------------------------------------------------------------------------------


def _written(turn: Turn, array: Array, text: _Text, etag: str | None) -> str | None:
    """Its new ETag; None: it is not, or not any more, what this machine knows it to be."""
    condition = {"IfMatch": etag} if etag is not None else {"IfNoneMatch": "*"}
    body = json.dumps({"wire": 1, "seq": text.seq, **text.said}, sort_keys=True).encode()
    try:
        answer = turn.s3(array).put_object(Body=body, ContentType="application/json", **_place(array), **condition)
    except ClientError as error:
        if code_of(error) in _CHANGED:
            return None
        raise
    return str(answer["ETag"])


def _read(turn: Turn, array: Array) -> _Stored:
    try:
        answer = turn.s3(array).get_object(**_place(array))
        return _Stored(_parsed(answer["Body"].read()), str(answer["ETag"]))
    except ClientError as error:
        if code_of(error) in _MISSING:
            return _Stored(_EMPTY, None)
        raise


def _place(array: Array) -> dict[str, str]:
    return {"Bucket": array.fleet.bucket, "Key": f"{array.prefix}control.json"}


def _parsed(content: str | bytes) -> _Text:
    """What is not understood says nothing: instances do not heed it either."""
    try:
        return msgspec.json.decode(content, type=_Text)
    except (msgspec.MsgspecError, UnicodeError):
        return _EMPTY
