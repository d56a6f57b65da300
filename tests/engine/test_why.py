"""Why children do not run, as `spawn status --why` tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spawn.api.native.waiting import waiting_reasons
from spawn.domain.consumables import ConsumableResource
from spawn.domain.instants import Instant
from spawn.domain.jobs import BatchJob, Demand, Job
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.domain.states import Status
from spawn.engine import commands
from spawn.engine.taking import take
from tests.domain.making import make_job
from tests.engine.driving import Driven


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    driven = Driven(tmp_path)
    resources = (
        ComputeEnvironment(name="small", provider="local", max_cpus=1000),
        SchedulingPolicy(name="p"),
        ConsumableResource(name="licence", total=3, created_at=Instant(0)),
        JobQueue(name="capped", environments=("small",)),
        JobQueue(name="plain", environments=("local",)),
        JobQueue(name="fair", environments=("local",), policy="p"),
    )
    driven.do(lambda state: [state.put(resource) for resource in resources])
    return driven


def put(driven: Driven, number: int, size: int, queue: str, *, vcpus: int = 1, **batch: Any) -> Job:
    job = make_job(number, size, queue=queue, demand=Demand(cpus=vcpus * 1000, memory=0), batch=BatchJob(definition="d:1", container={}, **batch))
    driven.do(lambda state: take(state, job, {}))
    driven.engine.turn()
    return job


def why(driven: Driven, job: Job) -> list[tuple[str | None, str]]:
    reasons = waiting_reasons(driven.row(job.id), driven.store, driven.provider.capacity(), driven.provider.holds_back())
    return [(reason["indexes"], reason["reason"]) for reason in reasons]


HANDED_OVER = "has been handed to the runner and starts as soon as a slot is free"


def test_an_environment_that_is_used_up_to_its_cap_is_named(driven: Driven) -> None:
    job = put(driven, 1, 3, "capped")
    full = "waits for room in a compute environment: each takes 1 vCPU, small (1 of 1 vCPUs in use)"
    assert why(driven, job) == [("0", HANDED_OVER), ("1-2", full)]


def test_a_resource_that_is_missing_is_named_with_how_much_is_in_use(driven: Driven) -> None:
    job = put(driven, 1, 3, "plain", consumables={"licence": 2})
    assert why(driven, job)[1] == ("1-2", "waits for the consumable resource 'licence': each takes 2, and 2 of 3 are in use")
    gone = put(driven, 2, 1, "plain", consumables={"gone": 1})
    assert why(driven, gone) == [("0", "waits for the consumable resource 'gone', which does not exist")]


def test_what_can_never_run_says_so(driven: Driven) -> None:
    job = put(driven, 1, 1, "plain", vcpus=32)
    ((_, reason),) = why(driven, job)
    assert reason.startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ")
    assert reason.endswith("the job needs 32 vCPUs; the host has 2 vCPUs and 2048 MiB")


def test_a_share_waits_for_its_turn_or_for_room_and_others_for_room(driven: Driven) -> None:
    put(driven, 1, 2, "plain")
    room = "each takes 1 vCPU, this machine has 2 and 2048 MiB"
    assert why(driven, put(driven, 2, 1, "plain")) == [("0", f"waits for capacity: {room}")]
    shared = put(driven, 3, 1, "fair", share="a")
    assert why(driven, shared) == [("0", f"waits for the turn of share 'a' in queue 'fair' (policy 'p'), or for capacity: {room}")]


def test_while_the_provider_holds_back_nothing_is_placed_and_the_reason_is_its_own(driven: Driven) -> None:
    driven.provider.held_back = "an earlier runner has not finished"
    job = put(driven, 1, 3, "default")
    held = put(driven, 2, 2, "default")
    assert driven.row(job.id).counts[Status.RUNNABLE] == 3
    assert why(driven, job) == [("0-2", "an earlier runner has not finished")]
    driven.do(lambda state: commands.cancel(state, held.id, None, reason="no more", dry_run=False))
    assert driven.row(held.id).status is Status.FAILED
    driven.provider.held_back = None
    driven.engine.turn()
    assert {attempt.key for attempt in driven.provider.started} == {job.key}
