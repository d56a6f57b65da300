"""What must be true at the end, whatever went wrong: each rule compares what the store and the ledger say with what the laboratory and its machines did."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

from botocore.exceptions import ClientError

from spawn.domain.fleets import Life
from spawn.domain.instances import OnComplete
from spawn.domain.jobs import Job
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.spending import hourly, total
from spawn.domain.states import Status
from tests.cloud.faults.world import World

GUARD_S = 60.0
"""`shutdown -h +MINUTES` rounds up."""

PAST_ARRAY_S = 600.0 + 300.0
"""An instance that has nothing to do any more is ended so long after its array at the latest: ten minutes, and what a slow EC2 takes."""

OFF_S = 25.0
"""So long may a machine that was told to end take."""


def check(it: World) -> None:
    """All of it."""
    it.lab.clear_faults()
    it.lab.sign_in("valid")
    for job in it.jobs:
        check_outcomes(it, job)
        check_bill(it, job)
    check_one_at_a_time(it)
    check_ends(it)
    check_nothing_is_left(it)


# --- each index has a true outcome, or is lost -----------------------------------------------------------------------------


def check_outcomes(it: World, job: Job) -> None:
    """The store says of every attempt what its machine did; of one without a record that it is lost; of every child what its last attempt says."""
    array, latest = it.array(job), dict[int, Any]()
    runs = {run.attempt: run for run in it.runs}
    for row in it.attempts(job):
        latest[row["position"]] = row
        identity = f"{job.key}:{row['position']}:{row['attempt']}"
        _check_attempt(it, job, row, runs.get(identity))
    recorded = {f"{job.key}:{row['position']}:{row['attempt']}" for row in it.attempts(job)}
    begun = {run.attempt for run in it.runs if run.attempt.startswith(f"{job.key}:")}
    assert begun <= recorded, f"these ran, and nothing is said of them: {sorted(begun - recorded)}"
    for position in range(job.size):
        status = array.status_of(position)
        last = latest.get(position)
        succeeded = last is not None and OutcomeKind(last["kind"]) is OutcomeKind.SUCCEEDED
        if status is Status.SUCCEEDED:
            assert succeeded, f"child {position} is said to have succeeded: {last and dict(last)}"
        else:
            assert status is Status.FAILED, f"child {position} is {status.name}"
            # what was asked to run again and then cancelled has failed, whatever its last attempt did
            assert not succeeded or array.cancelled or array.halted, f"child {position} is said to have failed: {dict(last)}"


def _check_attempt(it: World, job: Job, row: Any, run: Any) -> None:
    kind = OutcomeKind(row["kind"])
    name = f"attempt {row['position']}:{row['attempt']} ({dict(row)}) of {run}"
    record = _record(it, job, row["position"], row["attempt"])
    if kind in (OutcomeKind.LOST, OutcomeKind.INTERRUPTED) and (run is None or run.with_its_machine or record is None):
        assert record is None or record["end"] == "lost", f"{name} left a record: {record}"
        assert run is None or run.with_its_machine or _died(it, run.instance_id), f"{name}: nothing befell its machine"
        return
    if kind is OutcomeKind.REFUSED:
        assert run is None, f"{name} is said to have been refused"
        return
    assert run is not None, f"{name} never ran"
    act = it.acts.act_of(run.index, row["attempt"])
    if run.completed is not None and kind in (OutcomeKind.SUCCEEDED, OutcomeKind.FAILED):
        assert (kind is OutcomeKind.SUCCEEDED) == (run.completed == "success"), name
        return
    expected = {"ttl": OutcomeKind.EXPIRED, "stopped": OutcomeKind.STOPPED, "interrupted": OutcomeKind.INTERRUPTED}.get(run.why or "")
    if expected is None:
        expected = OutcomeKind.SUCCEEDED if act.code == 0 else OutcomeKind.FAILED
        assert row["exit_code"] == (act.code if act.code is not None else 128 + (act.signal or 0)), name
    assert kind is expected, f"{name}: {expected}"
    assert run.ended is not None, f"{name} is said to have ended and runs"
    assert not run.with_its_machine, f"{name} died with its machine"


def _died(it: World, instance_id: str) -> bool:
    """Whether a machine was gone before it could write what it had to."""
    return any(life.instance_id == instance_id and life.ended_at is not None for life in it.lab.lives())


def _record(it: World, job: Job, position: int, attempt: int) -> dict[str, Any] | None:
    assert job.fleet is not None
    try:
        key = f"arrays/{job.id}/{job.index_at(position)}/{attempt}/outcome.json"
        found: dict[str, Any] = json.loads(it.clients.client("s3", "us-east-1").get_object(Bucket=job.fleet.bucket, Key=key)["Body"].read())
    except ClientError:
        return None
    return found


# --- no index has two attempts running --------------------------------------------------------------------------------------


def check_one_at_a_time(it: World) -> None:
    """An attempt id begins at most once, and two attempts of one index never run at the same time."""
    of_child: dict[str, list[Any]] = defaultdict(list)
    begun: dict[str, Any] = {}
    for run in it.runs:
        assert run.attempt not in begun, f"{run.attempt} began twice: {begun[run.attempt]} and {run}"
        begun[run.attempt] = run
        of_child[run.attempt.rpartition(":")[0]].append(run)
    for child, runs in of_child.items():
        runs.sort(key=lambda run: run.began)
        for one, other in pairwise(runs):
            ended = float("inf") if one.ended is None else one.ended
            assert ended <= other.began, f"two attempts of {child} ran at once: {one} and {other}"


# --- no instance outlives its TTL or its array ------------------------------------------------------------------------------


def check_ends(it: World) -> None:
    """Every instance has ended: by its TTL, and soon after its array when that does not keep instances."""
    jobs = {job.key: job for job in it.jobs}
    for life in it.lab.lives():
        job = jobs[life.token.split("-")[1]]  # type: ignore[index]
        assert life.ended_at is not None, f"{life} still runs"
        ttl = job.lifetime.ttl
        assert ttl is not None
        # only its own guard is sure to be heeded: what another hand did before it is counted here as well
        by_ttl = life.launched_at + it.lab.plan.pending_s + ttl.total_seconds() + GUARD_S + OFF_S
        if it.extended_to is not None:
            by_ttl = max(by_ttl, it.extended_to / 1000 + GUARD_S + OFF_S)
        if job.lifetime.on_complete is OnComplete.STOP:
            by_ttl += 300.0 + it.longest_gap_s + OFF_S  # a stopped one is ended by the engine
        assert life.ended_at <= by_ttl, f"{life} outlived its TTL by {life.ended_at - by_ttl:.0f} s"
        if job.lifetime.on_complete is OnComplete.TERMINATE:
            by_array = it.settled_at[job.id] / 1000 + PAST_ARRAY_S + it.longest_gap_s
            assert life.ended_at <= by_array, f"{life} outlived its array by {life.ended_at - by_array:.0f} s"


# --- it costs what the lives cost -------------------------------------------------------------------------------------------


def check_bill(it: World, job: Job) -> None:
    """The ledger has exactly the instances that there were, and each for as long as it was; so the array costs their sum."""
    found: dict[str, list[Life]] = defaultdict(list)
    for span in it.provider.reader.lives(job.key):
        found[span.instance_id].append(span)
    true = {life.instance_id: life for life in it.lab.lives() if life.token.split("-")[1] == job.key}
    assert found.keys() == true.keys(), f"ledger {sorted(found)}, laboratory {sorted(true)}"
    looks = [call.at for call in it.lab.calls.of("DescribeInstances", caller="user") if call.status == 200]
    cost, slack = 0.0, 0.0
    for instance_id, life in true.items():
        spans = found[instance_id]
        assert abs(spans[0].began / 1000 - life.launched_at) <= 1, f"{spans[0]} of {life}"
        ran = [span for span in spans if not span.usd_per_hour.source.startswith("a stopped")]
        assert all(span.ended is not None for span in spans), f"{spans} of {life}"
        charged = max((charge.until or life.ended_at or 0.0) for charge in life.charges) if life.charges else life.ended_at
        assert charged is not None
        last = (ran[-1].ended or 0) / 1000
        # of an end that EC2 does not date nobody knows more than when it was first looked for, by an engine that lived on to write it down
        after = [at for at in looks if at >= charged]
        late_s = after[min(len(after) - 1, 1 + 2 * len(it.axe.fell))] - charged + 1
        assert charged - OFF_S <= last <= charged + late_s, (
            f"{instance_id} is billed to {last - charged:+.0f} s of its end, {late_s:.0f} s late: {spans} {life}"
        )
        price = life.charges[-1].price if life.charges else ran[-1].usd_per_hour.usd
        assert abs(ran[-1].usd_per_hour.usd - price) < 1e-9, f"{ran[-1].usd_per_hour} of {life.charges}"
        cost += hourly(ran[-1]) * max(60.0, charged - life.launched_at) / 3600
        slack += hourly(ran[-1]) * max(OFF_S, late_s) / 3600
    if job.lifetime.on_complete is OnComplete.TERMINATE:
        assert abs(total(it.provider.reader.lives(job.key), it.clock.now()).usd - cost) <= slack + 1e-9


# --- nothing is left --------------------------------------------------------------------------------------------------------


def check_nothing_is_left(it: World) -> None:
    """Roles, profiles and queues of the arrays are gone, and so is what runs or is kept."""
    iam = it.clients.client("iam", "us-east-1")
    assert iam.list_roles(PathPrefix="/spawn/")["Roles"] == []
    assert iam.list_instance_profiles(PathPrefix="/spawn/")["InstanceProfiles"] == []
    assert "QueueUrls" not in it.clients.client("sqs", "us-east-1").list_queues()
    volumes = it.clients.client("ec2", "us-east-1").describe_volumes()["Volumes"]
    assert volumes == []
