"""What the engine says to instances that are under way: `control.json`."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from spored.errors import BadMessage
from spored.instance.attempts import Stop
from spored.specs import count, seconds


class Control(NamedTuple):
    """What it says to one instance."""

    seq: int
    ends_at: float | None
    stop: dict[str, Stop]


def parse_control(body: bytes, instance_id: str) -> Control:
    """What the object says to this instance. BadMessage when it is not understood: then nothing of it counts."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        raise BadMessage("control.json is not JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("control.json must be a JSON object")
    own = message.get("ends_at_of") or {}
    stop = message.get("stop") or {}
    if not isinstance(own, dict) or not isinstance(stop, dict) or not all(isinstance(entry, dict) for entry in stop.values()):
        raise BadMessage("control.json: ends_at_of and stop must be objects")
    named = own if own.get(instance_id) is not None else {instance_id: message.get("ends_at")}
    return Control(
        seq=count(message, "seq"),
        ends_at=None if named[instance_id] is None else seconds(named, instance_id, "ends_at of "),
        stop={str(identity): Stop("ttl" if entry.get("why") == "ttl" else "stopped", seconds(entry, "grace_s")) for identity, entry in stop.items()},
    )
