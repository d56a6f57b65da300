"""control.json: what instances are to know of ends that were moved and attempts that are to stop (docs/wire-ec2.md)."""

from __future__ import annotations

import json

from botocore.exceptions import BotoCoreError, ClientError

from spawn.providers.ec2.objects import write_object
from spawn.providers.ec2.reading import hold_bucket
from spawn.providers.ec2.records import attempt_of
from spawn.providers.ec2.turn import Array, Turn


def write_control(turn: Turn, arrays: list[Array]) -> None:
    """Write it for every array where it says something else than before, with a greater `seq`."""
    for array in arrays:
        row = turn.ledger.one("SELECT control, control_seq, control_due FROM array WHERE key = ?", array.key)
        if not row["control_due"] or turn.held(("bucket", array.key)) or turn.held(turn.access_subject(array)):
            continue
        said = _document(turn, array)
        text = json.dumps(said, sort_keys=True)
        if text == row["control"]:
            turn.ledger.write("UPDATE array SET control_due = 0 WHERE key = ?", array.key)
            continue
        try:
            write_object(turn, array, "control.json", json.dumps({"wire": 1, "seq": row["control_seq"] + 1, **said}, sort_keys=True).encode())
        except (BotoCoreError, ClientError) as error:
            hold_bucket(turn, array, error)
            continue
        turn.ledger.write("UPDATE array SET control = ?, control_seq = control_seq + 1, control_due = 0 WHERE key = ?", text, array.key)


def _document(turn: Turn, array: Array) -> dict[str, object]:
    ends = turn.ledger.rows("SELECT id, extended_to FROM instance WHERE key = ? AND settled = 0 AND extended_to IS NOT NULL", array.key)
    stops = turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND stopping = 'stop' AND state = 'begun'", array.key) if array.fleet.options.shared else []
    grace_s = array.job.grace.total_seconds()
    return {
        "ends_at": None,
        "ends_at_of": {row["id"]: row["extended_to"] / 1000 for row in ends},
        "stop": {str(attempt_of(row)): {"why": "stopped", "grace_s": grace_s if row["grace_s"] is None else row["grace_s"]} for row in stops},
    }
