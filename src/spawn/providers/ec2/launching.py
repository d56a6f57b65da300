"""Calling RunInstances for launches that are written down, and what becomes of each answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from spawn.domain.fleets import Market
from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant
from spawn.domain.pacing import RUN_INSTANCES, RUN_RESOURCES
from spawn.engine.news import Refused
from spawn.providers.ec2.clients import Kind, code_of
from spawn.providers.ec2.forming import take_tokens
from spawn.providers.ec2.instances import enter_instances
from spawn.providers.ec2.ledger import LAUNCHED, LAUNCHING, QUEUED, REFUSE, WANTED
from spawn.providers.ec2.offers import hold_offer, offer_subject, quota_subject, run_subject
from spawn.providers.ec2.records import end_attempt
from spawn.providers.ec2.turn import FRESH_S, Array, Hold, Refusal, Subject, Turn, chunks

NOT_YET_MOST_S: Final = 120.0
"""How long a new instance profile or security group may be unknown to EC2."""

_CALLS_AT_ONCE: Final = 10
_QUOTA_S: Final = 60.0
_GONE = frozenset(["IdempotentInstanceTerminated"])
_OTHERWISE: Final = "IdempotentParameterMismatch"
_LISTED_S: Final = 60.0

Answer = list[dict[str, Any]]
"""Instances as EC2 describes them."""


def make_launches(turn: Turn, arrays: list[Array]) -> None:
    """Make the calls of all open launches that may be made now, those without an answer among them; the same parameters each time."""
    due: list[tuple[Array, Any]] = []
    for array in arrays:
        opened = turn.ledger.rows("SELECT * FROM launch WHERE key = ? AND state = 'open' ORDER BY number", array.key)
        due += [(array, launch) for launch in opened if _may_call(turn, array, launch)]
    for batch in chunks(due, _CALLS_AT_ONCE):
        turn.ledger.write_many("UPDATE launch SET asked = 1 WHERE token = ?", [(launch["token"],) for _, launch in batch])
        calls: list[Callable[[], Answer]] = [partial(_launch, turn, array, launch) for array, launch in batch]
        for (array, launch), answer in zip(batch, turn.crew.all(calls), strict=True):
            if isinstance(answer, Exception):
                _refused(turn, array, launch, Refusal.of(answer, f"launch instances in {launch['region']}"))
            else:
                _answered(turn, array, launch, answer)


def _may_call(turn: Turn, array: Array, launch: Any) -> bool:
    waiting = f"asked for {launch['count']} instances in {launch['region']}"
    subjects: tuple[Subject, ...] = (
        turn.access_subject(array),
        run_subject(array.account, launch["region"]),
        ("not-yet", array.key),
        ("launch", launch["token"]),
    )
    for subject in subjects:
        if hold := turn.held(subject):
            turn.say(array.key, hold.why, _member_count(turn, launch))
            return False
    if _is_stale(turn, launch):
        listed_at = Instant(launch["made_at"] + round((FRESH_S + _LISTED_S) * 1000))
        if not launch["asked"]:
            close_launch(turn, launch)
            turn.wake_at(turn.now)
            return False
        if listed_at > turn.now:
            turn.wake_at(listed_at)
            turn.say(array.key, Hindrance(Because.UNCLEAR, f"unclear: {waiting} without an answer; it is looked for"), _member_count(turn, launch))
            return False
    first = turn.memory.holds.get(("launch", launch["token"])) is None and not launch["asked"] and launch["made_at"] == turn.now
    if first:
        return True  # its tokens were taken when it was formed
    offer = array.fleet.offers[launch["offer"]]
    wait = max(
        turn.tokens_in(array, offer.region, "RunInstances", RUN_INSTANCES, 1),
        turn.tokens_in(array, offer.region, "RunInstances/instances", RUN_RESOURCES, launch["count"]),
    )
    if wait:
        turn.wake_at(Instant(turn.now + wait))
        turn.say(array.key, Hindrance(Because.PACED, f"paced: {waiting}"), _member_count(turn, launch))
        return False
    take_tokens(turn, array, offer, launch["count"])
    return True


def _launch(turn: Turn, array: Array, launch: Any) -> Answer:
    """What was launched with this token: by an earlier call whose answer was lost, as far as EC2 lists it in full, or by this one."""
    ec2 = turn.clients(array).client("ec2", launch["region"])
    if launch["asked"]:
        found = _with_token(ec2, launch["token"])
        if len(found) >= launch["count"] or _is_stale(turn, launch):
            return found
    request = json.loads(launch["request"])
    try:
        answer = ec2.run_instances(**request | {"UserData": base64.b64decode(request["UserData"])})
    except ClientError as error:
        if code_of(error) != _OTHERWISE:
            raise
        return _launched_before(turn, launch, _with_token(ec2, launch["token"]), error)
    instances: Answer = answer["Instances"]
    return instances


def _launched_before(turn: Turn, launch: Any, found: Answer, error: ClientError) -> Answer:
    """What an engine whose ledger was lost launched with this token, for the same members. EC2 may not list all of it for a minute."""
    if len(found) < launch["count"] and turn.now - launch["made_at"] < _LISTED_S * 1000:
        raise error
    return found


def _is_stale(turn: Turn, launch: Any) -> bool:
    """Whether what its instances would boot with can perhaps not be fetched any more: it is not asked for again, only looked for."""
    return bool(turn.now - launch["made_at"] > FRESH_S * 1000)


def _with_token(ec2: Any, token: str) -> Answer:
    found: Answer = []
    more: dict[str, Any] = {}
    while True:
        answer = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [token]}], MaxResults=1000, **more)
        found += [instance for reservation in answer["Reservations"] for instance in reservation["Instances"] if instance.get("ClientToken") == token]
        if not answer.get("NextToken"):
            return found
        more = {"NextToken": answer["NextToken"]}


def _answered(turn: Turn, array: Array, launch: Any, instances: Answer) -> None:
    """Note which instance each member has; members without one wait for another launch, elsewhere."""
    with turn.ledger.transaction():
        turn.ledger.write("UPDATE launch SET state = 'done', asked = 1 WHERE token = ?", launch["token"])
        enter_instances(turn, array, launch, instances)
        left = turn.ledger.write("UPDATE attempt SET state = ?, token = NULL WHERE token = ? AND state = ?", WANTED, launch["token"], LAUNCHING)
    turn.stir()
    for subject in (("launch", launch["token"]), ("not-yet", array.key), run_subject(array.account, launch["region"]), turn.access_subject(array)):
        turn.free(subject)
    market, offer = Market(launch["market"]), array.fleet.offers[launch["offer"]]
    if 0 < len(instances) < launch["count"]:
        _no_room(turn, array, launch, f"{len(instances)} of {launch['count']} instances were launched")
        turn.wake_at(turn.now)
    elif instances:
        if any(one["State"]["Name"] == "running" for one in instances):  # till then there may be no room for it after all
            turn.free(offer_subject(array.account, offer, market))
        turn.free(quota_subject(array.account, offer.region, market))
    if left:
        turn.wake_at(turn.now)


def _refused(turn: Turn, array: Array, launch: Any, refusal: Refusal) -> None:
    turn.wake_at(turn.now)
    market, region = Market(launch["market"]), launch["region"]
    hold: Hold | None = None
    if refusal.kind is Kind.UNCLEAR:
        hold = turn.hold(("launch", launch["token"]), f"unclear: {refusal.sentence}; it is looked for", because=Because.UNCLEAR)
    elif refusal.code in _GONE:
        turn.ledger.write("UPDATE attempt SET state = ? WHERE token = ? AND state = ?", LAUNCHED, launch["token"], LAUNCHING)
        turn.ledger.write("UPDATE launch SET state = 'gone' WHERE token = ?", launch["token"])
    elif refusal.kind is Kind.THROTTLED:
        _not_done(turn, launch)
        turn.drain(array, region, "RunInstances", RUN_INSTANCES)
        why = f"throttled: EC2 takes no more requests of this account in {region} for now ({refusal.code})"
        hold = turn.hold(run_subject(array.account, region), why, because=Because.THROTTLED)
    elif refusal.kind is Kind.OVER_QUOTA:
        why = f"over quota: {refusal.sentence}; it goes on when instances end"
        turn.hold(quota_subject(array.account, region, market), why, because=Because.OVER_QUOTA, for_s=_QUOTA_S)
        close_launch(turn, launch)
    elif refusal.kind is Kind.NO_CAPACITY:
        _no_room(turn, array, launch, refusal.sentence)
        close_launch(turn, launch)
    elif refusal.kind is Kind.EXPIRED or refusal.is_denial:
        _not_done(turn, launch)
        hold = turn.hold_access(array, refusal)
    elif refusal.kind is Kind.NOT_YET and _is_recent(turn, array):
        _not_done(turn, launch)
        hold = turn.hold(("not-yet", array.key), f"not known to EC2 yet: {refusal.sentence}", because=Because.PREPARING, for_s=3.0)
    else:
        _refuse(turn, array, launch, refusal.sentence)
    if hold is not None:
        turn.say(array.key, hold.why, _member_count(turn, launch))


def _is_recent(turn: Turn, array: Array) -> bool:
    hold = turn.memory.holds.get(("not-yet", array.key))
    return hold is None or turn.now - hold.since < NOT_YET_MOST_S * 1000


def _no_room(turn: Turn, array: Array, launch: Any, sentence: str) -> None:
    hold_offer(turn, offer_subject(array.account, array.fleet.offers[launch["offer"]], Market(launch["market"])), sentence)


def _not_done(turn: Turn, launch: Any) -> None:
    """This call did nothing. What an earlier one did that had no answer stays in question."""
    turn.ledger.write("UPDATE launch SET asked = ? WHERE token = ?", launch["asked"], launch["token"])


def close_launch(turn: Turn, launch: Any) -> None:
    """Nothing was launched and nothing will be with this token: its members wait for another launch."""
    with turn.ledger.transaction():
        turn.ledger.write("UPDATE launch SET state = 'refused' WHERE token = ?", launch["token"])
        turn.ledger.write("UPDATE attempt SET state = ?, token = NULL WHERE token = ? AND state = ?", WANTED, launch["token"], LAUNCHING)
    turn.free(("launch", launch["token"]))


def _refuse(turn: Turn, array: Array, launch: Any, sentence: str) -> None:
    """Nothing that may change by itself would let it be launched: its members end as refused."""
    with turn.ledger.transaction():
        turn.ledger.write("UPDATE launch SET state = 'refused' WHERE token = ?", launch["token"])
        # what is in the queue may still be taken by an instance that runs: it is refused when nobody can begin it any more
        turn.ledger.write("UPDATE attempt SET stopping = ? WHERE key = ? AND state = ?", f"{REFUSE}{sentence}", array.key, QUEUED)
        rows = turn.ledger.rows("SELECT position, attempt FROM attempt WHERE token = ? AND state = ?", launch["token"], LAUNCHING)
        ended = [AttemptId(array.key, row["position"], row["attempt"]) for row in rows]
        for attempt in ended:
            end_attempt(turn, attempt, Refused(attempt, turn.now, f"CannotStartContainerError: {sentence}"))


def _member_count(turn: Turn, launch: Any) -> int:
    count: int = turn.ledger.one("SELECT count(*) FROM attempt WHERE token = ? AND state = ?", launch["token"], LAUNCHING)[0]
    return count
