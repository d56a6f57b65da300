"""Forming launches: which attempts go into the next calls, written down before any of them is made."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any, Final

from spawn.domain.fleets import Offer
from spawn.domain.pacing import RUN_INSTANCES, RUN_RESOURCES
from spawn.providers.ec2.agent_archive import agent_archive
from spawn.providers.ec2.ledger import BEGUN, FREE, LAUNCHING, QUEUED, WANTED
from spawn.providers.ec2.offers import Choice, Nothing, choose, load_of
from spawn.providers.ec2.requests import Members, launch_document, run_parameters, token_of
from spawn.providers.ec2.turn import FAILURES, Array, Refusal, Turn
from spawn.providers.ec2.userdata import Fetched, Staged, document, embedded_or_none, staged

_URL_LASTS_S: Final = 3600
"""How long the agent's URL in user data can be used; with credentials that expire sooner, so long."""

_LAUNCH = "INSERT INTO launch (token, key, number, region, offer, market, count, members, request, state, asked, made_at) VALUES (?,?,?,?,?,?,?,?,?,'open',0,?)"


def form_launches(turn: Turn, arrays: list[Array]) -> None:
    """Write down as many launches as offers, quotas and buckets allow now; the tokens of the buckets are taken."""
    load = load_of(turn)
    for array in arrays:
        if not array.prepared or turn.held(turn.access_subject(array)) or turn.held(("not-yet", array.key)):
            continue
        units = units_of(turn, array)
        number = array.launches
        while units:
            choice = choose(turn, array, len(units), number, load)
            if isinstance(choice, Nothing):
                turn.say(array.key, choice.why, sum(len(unit) for unit in units) or len(units))
                break
            number += 1
            members, units = units[: choice.count], units[choice.count :]
            try:
                _write(turn, array, choice, members, number)
            except FAILURES as error:
                refusal = Refusal.of(error, f"stage a launch of {array.job.id} in the bucket {array.fleet.bucket}")
                hold = turn.hold(turn.access_subject(array), refusal.sentence)
                turn.say(array.key, hold.why, len(members) + len(units))
                break
            place = (array.account, choice.offer.region, choice.market)
            load[place] = load.get(place, 0) + choice.count * choice.offer.vcpus


def units_of(turn: Turn, array: Array) -> list[list[tuple[int, int]]]:
    """What each further instance of an array would have to do: (position, attempt)."""
    options = array.fleet.options
    if array.is_pool:
        return [[] for _ in range(_lacking(turn, array))]
    rows = turn.ledger.rows(f"SELECT position, attempt FROM attempt WHERE key = ? AND state = ? AND {FREE} ORDER BY position, attempt", array.key, WANTED)
    wanted = [(row["position"], row["attempt"]) for row in rows]
    if options.instances is None:
        return [[attempt] for attempt in wanted]
    return balanced(wanted, min(len(wanted), max(0, options.instances - _alive(turn, array))))


def balanced(attempts: list[tuple[int, int]], parts: int) -> list[list[tuple[int, int]]]:
    """So many contiguous parts, none of which has more than one attempt above another."""
    edges = [len(attempts) * part // parts for part in range(parts + 1)] if parts else []
    return [attempts[begin:end] for begin, end in pairwise(edges)]


def _lacking(turn: Turn, array: Array) -> int:
    counted = {
        row["state"]: row["n"] for row in turn.ledger.rows("SELECT state, count(*) AS n FROM attempt WHERE key = ? AND state <> 'over' GROUP BY 1", array.key)
    }
    if not counted.get(QUEUED):
        return 0
    left: int = counted[QUEUED] + counted.get(BEGUN, 0)
    return max(0, min(array.fleet.options.instances or 0, left) - _alive(turn, array))


def _alive(turn: Turn, array: Array) -> int:
    running = turn.ledger.one("SELECT count(*) FROM instance WHERE key = ? AND settled = 0 AND ending IS NULL", array.key)[0]
    asked = turn.ledger.one("SELECT total(count) FROM launch WHERE key = ? AND state = 'open'", array.key)[0]
    return int(running + asked)


def _write(turn: Turn, array: Array, choice: Choice, members: Members, number: int) -> None:
    token = token_of(array.key, number, members)
    user_data = _user_data(turn, array, choice, token, members)
    owner = str((array.prepared or {}).get("owner", ""))
    request = run_parameters(array, choice.offer, choice.market, token, choice.count, user_data, owner=owner, at=turn.now)
    row = (token, array.key, number, choice.offer.region, choice.place, choice.market.value, choice.count, json.dumps(members), json.dumps(request), turn.now)
    with turn.ledger.transaction():
        turn.ledger.write(_LAUNCH, *row)
        turn.ledger.write("UPDATE array SET launches = ? WHERE key = ?", number, array.key)
        taken = [(LAUNCHING, token, array.key, position, attempt) for member in members for position, attempt in member]
        turn.ledger.write_many("UPDATE attempt SET state = ?, token = ? WHERE key = ? AND position = ? AND attempt = ?", taken)
    take_tokens(turn, array, choice.offer, choice.count)


def take_tokens(turn: Turn, array: Array, offer: Offer, count: int) -> None:
    """A call of RunInstances for so many instances is about to be made."""
    turn.take(array, offer.region, "RunInstances", RUN_INSTANCES, 1)
    turn.take(array, offer.region, "RunInstances/instances", RUN_RESOURCES, count)


def _user_data(turn: Turn, array: Array, choice: Choice, token: str, members: Members) -> bytes:
    clients = turn.clients(array)
    endpoints = {service: clients.endpoint(service) for service in ("s3", "sqs", "ec2")}
    launch = launch_document(array, choice.market, token, members, endpoints)
    ttl_s: float | None = launch["ttl_s"]
    agent = _agent(turn, array)
    # who may look at an instance can read its user data, for as long as it is there
    embedded = None if launch["spec"]["environment"] else embedded_or_none(launch, agent, ttl_s)
    if embedded is not None:
        return embedded
    fleet, content, key = array.fleet, document(launch), f"{array.prefix}launch/{token}.json"
    turn.s3(array).put_object(Bucket=fleet.bucket, Key=key, Body=content, ContentType="application/json")
    place = Staged(bucket=fleet.bucket, region=fleet.bucket_region, key=key, sha256=hashlib.sha256(content).hexdigest(), endpoint=endpoints["s3"])
    return staged(place, agent, ttl_s)


def _agent(turn: Turn, array: Array) -> Fetched:
    """The agent, as an instance fetches it before it can sign anything."""
    archive = agent_archive()
    asked: Any = {"Bucket": array.fleet.bucket, "Key": archive.key}
    url: str = turn.s3(array).generate_presigned_url("get_object", Params=asked, ExpiresIn=_URL_LASTS_S)
    return Fetched(url=url, sha256=archive.sha256)
