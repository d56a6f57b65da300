"""Instances in the ledger: entered when they are launched or first seen, and changed as EC2 tells of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spawn.domain.fleets import Market, Offer
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant, from_seconds
from spawn.domain.states import InstanceState
from spawn.engine.news import InstanceChanged, Launched
from spawn.providers.ec2.ledger import LAUNCHED, LAUNCHING, TOLD_LAUNCHED
from spawn.providers.ec2.offers import quota_subject
from spawn.providers.ec2.requests import TOKEN_TAG
from spawn.providers.ec2.spans import begin_span, go_on_counting, keep_books
from spawn.providers.ec2.tags import read_tags
from spawn.providers.ec2.turn import Array, Turn

_TIME: Final = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
TERMINATED: Final = InstanceState.TERMINATED.value

_ENTER = """
INSERT OR IGNORE INTO instance
(id, key, token, launch_index, region, zone, type, vcpus, market, state, launched_at, image, key_name, usd, price_source, price_as_of, ending)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_HAVE = "UPDATE attempt SET state = ?, instance = ? WHERE key = ? AND position = ? AND attempt = ? AND state = ?"


def enter_instances(turn: Turn, array: Array, launch: Any, found: Iterable[Mapping[str, Any]]) -> None:
    """Note new instances of a launch, and which of its members each has."""
    members = json.loads(launch["members"])
    for instance in found:
        index = instance.get("AmiLaunchIndex", 0)
        have = [AttemptId(array.key, position, attempt) for position, attempt in (members[index] if index < len(members) else ())]
        # a launch that was given up and happened after all: its members are in another one by now
        stray = "its launch was given up" if launch["state"] == "refused" else None
        if not _enter(turn, array, instance, launch["token"], launch["region"], array.fleet.offers[launch["offer"]], Market(launch["market"]), stray) or stray:
            continue
        for attempt in have:
            if turn.ledger.write(_HAVE, LAUNCHED, instance["InstanceId"], attempt.key, attempt.position, attempt.attempt, LAUNCHING):
                tell_launched(turn, attempt, instance["InstanceId"], turn.now)


def tell_launched(turn: Turn, attempt: AttemptId, instance_id: str, at: Instant) -> None:
    """Tell, once, which instance was launched for an attempt, or took it."""
    place = (attempt.key, attempt.position, attempt.attempt)
    told = turn.ledger.write("UPDATE attempt SET told = told | ?1 WHERE key = ?2 AND position = ?3 AND attempt = ?4 AND told & ?1 = 0", TOLD_LAUNCHED, *place)
    if told:
        turn.ledger.tell(Launched(attempt, at, instance_id))


def meet_instance(turn: Turn, array: Array, region: str, instance: Mapping[str, Any]) -> None:
    """Note an instance of an array that EC2 lists and the ledger does not have: of an answer that was lost, or of another machine's launch."""
    token = read_tags(instance.get("Tags")).get(TOKEN_TAG) or instance.get("ClientToken", "")
    launch = turn.ledger.one("SELECT * FROM launch WHERE token = ? AND key = ?", token, array.key)
    with turn.ledger.transaction():
        turn.ledger.write("DELETE FROM instance WHERE id = ? AND token = ''", instance["InstanceId"])
        if launch is not None:
            enter_instances(turn, array, launch, [instance])
        else:
            offers = array.fleet.offers
            offer = next((one for one in offers if (one.type, one.zone) == (instance["InstanceType"], _zone(instance))), offers[0])
            market = Market.SPOT if instance.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND
            _enter(turn, array, instance, token, region, offer, market, None)
    turn.stir()


def suppose_instance(turn: Turn, array: Array, instance_id: str) -> None:
    """Note an instance of which nothing is known but its name: the poller finds it, or finds in time that it is gone."""
    region, market = array.fleet.offers[0].region, Market.ON_DEMAND.value
    turn.ledger.write(_ENTER, instance_id, array.key, "", 0, region, "", "", 0, market, "pending", turn.now, "", None, 0.0, "", "", None)


