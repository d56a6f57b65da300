"""Outcome records: how an attempt ended, as the engine will read it when this machine is gone."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from spored.instance.config import WIRE, Assignment
from spored.instance.s3 import Bucket
from spored.instance.uploads import Sent

CLOSING = ("ended", "refused", "lost", "dropped")
"""The events with which an attempt is over."""
_OF_ENDS = ("code", "signal", "why", "reason", "user", "system", "maxrss")

Events = dict[str, dict[str, Any]]


class Unverified(Exception):
    """What was written is not what is there."""


class Writer(NamedTuple):
    """Who writes a record."""

    array: str
    instance_id: str
    interrupted_at: float | None


class Left(NamedTuple):
    """What of an attempt is in the bucket beside its record."""

    log_bytes: int
    whole_log: bool
    outputs: Sent


def outcome(writer: Writer, assignment: Assignment, attempt: str, events: Events, left: Left) -> dict[str, Any]:
    """The record of an attempt whose journal has these events, of which one is closing."""
    kind = next(kind for kind in CLOSING if kind in events)
    end = events[kind]
    said = {name: end.get(name) for name in _OF_ENDS}
    asked = writer.interrupted_at is not None and end["t"] >= writer.interrupted_at
    if said["why"] == "stopped" and asked:
        said["why"] = "interrupted"
    completed = events.get("completed")
    return {
        "wire": WIRE,
        "attempt": attempt,
        "index": assignment.index,
        "array": writer.array,
        "instance_id": writer.instance_id,
        "started_at": _started_at(events),
        "ended_at": end["t"],
        "end": kind,
        **said,
        "completed": None if completed is None else {"at": completed["t"], "status": completed["status"], "message": completed["message"]},
        "log_bytes": left.log_bytes,
        "outputs": left.outputs.files,
        "outputs_failed": list(left.outputs.failed),
        "truncated": not left.whole_log,
    }


def _started_at(events: Events) -> float | None:
    """When it began. One that was lost while its process was made may have begun."""
    begun = events.get("started") or (events.get("starting") if "lost" in events else None)
    return None if begun is None else float(begun["t"])


def write_record(bucket: Bucket, key: str, record: dict[str, Any]) -> bool:
    """Write a record once and read it back. False: another instance's stands there. Unverified when what is there is not what was written."""
    body = json.dumps(record).encode()
    bucket.put(key, body, only_new=True)
    found = bucket.get(key)
    if found == body:
        return True
    try:
        there = json.loads(found or b"")
        who = (there["attempt"], there["instance_id"])
    except (ValueError, KeyError, TypeError):
        raise Unverified(f"{key} does not read back as it was written") from None
    return who == (record["attempt"], record["instance_id"])
