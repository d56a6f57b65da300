"""Why a RUNNABLE job can never run, in AWS's words with figures."""

from __future__ import annotations

import pytest

from spawn.domain.catalog import Catalog, Resource
from spawn.domain.jobs import Demand, Job
from spawn.domain.placement import limited_reason, obstacle, queue_capacity
from spawn.domain.queues import ComputeEnvironment, Health, JobQueue, Switch
from spawn.domain.scheduling import Capacity
from tests.domain.making import make_job

HOST = Capacity(cpus=2000, memory=24_000)


def job(vcpus: float, memory: int = 0) -> Job:
    return make_job(1, queue="q", demand=Demand(cpus=round(vcpus * 1000), memory=memory))


def catalog(*environments: ComputeEnvironment) -> Catalog:
    resources: list[Resource] = [*environments, JobQueue(name="q", environments=tuple(one.name for one in environments))]
    return Catalog.of(resources)


def capped(name: str, vcpus: int) -> ComputeEnvironment:
    return ComputeEnvironment(name=name, provider="local", max_cpus=vcpus * 1000)


ANY = ComputeEnvironment(name="any", provider="local")


def test_a_job_that_only_waits_has_no_obstacle() -> None:
    assert obstacle(job(2, 24_000), catalog(ANY), HOST) is None
    assert obstacle(job(2), catalog(capped("a", 1), capped("b", 2)), HOST) is None


def test_a_job_larger_than_the_host_says_how_large_the_host_is() -> None:
    assert obstacle(job(32, 4096), catalog(capped("a", 256)), HOST) == (
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached "
        "to the job queue: the job needs 32 vCPUs and 4096 MiB; the host has 2 vCPUs and 24000 MiB"
    )
    assert "the job needs 1 vCPU and 24001 MiB" in str(obstacle(job(1, 24_001), catalog(ANY), HOST))
    assert "the job needs 2.5 vCPUs; the host" in str(obstacle(job(2.5), catalog(ANY), HOST))


def test_a_job_larger_than_every_cap_says_what_the_caps_are() -> None:
    assert obstacle(job(2), catalog(capped("a", 1), capped("b", 1)), HOST) == (
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job: "
        "the job needs 2 vCPUs; maxvCpus: a 1, b 1"
    )


def test_environments_that_take_nothing_are_named() -> None:
    off = ComputeEnvironment(name="off", provider="local", state=Switch.DISABLED)
    bad = ComputeEnvironment(name="bad", provider="local", status=Health.INVALID)
    assert obstacle(job(1), catalog(off, bad), HOST) == "ACTION_REQUIRED - CE(s) associated with the job queue are invalid: off is DISABLED, bad is INVALID"
    assert obstacle(job(1), catalog(off, ANY), HOST) is None


@pytest.mark.parametrize(
    ("status_reason", "reason"),
    [
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - more", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - more", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"),
        ("ACTION_REQUIRED - CE(s) associated with the job queue are invalid", None),
        (None, None),
    ],
)
def test_only_what_a_time_limit_may_name_is_a_reason_for_one(status_reason: str | None, reason: str | None) -> None:
    assert limited_reason(status_reason) == reason


def test_a_job_that_is_run_again_after_its_queue_was_deleted_says_so() -> None:
    assert obstacle(make_job(1, queue="gone"), catalog(ANY), HOST) == "ACTION_REQUIRED - There is no job queue 'gone' any more"


def test_a_queue_has_what_its_environments_allow_and_the_host_has() -> None:
    for environments, expected in (((capped("a", 1),), 1000), ((capped("a", 1), capped("b", 64)), 2000), ((ANY,), 2000)):
        known = catalog(*environments)
        assert queue_capacity(known.queues["q"], known, HOST) == expected
    unmanaged = catalog(ComputeEnvironment(name="u", provider="local", machines=None, unmanaged_cpus=500))
    assert queue_capacity(unmanaged.queues["q"], unmanaged, HOST) == 500
