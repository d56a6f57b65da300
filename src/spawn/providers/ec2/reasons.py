"""Why attempts that were handed over have not begun, with counts."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from spawn.domain.hindrances import Because, Hindrance
from spawn.providers.ec2.ledger import FREE
from spawn.providers.ec2.turn import Array, Hold, Turn

SILENT_S: Final = 300.0
"""An instance that runs for so long without a word of its agent is named."""

_BY_INSTANCE: Final = """
SELECT count(*) AS n, unsent, ending, heard_at IS NOT NULL AS heard, heard_at < ? AS quiet, launched_at < ? AS old
FROM attempt JOIN instance ON instance.id = attempt.instance WHERE attempt.key = ? AND attempt.state = 'launched' GROUP BY 2, 3, 4, 5, 6
"""


def count_reasons(turn: Turn, arrays: list[Array]) -> dict[str, Counter[Hindrance]]:
    """For every array: what was said in this round, and what its instances are waiting for."""
    for array in arrays:
        is_unheard = _say_unheard(turn, array)
        blocked = turn.ledger.one(f"SELECT count(*) FROM attempt WHERE key = ? AND state = 'wanted' AND NOT {FREE}", array.key)[0]
        turn.say(array.key, Hindrance(Because.INSTANCE, "the process of its last attempt is being stopped"), blocked)
        asked = turn.ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state = 'launching'", array.key)[0]
        said = sum(turn.reasons.get(array.key, Counter()).values())
        waiting = turn.ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state = 'wanted'", array.key)[0]
        turn.say(array.key, Hindrance(Because.PREPARING, "about to be launched"), waiting + asked - said)
        queued = turn.ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state = 'queued'", array.key)[0]
        turn.say(array.key, Hindrance(Because.QUEUED, "in the queue, until one of the array's instances takes it"), queued)
        silent = turn.now - round(SILENT_S * 1000)
        for row in turn.ledger.rows(_BY_INSTANCE, silent, silent, array.key):
            if not is_unheard:
                turn.say(array.key, Hindrance(Because.INSTANCE, _of_instance(array, row)), row["n"])
    return turn.reasons


def _say_unheard(turn: Turn, array: Array) -> bool:
    """Whether nothing is heard of what runs, which is followed with the array's access and by its bucket: that concerns all that is open."""
    access, bucket = turn.held(turn.access_subject(array)), turn.held(("bucket", array.key))
    hold = access or bucket
    if hold is None:
        return False
    if hold.why not in turn.reasons.get(array.key, Counter()):
        _say_of_open(turn, array, hold)
    return True


def _say_of_open(turn: Turn, array: Array, hold: Hold) -> None:
    followed = turn.ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state IN ('launched', 'begun', 'queued')", array.key)[0]
    turn.say(array.key, hold.why, followed)


def _of_instance(array: Array, row: Any) -> str:
    if row["unsent"]:
        return f"its instance cannot write to the bucket: {row['unsent']}"
    if row["ending"]:
        return f"its instance is being ended: {row['ending']}"
    if not row["heard"]:
        if row["old"]:
            return "its instance runs, but its agent has not been heard of: it ends at its TTL (see the console: `aws ec2 get-console-output`)"
        return "its instance is booting"
    if row["quiet"]:
        return "its instance has not been heard of for more than 5 minutes"
    return "behind others on its instance" if array.fleet.options.shared else "its instance is about to start it"
