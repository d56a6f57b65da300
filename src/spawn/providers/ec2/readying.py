"""Before an array's first launch: its rights and groups, the agent, its description in the bucket, its queue. And after its last instance: their end."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.errors import Conflict
from spawn.domain.pacing import RUN_INSTANCES
from spawn.engine.news import Refused
from spawn.providers.ec2.agent_archive import agent_archive
from spawn.providers.ec2.asking import asking_once
from spawn.providers.ec2.clients import Kind, code_of, translate
from spawn.providers.ec2.ledger import QUEUED, WANTED
from spawn.providers.ec2.objects import read_object, write_object
from spawn.providers.ec2.pool import delete_queue, make_queue
from spawn.providers.ec2.preparing import Prepared
from spawn.providers.ec2.records import attempt_of, end_attempt
from spawn.providers.ec2.requests import WIRE
from spawn.providers.ec2.spans import has_unpriced
from spawn.providers.ec2.stored import array_document
from spawn.providers.ec2.turn import FAILURES, Array, Refusal, Turn


class _Described(msgspec.Struct):
    """Whose array.json it is."""

    key: str = ""


_PLANNED_S: Final = 5.0


def ready(turn: Turn, arrays: list[Array]) -> list[Array]:
    """The arrays that may launch, among them those for which what was missing could be made now."""
    agent = agent_archive().sha256
    lacking = [array for array in arrays if (array.prepared or {}).get("agent") != agent and _waits(turn, array)]
    may = [array for array in lacking if not _is_held(turn, array)]
    # from now on there may be something to remove, whatever becomes of the calls
    turn.ledger.write_many("UPDATE array SET prepared = coalesce(prepared, '{}') WHERE key = ?", [(array.key,) for array in may])
    made = turn.crew.all([partial(_made, turn, array, agent) for array in may])
    for array, answer in zip(may, made, strict=True):
        if isinstance(answer, Exception):
            _refused(turn, array, answer)
        else:
            turn.ledger.write("UPDATE array SET prepared = ?, queue = ?, control_due = 1 WHERE key = ?", answer[0], answer[1], array.key)
            turn.free(("prepare", array.key))
            _reckon_with_the_plan(turn, array)
    return turn.arrays() if may else arrays


def _reckon_with_the_plan(turn: Turn, array: Array) -> None:
    """A launch was tried in each region when it was planned, and EC2 took a token for that."""
    if array.prepared is None and turn.now - array.job.created_at < _PLANNED_S * 1000:
        for region in {offer.region for offer in array.fleet.offers}:
            turn.take(array, region, "RunInstances", RUN_INSTANCES, 1)


def _waits(turn: Turn, array: Array) -> bool:
    return turn.ledger.one("SELECT 1 FROM attempt WHERE key = ? AND state IN (?, ?) LIMIT 1", array.key, WANTED, QUEUED) is not None


def _is_held(turn: Turn, array: Array) -> bool:
    hold = turn.held(("prepare", array.key)) or turn.held(turn.access_subject(array))
    if hold is not None:
        count = turn.ledger.one("SELECT count(*) FROM attempt WHERE key = ? AND state IN (?, ?)", array.key, WANTED, QUEUED)[0]
        turn.say(array.key, hold.why, count)
    return hold is not None


def _made(turn: Turn, array: Array, agent: str) -> tuple[str, str | None]:
    """What was made, as the ledger keeps it, and the queue's URL."""
    clients = turn.clients(array)
    owner = clients.caller().arn
    with asking_once():
        prepared: Prepared = turn.memory.prepare(clients, array.job)
    _upload_agent(turn, array)
    _describe(turn, array)
    queue = make_queue(turn, array) if array.is_pool else None
    groups = {subnet: list(groups) for subnet, groups in prepared.security_groups.items()}
    return json.dumps({"agent": agent, "owner": owner, "profile": prepared.profile, "security_groups": groups}), queue


