"""What the engine wants to end: attempts before they begin, attempts that run, and instances."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.instances import OnComplete
from spawn.domain.instants import Instant, iso
from spawn.domain.pacing import TERMINATE_INSTANCES, TERMINATE_RESOURCES
from spawn.providers.ec2.clients import Kind
from spawn.providers.ec2.launching import close_launch
from spawn.providers.ec2.ledger import BEGUN, LAUNCHED, LAUNCHING, OVER, QUEUED, WANTED
from spawn.providers.ec2.objects import ENGINE, claim
from spawn.providers.ec2.reading import hold_bucket
from spawn.providers.ec2.records import attempt_of, end_attempt, note_begun
from spawn.providers.ec2.settling import never_begun
from spawn.providers.ec2.turn import Array, Refusal, Subject, Turn, chunks

PAST_END_S: Final = 300.0
"""How long past its end an instance may still run before the engine ends it: the third line of defence."""

PAST_ARRAY_S: Final = 600.0
"""How long after the end of all that it had to do an instance may still run, unless it is kept."""

_PAST_END: Final = """
SELECT id, max(coalesce(extended_to, 0), coalesce(ends_at, 0), coalesce((SELECT max(began) FROM span WHERE instance = id AND stopped = 0) + ?, 0)) AS end
FROM instance WHERE key = ? AND settled = 0 AND ending IS NULL AND state <> 'terminated' AND end > 0 AND end <= ?
"""
_DONE: Final = """
SELECT instance.id FROM instance JOIN attempt ON attempt.instance = instance.id WHERE instance.key = ? AND settled = 0 AND ending IS NULL
AND NOT EXISTS (SELECT 1 FROM span WHERE span.instance = instance.id AND stopped = 1)
GROUP BY instance.id HAVING count(*) FILTER (WHERE attempt.state <> 'over') = 0 AND max(over_at) <= ?
"""
_POOL_DONE: Final = """
SELECT id FROM instance WHERE key = ?1 AND settled = 0 AND ending IS NULL
AND (SELECT count(*) FILTER (WHERE state <> 'over') = 0 AND max(over_at) <= ?2 FROM attempt WHERE key = ?1)
AND NOT EXISTS (SELECT 1 FROM span WHERE span.instance = instance.id AND stopped = 1)
"""
"""What somebody has stopped is kept until its end, and what was started again is there to be looked at."""

_IDS_A_CALL: Final = 1000
_WISHES_AT_ONCE: Final = 1000
_ASK_AGAIN_S: Final = 60.0
_OF_ONE: Final = ("InvalidInstanceID", "OperationNotPermitted")
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")


def apply_wishes(turn: Turn) -> None:
    """Turn what the engine wrote down into marks on attempts and instances; each wish goes with its mark."""
    wishes = turn.ledger.rows("SELECT * FROM wish ORDER BY seq")
    arrays = {array.key: array for array in turn.arrays()} if wishes else {}
    for group in chunks(wishes, _WISHES_AT_ONCE):
        with turn.ledger.transaction():
            for wish in group:
                place = (wish["key"], wish["position"], wish["attempt"])
                row = turn.ledger.one("SELECT * FROM attempt WHERE key = ? AND position = ? AND attempt = ?", *place)
                if row is None or _marked(turn, arrays.get(wish["key"]), wish, row):
                    turn.ledger.write("DELETE FROM wish WHERE seq = ?", wish["seq"])


def _marked(turn: Turn, array: Array | None, wish: Any, row: Any) -> bool:
    """Whether nothing of a wish is left to be done later."""
    what, open_ = wish["what"], row["state"] != OVER
    if what == "extend":
        if row["instance"] is None:
            return not open_  # not before its instance is known
        # handed over again, as after a restart, it is not newer than what another machine has said since
        moved = "UPDATE instance SET extended_to = ?1, wished_to = ?1 WHERE id = ?2 AND wished_to IS NOT ?1"
        turn.ledger.write(moved, int(wish["number"]), row["instance"])
        turn.ledger.write("UPDATE array SET control_due = 1 WHERE key = ?", wish["key"])
    elif what == "release" and not open_:
        _release(turn, array, row)
    elif open_ and row["stopping"] in (None, "drop"):
        turn.ledger.write(
            "UPDATE attempt SET stopping = ?, grace_s = ? WHERE key = ? AND position = ? AND attempt = ?",
            "drop" if what == "drop" else "stop", wish["number"], wish["key"], wish["position"], wish["attempt"],
        )  # fmt: skip
    return True


def _release(turn: Turn, array: Array | None, row: Any) -> None:
    """End the instance of an attempt that is over, unless others still have something to do there."""
    if row["instance"] is None or turn.ledger.one("SELECT 1 FROM attempt WHERE instance = ? AND state <> 'over' LIMIT 1", row["instance"]):
        return
    waits = "SELECT 1 FROM attempt WHERE key = ? AND state = 'queued' LIMIT 1"
    if array is None or not array.is_pool or not turn.ledger.one(waits, row["key"]):
        end_instance(turn, row["instance"], "it was released")


def end_instance(turn: Turn, instance_id: str, why: str) -> None:
    """An instance is to be terminated. Again: nothing."""
    turn.ledger.write("UPDATE instance SET ending = ? WHERE id = ? AND ending IS NULL AND settled = 0", why, instance_id)


def act_on_stops(turn: Turn, arrays: list[Array]) -> None:
    """Go as far as can be gone now with every attempt that is to be stopped or dropped."""
    for array in arrays:
        rows = turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND stopping IS NOT NULL AND state <> 'over' ORDER BY position, attempt", array.key)
        for token in {row["token"] for row in rows if row["state"] == LAUNCHING}:
            launch = turn.ledger.one("SELECT * FROM launch WHERE token = ?", token)
            if launch["state"] == "open" and not launch["asked"]:
                close_launch(turn, launch)
        if any(row["state"] == LAUNCHING for row in rows):
            rows = turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND stopping IS NOT NULL AND state <> 'over' ORDER BY position, attempt", array.key)
        with turn.ledger.transaction():
            for row in rows:
                if row["state"] == WANTED:
                    end_attempt(turn, attempt_of(row), never_begun(turn, attempt_of(row), row["stopping"], None, shared=array.fleet.options.shared))
                elif not array.fleet.options.shared and row["stopping"] == "stop" and row["instance"] is not None:
                    end_instance(turn, row["instance"], "it was stopped")
        if array.fleet.options.shared:
            _stop_shared(turn, array, rows)


def _stop_shared(turn: Turn, array: Array, rows: list[Any]) -> None:
    """What has not begun is claimed, so that it never does; what has is stopped by its instance."""
    waiting = [row for row in rows if row["state"] in (LAUNCHED, QUEUED)]
    if any(row["state"] == BEGUN and row["stopping"] == "stop" for row in rows):
        turn.ledger.write("UPDATE array SET control_due = 1 WHERE key = ?", array.key)
    if not waiting or turn.held(("bucket", array.key)) or turn.held(turn.access_subject(array)):
        return
    answers = turn.crew.all([partial(claim, turn, array, row["position"], row["attempt"]) for row in waiting])
    with turn.ledger.transaction():
        for row, answer in zip(waiting, answers, strict=True):
            if isinstance(answer, Exception):
                continue
            if answer == ENGINE:
                end_attempt(turn, attempt_of(row), never_begun(turn, attempt_of(row), row["stopping"], None, shared=array.fleet.options.shared))
            else:
                note_begun(turn, attempt_of(row), answer)
                turn.ledger.write("UPDATE array SET control_due = 1 WHERE key = ?", array.key)
    for answer in answers:
        if isinstance(answer, (BotoCoreError, ClientError)):
            hold_bucket(turn, array, answer)
            return


def end_overdue(turn: Turn, arrays: list[Array]) -> None:
    """Mark for their end the instances that have outlived it, or all that they were to do."""
    for array in arrays:
        if not turn.is_due(("overdue", array.key), at_once=False):
            continue
        ttl = array.job.lifetime.ttl
        ttl_ms = None if ttl is None else round(ttl.total_seconds() * 1000)
        late = turn.ledger.rows(_PAST_END, ttl_ms, array.key, turn.now - round(PAST_END_S * 1000))
        overdue = [(row["id"], f"its end was at {iso(Instant(row['end']))}") for row in late]
        if array.job.lifetime.on_complete is OnComplete.TERMINATE:
            done = turn.ledger.rows(_POOL_DONE if array.is_pool else _DONE, array.key, turn.now - round(PAST_ARRAY_S * 1000))
            overdue += [(row["id"], "all that it was to do has ended") for row in done]
        if overdue:
            with turn.ledger.transaction():
                for instance_id, why in overdue:
                    end_instance(turn, instance_id, why)


def terminate(turn: Turn, arrays: list[Array]) -> None:
    """Ask EC2 to terminate the instances marked for it, up to a thousand in a call; again each minute until it says that they end."""
    wanted: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    owners: dict[tuple[str, str, str], Array] = {}
    for array in arrays:
        rows = turn.ledger.rows(
            "SELECT * FROM instance WHERE key = ? AND settled = 0 AND ending IS NOT NULL AND state NOT IN ('terminated', 'shutting-down')", array.key
        )
        for row in rows:
            again = None if row["asked_at"] is None else Instant(row["asked_at"] + round(_ASK_AGAIN_S * 1000))
            if again is not None and again > turn.now:
                turn.wake_at(again)
                continue
            place = (array.account, array.access, row["region"])
            wanted[place].append(row["id"])
            owners[place] = array
    for place, ids in wanted.items():
        for group in chunks(ids, _IDS_A_CALL):
            _ask_to_terminate(turn, owners[place], place[2], list(group))


def terminate_subject(account: str, region: str) -> Subject:
    """What is held while EC2 does not take TerminateInstances."""
    return ("TerminateInstances", account, region)


def instance_subject(instance_id: str) -> Subject:
    """What is held when EC2 would not terminate this one alone."""
    return ("TerminateInstances", instance_id)


def _ask_to_terminate(turn: Turn, array: Array, region: str, ids: list[str]) -> None:
    if turn.held(terminate_subject(array.account, region)) or turn.held(turn.access_subject(array)):
        return
    wait = max(
        turn.tokens_in(array, region, "TerminateInstances", TERMINATE_INSTANCES, 1),
        turn.tokens_in(array, region, "TerminateInstances/instances", TERMINATE_RESOURCES, len(ids)),
    )
    if wait:
        turn.wake_at(Instant(turn.now + wait))
        return
    turn.take(array, region, "TerminateInstances", TERMINATE_INSTANCES, 1)
    turn.take(array, region, "TerminateInstances/instances", TERMINATE_RESOURCES, len(ids))
    ec2 = turn.clients(array).client("ec2", region)
    answer = turn.crew.all([partial(ec2.terminate_instances, InstanceIds=ids)])[0]
    asked = ids
    if isinstance(answer, Exception):
        refusal = Refusal.of(answer, f"terminate instances in {region}")
        # one that EC2 does not know, or that is protected, refuses the whole call: the others are asked for again without it
        asked = [one for one in _INSTANCE_ID.findall(str(answer)) if one in ids] if refusal.code.startswith(_OF_ONE) else []
        for one in asked:
            turn.hold(instance_subject(one), refusal.sentence, for_s=_ASK_AGAIN_S)
        if refusal.kind is Kind.EXPIRED:
            turn.hold_access(array, refusal)
        elif not asked:
            turn.hold(terminate_subject(array.account, region), refusal.sentence)
        else:
            turn.wake_at(turn.now)
    else:
        turn.free(terminate_subject(array.account, region))
    turn.ledger.write_many("UPDATE instance SET asked_at = ? WHERE id = ?", [(turn.now, one) for one in asked])
    turn.stir()
