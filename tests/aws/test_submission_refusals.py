"""SubmitJob: what is refused in which words, and what is taken only to fail (spec 2.8 and 2.11)."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.domain.consumables import ConsumableResource
from spawn.domain.instants import Instant
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import ComputeEnvironment, JobQueue, Machines
from tests.aws.serving import Scripted
from tests.aws.submissions import ARN, fate, put, refusal, register, submit


@pytest.fixture
def served(scripted: Scripted) -> Scripted:
    """With the definition `work:1`."""
    register(scripted)
    return scripted


# --- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"jobName": "a b", "jobQueue": "nowhere"}, "Error executing request, Exception : Job name should match valid pattern, RequestId: "),
        ({"jobName": ""}, "Job name should match valid pattern"),
        ({"arrayProperties": {"size": 1}}, "arrayProperties.size: 1 is not between 2 and 10000"),
        ({"arrayProperties": {"size": 10_001}}, "10001 is not between 2 and 10000"),
        ({"arrayProperties": {"size": 0}}, "0 is not between"),
        ({"parameters": {"long": "x" * 48_000}}, "Job size must be less than 30 KiB, got 47 KiB"),
        ({"tags": {f"k{number}": "" for number in range(51)}}, "Member must have length less than or equal to 50"),
        ({"containerOverrides": {"command": ["a", ""]}}, "cannot contain an empty string"),
        ({"containerOverrides": {"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "x"}]}}, "begin with AWS_BATCH are reserved"),
        ({"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "-1"}]}}, "'-1' is not a number of vCPUs"),
        ({"containerOverrides": {"resourceRequirements": [{"type": "DISK", "value": "1"}]}}, "'DISK'"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "59 is below 60"),
        ({"retryStrategy": {"attempts": 11}}, "11 is not between 1 and 10"),
        ({"retryStrategy": {"evaluateOnExit": [{"onReason": "*", "action": "exit"}]}}, "RetryAttempts must be provided with retry strategy"),
        ({"containerOverrides": {"command": ["Ref::job_id"]}}, "Unable to substitute value. No parameter found for reference job_id"),
        (
            {"consumableResourcePropertiesOverride": {"consumableResourceList": [{"consumableResource": "r", "quantity": 1}]}},
            "Consumable resource r not found.",
        ),
        ({"nodeOverrides": {"numNodes": 2}}, "Multi-node parallel jobs do not run here"),
        ({"nodeOverrides": {"numNodes": 2}, "arrayProperties": {"size": 2}}, "An array job cannot be a multi-node parallel job"),
        ({"eksPropertiesOverride": {"podProperties": {"metadata": {}}}}, "Jobs on Amazon EKS do not run here"),
        ({"ecsPropertiesOverride": {"taskProperties": []}}, "give containerOverrides"),
        ({"shareIdentifier": "a"}, "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy."),
        ({"schedulingPriorityOverride": 1}, "can onlybe submitted to job queue with fair share"),
        ({"dependsOn": [{"jobId": "none"}] * 21}, "Error executing request, Exception : Job cannot have more than 20 dependencies, RequestId: "),
        ({"dependsOn": [{"jobId": "none"}]}, "There is no job 'none' to depend on"),
        ({"dependsOn": [{"jobId": "none", "type": "AFTER"}]}, "'AFTER'"),
        ({"dependsOn": [{"jobId": "a:b"}]}, "'a:b' is not the id"),
        ({"dependsOn": [{"jobId": f"{ARN}:job-queue/x"}]}, "is not the ARN of a job"),
        ({"dependsOn": [{}]}, "an entry needs a jobId"),
        ({"dependsOn": [{"type": "N_TO_N"}]}, "an entry needs a jobId"),
        ({"dependsOn": [{"type": "SEQUENTIAL"}]}, "SEQUENTIAL orders the children of an array"),
    ],
)
def test_what_aws_would_not_take_is_refused(served: Scripted, members: dict[str, Any], words: str) -> None:
    assert words in refusal(served, **members)


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"type": "multinode", "nodeProperties": {"numNodes": 1, "mainNode": 0, "nodeRangeProperties": [{"targetNodes": "0:"}]}}, "Multi-node parallel"),
        ({"eksProperties": {"podProperties": {"containers": [{"image": "i"}]}}}, "Jobs on Amazon EKS do not run here: give other:1 containerProperties"),
        ({"ecsProperties": {"taskProperties": [{"containers": [{"image": "a"}, {"image": "b"}]}]}}, "Tasks of several essential containers"),
    ],
)
def test_definitions_that_do_not_run_here_are_refused_with_the_way_out(served: Scripted, definition: dict[str, Any], words: str) -> None:
    register(served, "other", **definition)
    assert words in refusal(served, jobDefinition="other")


def test_a_definition_without_a_command_needs_an_environment_that_looks_at_images(served: Scripted) -> None:
    register(served, "imaged", containerProperties={"image": "busybox"})
    put(served, ComputeEnvironment(name="box", provider="local", runtime="docker"), JobQueue(name="boxes", environments=("box",)))
    assert "imaged:1 has no command" in refusal(served, jobDefinition="imaged")
    assert submit(served, jobDefinition="imaged", containerOverrides={"command": ["ls"]}).work.command == ("ls",)
    assert submit(served, jobDefinition="imaged", jobQueue="boxes").work.command == ()


# --- accepted, and failed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [{}, {"arrayProperties": {"size": 3}}])
def test_overrides_that_are_too_long_are_taken_and_fail(served: Scripted, array: dict[str, Any]) -> None:
    environment = [{"name": "LONG", "value": "x" * 8192}]
    job = submit(served, containerOverrides={"environment": environment}, **array)
    assert fate(served, job) == ("FAILED", "Container Overrides length must be at most 8192")
    assert served.running() == []
    dependent = submit(served, dependsOn=[{"jobId": job.id}])
    assert fate(served, dependent) == ("FAILED", "Dependent Job failed")


def test_more_than_50_tags_to_propagate_are_taken_and_fail(served: Scripted) -> None:
    register(served, "tagged", tags={f"d{number}": "" for number in range(30)})
    tags = {f"j{number}": "" for number in range(21)}
    status, reason = fate(served, submit(served, jobDefinition="tagged", tags=tags, propagateTags=True))
    assert (status, "51" in (reason or "")) == ("FAILED", True)
    for members in ({"propagateTags": False, "tags": tags}, {"propagateTags": True, "tags": {f"d{number}": "x" for number in range(30)}}):
        assert fate(served, submit(served, jobDefinition="tagged", **members))[0] != "FAILED"


# --- shares, capabilities, resources --------------------------------------------------------------------------------------


def fair(served: Scripted) -> None:
    put(served, SchedulingPolicy(name="fair"), JobQueue(name="shared", environments=("local",), policy="fair"))


def test_a_fair_share_queue_takes_shares_and_priorities(served: Scripted) -> None:
    fair(served)
    register(served, "urgent", schedulingPriority=5)
    plain, urgent, override = (
        submit(served, jobQueue="shared", shareIdentifier="red", jobDefinition="work").batch,
        submit(served, jobQueue="shared", shareIdentifier="red", jobDefinition="urgent").batch,
        submit(served, jobQueue="shared", shareIdentifier="blue", jobDefinition="urgent", schedulingPriorityOverride=9999).batch,
    )
    assert [(one.share, one.priority) for one in (plain, urgent, override) if one] == [("red", 0), ("red", 5), ("blue", 9999)]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "the job needs an identifier"),
        ({"shareIdentifier": "a-b"}, "'a-b' is not 1 to 255 letters and digits"),
        ({"shareIdentifier": "a" * 256}, "letters and digits"),
        ({"shareIdentifier": "a", "schedulingPriorityOverride": 10_000}, "10000 is not between 0 and 9999"),
    ],
)
def test_a_fair_share_queue_refuses_what_is_no_share(served: Scripted, members: dict[str, Any], words: str) -> None:
    fair(served)
    assert words in refusal(served, jobQueue="shared", **members)


def test_a_priority_of_the_definition_is_no_reason_to_refuse_a_job_on_another_queue(served: Scripted) -> None:
    register(served, "urgent", schedulingPriority=5)
    submit(served, jobDefinition="urgent")


@pytest.mark.parametrize(
    ("capabilities", "queue", "missing"),
    [
        ([], "fargate", "EC2"),
        (["EC2"], "fargate", "EC2"),
        (["FARGATE"], "ec2", "FARGATE"),
        (["FARGATE"], "unmanaged", "FARGATE"),
        ([], "ec2", None),
        ([], "unmanaged", None),
        ([], "mixed", None),
        (["FARGATE"], "fargate", None),
        (["FARGATE"], "default", None),
        (["EC2"], "default", None),
        (["EC2", "FARGATE"], "fargate", None),
    ],
)
def test_a_queue_runs_what_one_of_its_environments_is_capable_of(served: Scripted, capabilities: list[str], queue: str, missing: str | None) -> None:
    environments = (
        ComputeEnvironment(name="fargate", provider="local", machines=Machines.FARGATE_SPOT),
        ComputeEnvironment(name="ec2", provider="local", machines=Machines.SPOT),
        ComputeEnvironment(name="unmanaged", provider="local", machines=None),
    )
    put(served, *environments, *(JobQueue(name=one.name, environments=(one.name,)) for one in environments))
    put(served, JobQueue(name="mixed", environments=("fargate", "local")))
    register(served, "capable", **({"platformCapabilities": capabilities} if capabilities else {}))
    if missing is None:
        job = submit(served, jobDefinition="capable", jobQueue=queue)
        assert job.work.environment["AWS_EXECUTION_ENV"] == ("AWS_ECS_FARGATE" if capabilities == ["FARGATE"] else "AWS_ECS_EC2")
    else:
        expected = f"Job Queue is attached to Compute Environment that can not run Jobs with capability {missing}."
        assert refusal(served, jobDefinition="capable", jobQueue=queue) == expected


def test_consumable_resources_go_by_name_and_the_submission_wins(served: Scripted) -> None:
    put(served, *(ConsumableResource(name=name, total=5, created_at=Instant(0)) for name in ("a", "b", "c")))
    listed = [{"consumableResource": f"{ARN}:consumable-resource/a", "quantity": 1}, {"consumableResource": "b", "quantity": 1}]
    register(served, "taking", consumableResourceProperties={"consumableResourceList": listed})
    override = [{"consumableResource": "b", "quantity": 2}, {"consumableResource": "c", "quantity": 3}]
    batch = submit(served, jobDefinition="taking", consumableResourcePropertiesOverride={"consumableResourceList": override}).batch
    assert batch is not None
    assert batch.consumables == {"a": 1, "b": 2, "c": 3}
    more = [{"consumableResource": f"x{number}", "quantity": 1} for number in range(4)]
    assert "6 resources" in refusal(served, jobDefinition="taking", consumableResourcePropertiesOverride={"consumableResourceList": more})
