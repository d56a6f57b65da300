"""Why attempts that were handed over have not begun, with counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any, Final

from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.instants import iso
from spawn.providers.ec2.ledger import FREE
from spawn.providers.ec2.polling import look_subject
from spawn.providers.ec2.silence import SAID_AFTER_S
from spawn.providers.ec2.stopping import instance_subject, terminate_subject
from spawn.providers.ec2.turn import Array, Hold, Turn

SILENT_S: Final = 300.0
"""An instance that runs for so long without a word of its agent is named."""

_BY_INSTANCE: Final = """
SELECT count(*) AS n, unsent, ending, heard_at IS NOT NULL AS heard, heard_at < ? AS quiet, launched_at < ? AS old
FROM attempt JOIN instance ON instance.id = attempt.instance WHERE attempt.key = ? AND attempt.state = 'launched' GROUP BY 2, 3, 4, 5, 6
"""


_TO_END: Final = """
SELECT id, region FROM instance WHERE key = ? AND settled = 0 AND ending IS NOT NULL AND state NOT IN ('terminated', 'shutting-down') ORDER BY id
"""

_NAMED: Final = 5


def count_reasons(turn: Turn, arrays: list[Array]) -> dict[str, Counter[Hindrance]]:
    """For every array: what was said in this round, and what its instances are waiting for."""
    for array in arrays:
        is_unheard = _say_unheard(turn, array)
        _say_unended(turn, array)
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
    hold = turn.held(turn.access_subject(array)) or turn.held(("bucket", array.key)) or _unseen(turn, array)
    if hold is None:
        return False
    if hold.why not in turn.reasons.get(array.key, Counter()):
        _say_of_open(turn, array, hold)
    return True


def _unseen(turn: Turn, array: Array) -> Hold | None:
    """Why nobody has seen for a while how instances of a region stand."""
    for region in sorted({offer.region for offer in array.fleet.offers}):
        hold = turn.held(look_subject(array.account, region))
        if hold is not None and turn.now - hold.since >= SAID_AFTER_S * 1000:
            sentence = f"{hold.why.sentence}; what is shown of them is as of {iso(hold.since)}"
            return replace(hold, why=Hindrance(Because.UNHEARD, sentence))
    return None


def _say_of_open(turn: Turn, array: Array, hold: Hold) -> None:
    followed = turn.ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state IN ('launched', 'begun', 'queued')", array.key)[0]
    turn.say(array.key, hold.why, followed)


def _say_unended(turn: Turn, array: Array) -> None:
    """Which instances were to end and go on being paid for, because EC2 does not take the order: also when everything else of the array is over."""
    kept: dict[str, list[str]] = defaultdict(list)
    for row in turn.ledger.rows(_TO_END, array.key):
        hold = turn.held(instance_subject(row["id"])) or turn.held(terminate_subject(array.account, row["region"]))
        if hold is not None:
            kept[hold.why.sentence].append(row["id"])
    for why, names in kept.items():
        some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        again = "" if "the engine tries again" in why else "; the engine asks again"
        until = "until somebody ends it" if array.job.lifetime.ttl is None else "until its TTL at most"
        turn.say(array.key, Hindrance(Because.BILLED, f"should have ended, and costs {until}: {some}: {why}{again}"), len(names))


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