def _enter(turn: Turn, array: Array, instance: Mapping[str, Any], token: str, region: str, offer: Offer, market: Market, ending: str | None) -> bool:
    price = offer.spot if market is Market.SPOT and offer.spot is not None else offer.on_demand
    launched_at = from_seconds(instance["LaunchTime"].timestamp()) if "LaunchTime" in instance else turn.now
    where = (region, _zone(instance) or offer.zone, instance.get("InstanceType", offer.type), offer.vcpus, market.value)
    what = (instance.get("State", {}).get("Name", "pending"), launched_at, instance.get("ImageId", ""), instance.get("KeyName"))
    cost = (price.usd, price.source, price.as_of) if price else (0.0, "", "")
    row = (instance["InstanceId"], array.key, token, instance.get("AmiLaunchIndex", 0), *where, *what, *cost, ending)
    if not turn.ledger.write(_ENTER, *row):
        return False
    if what[0] != TERMINATED:
        begin_span(turn, array.key, instance["InstanceId"], launched_at, stopped=what[0] in ("stopping", "stopped"))
    return True


def _zone(instance: Mapping[str, Any]) -> str:
    return str(instance.get("Placement", {}).get("AvailabilityZone", ""))


def see_instance(turn: Turn, array: Array, row: Any, instance: Mapping[str, Any]) -> None:
    """Note what EC2 says of an instance that the ledger has, and tell what changed."""
    state = instance["State"]["Name"]
    address = instance.get("PublicIpAddress") or instance.get("PrivateIpAddress") or row["address"]
    if row["seen_at"] is None or row["missed"] or address != row["address"]:
        launched_at = min(row["launched_at"], from_seconds(instance["LaunchTime"].timestamp()))
        turn.ledger.write(
            "UPDATE instance SET seen_at = coalesce(seen_at, ?), missed = 0, missed_at = NULL, address = ?, launched_at = ? WHERE id = ?",
            turn.now, address, launched_at, row["id"],
        )  # fmt: skip
    if state != row["state"]:
        reason = instance.get("StateReason") or {}
        said = instance.get("StateTransitionReason") or ""
        change_state(turn, array, row, state, code=reason.get("Code"), why=reason.get("Message") or said or None, at=_time_in(said, row, turn.now))
    if row["missed"]:
        go_on_counting(turn, row["id"])


def _time_in(said: str, row: Any, now: Instant) -> Instant | None:
    """When an instance changed its state by EC2's words, such as `User initiated (2026-01-27 10:00:00 GMT)`; None when they do not say."""
    match = _TIME.search(said)
    if match is None:
        return None
    at = from_seconds(datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())
    return at if row["launched_at"] <= at <= now else None


def change_state(turn: Turn, array: Array, row: Any, state: str, *, code: str | None, why: str | None, at: Instant | None = None) -> None:
    """An instance took another state. It is told when what it wrote before has been read (`tell_states`, `settling`)."""
    turn.stir()
    ended = (at or turn.now) if state == TERMINATED else None
    with turn.ledger.transaction():
        turn.ledger.write(
            "UPDATE instance SET state = ?, ended_at = coalesce(ended_at, ?), ended_said = max(ended_said, ?), ended_code = coalesce(?, ended_code), "
            "ended_why = coalesce(?, ended_why) WHERE id = ?",
            state, ended, at is not None, code if state != "running" else None, why if state != "running" else None, row["id"],
        )  # fmt: skip
        keep_books(turn, array, row, state, at)
    if state in ("stopping", "stopped"):
        turn.memory.polled.pop(("news", array.key), None)  # what it wrote before is told before that
    if state in ("stopped", TERMINATED):
        turn.free(quota_subject(array.account, row["region"], Market(row["market"])))
        turn.wake_at(turn.now)


def tell_states(turn: Turn, arrays: list[Array]) -> None:
    """Tell which instances were stopped, or started again, since the engine was told."""
    for array in arrays:
        rows = turn.ledger.rows(
            "SELECT id, state FROM instance WHERE key = ? AND settled = 0 AND state IN ('running', 'stopping', 'stopped') AND state <> told", array.key
        )
        if not rows:
            continue
        with turn.ledger.transaction():
            for row in rows:
                turn.ledger.write("UPDATE instance SET told = state WHERE id = ?", row["id"])
                tell_changed(turn, row["id"], InstanceState(row["state"]))


def tell_changed(turn: Turn, instance_id: str, state: InstanceState) -> None:
    """Tell the state of an instance for each attempt that it had."""
    for row in turn.ledger.rows("SELECT key, position, attempt FROM attempt WHERE instance = ? ORDER BY position, attempt", instance_id):
        attempt = AttemptId(ArrayKey(row["key"]), row["position"], row["attempt"])
        turn.ledger.tell(InstanceChanged(attempt, turn.now, instance_id, state))