def _upload_agent(turn: Turn, array: Array) -> None:
    """See that the bucket has this version of the agent."""
    archive, s3 = agent_archive(), turn.s3(array)
    try:
        s3.head_object(Bucket=array.fleet.bucket, Key=archive.key)
    except ClientError as error:
        if code_of(error) not in ("404", "NoSuchKey", "NotFound"):
            raise
        s3.put_object(Bucket=array.fleet.bucket, Key=archive.key, Body=archive.content)


def _describe(turn: Turn, array: Array) -> None:
    """Write array.json, unless it is there. Raises Conflict when it is another array's."""
    if write_object(turn, array, "array.json", array_document(array.job, WIRE, max_concurrent=array.max_concurrent), only_new=True):
        return
    found = read_object(turn, array, "array.json", _Described)
    if found is None or found.key != array.key:
        raise Conflict(f"the bucket {array.fleet.bucket} has another array {array.job.id}, launched in the same second: launch it again")


def describe_again(turn: Turn, arrays: list[Array]) -> None:
    """Let the array.json of every array whose cap was changed say so; until that could be written it is tried again."""
    for array in arrays:
        if not array.limit_due or not array.prepared or turn.held(("limit", array.key)) or turn.held(turn.access_subject(array)):
            continue
        content = array_document(array.job, WIRE, max_concurrent=array.max_concurrent)
        [answer] = turn.crew.all([partial(write_object, turn, array, "array.json", content)])
        if isinstance(answer, Exception):
            turn.hold(("limit", array.key), Refusal.of(answer, f"write the limit of {array.job.id} to the bucket").sentence)
        else:
            written = "UPDATE array SET limit_due = 0 WHERE key = ? AND max_concurrent IS ?"
            turn.ledger.write(written, array.key, array.max_concurrent)
            turn.free(("limit", array.key))


def _refused(turn: Turn, array: Array, error: Exception) -> None:
    refusal = Refusal.of(error, f"prepare the launch of {array.job.id}")
    if refusal.kind is Kind.EXPIRED or refusal.is_denial:
        turn.hold_access(array, refusal)
    elif refusal.kind is Kind.FINAL:
        with turn.ledger.transaction():
            for row in turn.ledger.rows("SELECT * FROM attempt WHERE key = ? AND state = ?", array.key, WANTED):
                attempt = attempt_of(row)
                end_attempt(turn, attempt, Refused(attempt, turn.now, f"CannotStartContainerError: {refusal.sentence}"))
        turn.wake_at(turn.now)
        return
    else:
        turn.hold(("prepare", array.key), refusal.sentence)
    _is_held(turn, array)


def finish(turn: Turn, arrays: list[Array]) -> None:
    """Of every array of which nothing more will start and nothing is left: remove what was made for it. Its lives stay in the ledger."""
    for array in arrays:
        if (
            not array.forgotten
            or _is_open(turn, array)
            or has_unpriced(turn, array)
            or turn.held(("finish", array.key))
            or turn.held(turn.access_subject(array))
        ):
            continue
        try:
            _remove(turn, array)
        except FAILURES as error:
            refusal = Refusal.of(error, f"remove what was made for {array.job.id}")
            turn.hold(("finish", array.key), refusal.sentence, first_s=5.0)
            continue
        with turn.ledger.transaction():
            turn.ledger.write("DELETE FROM wish WHERE key = ?", array.key)
            turn.ledger.write("UPDATE array SET live = 0, prepared = NULL, queue = NULL WHERE key = ? AND forgotten = 1", array.key)
        turn.free(("finish", array.key))


def _is_open(turn: Turn, array: Array) -> bool:
    questions = (
        "SELECT 1 FROM attempt WHERE key = ? AND state <> 'over' LIMIT 1",
        "SELECT 1 FROM launch WHERE key = ? AND state = 'open' LIMIT 1",
        "SELECT 1 FROM instance WHERE key = ? AND settled = 0 LIMIT 1",
    )
    return any(turn.ledger.one(question, array.key) is not None for question in questions)


def _remove(turn: Turn, array: Array) -> None:
    if array.prepared is None:
        return
    try:
        if array.is_pool:
            delete_queue(turn, array)
    except (BotoCoreError, ClientError) as error:
        raise translate(error, action="delete the queue") from error
    with asking_once():
        turn.memory.dissolve(turn.clients(array), array.job)
