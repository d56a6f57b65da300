"""One poller a region and account: what EC2 says of the instances of all active arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from spawn.domain.pacing import DESCRIBE
from spawn.providers.ec2.clients import Kind
from spawn.providers.ec2.instances import TERMINATED, change_state, meet_instance, see_instance
from spawn.providers.ec2.offers import offer_subject_of
from spawn.providers.ec2.spans import note_look, stop_counting
from spawn.providers.ec2.tags import ARRAY, KEY, read_tags
from spawn.providers.ec2.turn import Array, Refusal, Subject, Turn, chunks, fingerprint

ARRAYS_A_CALL: Final = 200
NAMES_A_CALL: Final = 200
"""Most values of one filter."""

UNSEEN_S: Final = 300.0
"""EC2 may not list an instance for a while after launching it: only after this time does not being listed mean anything."""

UNSEEN_TIMES: Final = 3
"""So often in a row must it not be listed before it counts as gone."""

_GONE_S: Final = 60.0


def poll(turn: Turn, arrays: list[Array], *, at_once: bool) -> None:
    """Ask about the instances of arrays that have any, where that is due (or at once): one call a page."""
    for (account, access, region), group in _places(turn, arrays).items():
        subject: Subject = ("poll", account, fingerprint(access), region)
        count = sum(turn.ledger.one("SELECT count(*) FROM instance WHERE key = ? AND region = ?", array.key, region)[0] for array in group)
        if not turn.is_due(subject, at_once=at_once, size=count):
            continue
        if turn.held(turn.access_subject(group[0])) or turn.held(look_subject(account, region)):
            continue
        _ask(turn, region, group)


def look_subject(account: str, region: str) -> Subject:
    """What is held while EC2 does not say how instances stand."""
    return ("DescribeInstances", account, region)


def _places(turn: Turn, arrays: list[Array]) -> dict[tuple[str, str, str], list[Array]]:
    found: dict[tuple[str, str, str], list[Array]] = defaultdict(list)
    for array in arrays:
        regions = {row["region"] for row in turn.ledger.rows("SELECT DISTINCT region FROM instance WHERE key = ? AND settled = 0", array.key)}
        # a launch without an answer may have happened; attempts of another machine's launch may be anywhere
        regions |= {row["region"] for row in turn.ledger.rows("SELECT region FROM launch WHERE key = ? AND state = 'open' AND asked = 1", array.key)}
        unmet = turn.ledger.one("SELECT 1 FROM instance WHERE key = ? AND settled = 0 AND token = '' LIMIT 1", array.key)
        if unmet or (turn.ledger.one("SELECT 1 FROM attempt WHERE key = ? AND state IN ('launched', 'begun') LIMIT 1", array.key) and not regions):
            regions |= {offer.region for offer in array.fleet.offers}
        for region in regions:
            found[array.account, array.access, region].append(array)
    return found


def _ask(turn: Turn, region: str, arrays: list[Array]) -> None:
    account = arrays[0].account
    for group in chunks(arrays, ARRAYS_A_CALL):
        answer = turn.crew.all([partial(_looked, turn, region, group)])[0]
        if isinstance(answer, Exception):
            refusal = Refusal.of(answer, f"look at the instances in {region}")
            if refusal.kind is Kind.EXPIRED or refusal.is_denial:
                turn.hold_access(group[0], refusal)
            else:
                turn.hold(look_subject(account, region), refusal.sentence)
            return
        turn.free(look_subject(account, region))
        for array in group:
            _compare(turn, array, region, answer)


def _looked(turn: Turn, region: str, arrays: Sequence[Array]) -> list[dict[str, Any]]:
    """What EC2 has of arrays by their tag, and by its name what would count as gone without it: somebody may take the tags off what runs."""
    found = _described(turn, region, arrays[0], f"tag:{ARRAY}", [array.job.id for array in arrays])
    listed = {one["InstanceId"] for one in found}
    living = "SELECT * FROM instance WHERE key = ? AND region = ? AND state <> ?"
    rows = [row for array in arrays for row in turn.ledger.rows(living, array.key, region, TERMINATED)]
    missing = [row["id"] for row in rows if row["id"] not in listed and _counts_as_gone(turn, row)]
    for names in chunks(missing, NAMES_A_CALL):
        found += _described(turn, region, arrays[0], "instance-id", names)
    return found


def _described(turn: Turn, region: str, first: Array, name: str, values: Sequence[str]) -> list[dict[str, Any]]:
    ec2 = turn.clients(first).client("ec2", region)
    filters = [{"Name": name, "Values": list(values)}]
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        turn.take(first, region, "DescribeInstances", DESCRIBE, 1)
        answer = ec2.describe_instances(Filters=filters, MaxResults=1000, **more)
        found += [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
        if not answer.get("NextToken"):
            return found
        more = {"NextToken": answer["NextToken"]}


def _compare(turn: Turn, array: Array, region: str, found: list[dict[str, Any]]) -> None:
    """What EC2 has of an array against what the ledger has."""
    known = {row["id"]: row for row in turn.ledger.rows("SELECT * FROM instance WHERE key = ? AND region = ?", array.key, region)}
    listed = [one for one in found if read_tags(one.get("Tags")).get(KEY) == array.key or one["InstanceId"] in known]
    with turn.ledger.transaction():
        for instance in listed:
            row = known.get(instance["InstanceId"])
            if row is None or not row["token"]:
                # as it was launched: what became of it since then is seen like that of any other
                meet_instance(turn, array, region, {**instance, "State": {"Name": "pending"}})
                row = turn.ledger.one("SELECT * FROM instance WHERE id = ?", instance["InstanceId"])
            if row["state"] != TERMINATED:
                see_instance(turn, array, row, instance)
            if row["state"] == "pending" and instance["State"]["Name"] == "running":
                turn.free(offer_subject_of(array, row))
        seen = {instance["InstanceId"] for instance in listed}
        for row in known.values():
            if row["id"] not in seen and row["state"] != TERMINATED:
                _unseen(turn, array, row)
        note_look(turn, array.key, region)


def _unseen(turn: Turn, array: Array, row: Any) -> None:
    missed_at = row["missed_at"] or turn.now
    stop_counting(turn, row)
    turn.ledger.write("UPDATE instance SET missed = missed + 1, missed_at = ? WHERE id = ?", missed_at, row["id"])
    if _counts_as_gone(turn, row):
        change_state(turn, array, row, TERMINATED, code="Unlisted", why="EC2 does not list it any more")


def _counts_as_gone(turn: Turn, row: Any) -> bool:
    """Whether an instance that is not listed now has not been for long enough, and often enough in a row."""
    missed_at = row["missed_at"] or turn.now
    long = turn.now - row["launched_at"] >= UNSEEN_S * 1000 if row["seen_at"] is None else turn.now - missed_at >= _GONE_S * 1000
    return long and row["missed"] + 1 >= UNSEEN_TIMES
