"""The words of AWS: every refusal and every reason that clients are known to read, where it is to stand and how it comes about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from spawn.engine.news import Refused
from tests.aws.contract.world import ARN, DEFINITION, REASON, Json, World

EXECUTING: Final = "Error executing request, Exception : "
EXITED: Final = "Essential container in task exited"
ORDER: Final = [{"order": 1, "computeEnvironment": "local"}]
JOB: Final[Json] = {"jobName": "job", "jobQueue": "default", "jobDefinition": "work"}
SIX: Final = [{"consumableResource": str(number), "quantity": 1} for number in range(6)]
FAIR: Final = f"{ARN}:scheduling-policy/fair"


def container(**members: Any) -> Json:
    """The members of RegisterJobDefinition that state a container."""
    return {**DEFINITION, "jobDefinitionName": "other", "containerProperties": {**DEFINITION["containerProperties"], **members}}


# --- refusals in words that clients read --------------------------------------------------------------------------------

WORDS: Final[list[tuple[str, str, Json]]] = [
    ("DescribeJobs", EXECUTING + "Maximum number of jobs supported is  100 ., RequestId: ...", {"jobs": ["x"] * 101}),
    ("SubmitJob", EXECUTING + "Job name should match valid pattern, RequestId: ...", {**JOB, "jobName": "-job"}),
    ("SubmitJob", EXECUTING + "Job name should match valid pattern, RequestId: ...", {**JOB, "jobName": ""}),
    ("SubmitJob", EXECUTING + "Job name should match valid pattern, RequestId: ...", {**JOB, "jobName": "x" * 129}),
    ("SubmitJob", EXECUTING + "Job cannot have more than 20 dependencies, RequestId: ...", {**JOB, "dependsOn": [{"jobId": "KNOWN"}] * 21}),
    ("SubmitJob", EXECUTING + "RetryAttempts must be provided with retry strategy, RequestId: ...", {**JOB, "retryStrategy": {"evaluateOnExit": []}}),
    ("RegisterJobDefinition", EXECUTING + "RetryAttempts must be provided with retry strategy, RequestId: ...", {**container(), "retryStrategy": {}}),
    (
        "RegisterJobDefinition",
        EXECUTING + "RetryAttempts must be provided with retry strategy, RequestId: ...",
        {**container(), "retryStrategy": {"evaluateOnExit": [{"onExitCode": "1", "action": "RETRY"}]}},
    ),
    ("SubmitJob", "Job size must be less than 30 KiB, got 47 KiB", {**JOB, "parameters": {"x": "y" * 48_000}}),
    (
        "SubmitJob",
        "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.",
        {**JOB, "shareIdentifier": "a"},
    ),
    (
        "SubmitJob",
        "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.",
        {**JOB, "schedulingPriorityOverride": 1},
    ),
    (
        "SubmitJob",
        "Job Queue is attached to Compute Environment that can not run Jobs with capability EC2.",
        {**JOB, "jobQueue": "fargate"},
    ),
    (
        "SubmitJob",
        "Unable to substitute value. No parameter found for reference job_id",
        {**JOB, "containerOverrides": {"command": ["echo", "Ref::job_id"]}},
    ),
]


def furnish(world: World) -> str:
    """A fair-share queue, a queue of Fargate, a disabled queue, a definition that is gone, and a job whose id is returned."""
    fargate = {"type": "FARGATE", "maxvCpus": 4}
    world.call("CreateComputeEnvironment", computeEnvironmentName="fargate", type="MANAGED", computeResources=fargate)
    world.call("CreateJobQueue", jobQueueName="fargate", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "fargate"}])
    world.call("CreateSchedulingPolicy", name="fair")
    world.call("CreateJobQueue", jobQueueName="shared", priority=1, computeEnvironmentOrder=ORDER, schedulingPolicyArn=FAIR)
    world.call("CreateJobQueue", jobQueueName="closed", priority=1, computeEnvironmentOrder=ORDER, state="DISABLED")
    world.call("RegisterJobDefinition", **{**DEFINITION, "jobDefinitionName": "gone"})
    world.call("DeregisterJobDefinition", jobDefinition="gone:1")
    return world.submit()


def known(members: Mapping[str, Any], job: str) -> Json:
    """Members with the id of a job that there is."""
    return {**members, "dependsOn": [{"jobId": job} for _ in members["dependsOn"]]} if "dependsOn" in members else dict(members)


@pytest.mark.parametrize(("operation", "words", "members"), WORDS)
def test_a_refusal_has_the_words_of_aws(world: World, operation: str, words: str, members: Json) -> None:
    job = furnish(world)
    message = world.refusal(operation, **known(members, job))
    assert message.removeprefix(f"{operation}: ") == words


# --- refusals whose words AWS does not state, which name what is wrong ----------------------------------------------------

WRONG: Final[list[tuple[str, str, Json]]] = [
    ("ListJobs", "jobQueue", {}),
    ("ListJobs", "arrayJobId", {"jobQueue": "default", "arrayJobId": "x"}),
    ("ListJobs", "nobody", {"jobQueue": "nobody"}),
    ("ListJobs", "DONE", {"jobQueue": "default", "jobStatus": "DONE"}),
    ("ListJobs", "job_name", {"jobQueue": "default", "filters": [{"name": "job_name", "values": ["x"]}]}),
    ("ListJobs", "filters", {"jobQueue": "default", "filters": [{"name": name, "values": ["1"]} for name in ("JOB_NAME", "JOB_DEFINITION")]}),
    ("ListJobs", "maxResults", {"jobQueue": "default", "maxResults": 0}),
    ("ListJobs", "nextToken", {"jobQueue": "default", "nextToken": "made up"}),
    ("DescribeJobDefinitions", "maxResults", {"maxResults": 101}),
    ("SubmitJob", "nobody", {**JOB, "jobQueue": "nobody"}),
    ("SubmitJob", "closed", {**JOB, "jobQueue": "closed"}),
    ("SubmitJob", "job-queue", {**JOB, "jobQueue": f"{ARN}:compute-environment/local"}),
    ("SubmitJob", "nothing", {**JOB, "jobDefinition": "nothing"}),
    ("SubmitJob", "work:9", {**JOB, "jobDefinition": "work:9"}),
    ("SubmitJob", "gone", {**JOB, "jobDefinition": "gone:1"}),
    ("SubmitJob", "gone", {**JOB, "jobDefinition": "gone"}),
    ("SubmitJob", r"arrayProperties.size\W+1\b", {**JOB, "arrayProperties": {"size": 1}}),
    ("SubmitJob", r"arrayProperties.size\W+10001\b", {**JOB, "arrayProperties": {"size": 10001}}),
    ("SubmitJob", "nodeOverrides|multi-node", {**JOB, "arrayProperties": {"size": 2}, "nodeOverrides": {"numNodes": 2}}),
    ("SubmitJob", "Member must have length less than or equal to 50", {**JOB, "tags": {str(number): "" for number in range(51)}}),
    ("SubmitJob", "AWS_BATCH_MINE", {**JOB, "containerOverrides": {"environment": [{"name": "AWS_BATCH_MINE", "value": "x"}]}}),
    ("SubmitJob", "can.?not contain an empty string|can't contain an empty string", {**JOB, "containerOverrides": {"command": ["echo", ""]}}),
    ("SubmitJob", r"attemptDurationSeconds\W+59\b", {**JOB, "timeout": {"attemptDurationSeconds": 59}}),
    ("SubmitJob", "10000", {**JOB, "jobQueue": "shared", "shareIdentifier": "a", "schedulingPriorityOverride": 10000}),
    ("SubmitJob", "shareIdentifier", {**JOB, "jobQueue": "shared"}),
    ("SubmitJob", "shareIdentifier", {**JOB, "jobQueue": "shared", "shareIdentifier": "no-good"}),
    ("SubmitJob", r"attempts\W+11\b", {**JOB, "retryStrategy": {"attempts": 11}}),
    ("SubmitJob", r"attempts\W+0\b", {**JOB, "retryStrategy": {"attempts": 0}}),
    ("SubmitJob", r"evaluateOnExit\W+6\b", {**JOB, "retryStrategy": {"attempts": 1, "evaluateOnExit": [{"onExitCode": "1", "action": "RETRY"}] * 6}}),
    ("SubmitJob", "AGAIN", {**JOB, "retryStrategy": {"attempts": 1, "evaluateOnExit": [{"onExitCode": "1", "action": "AGAIN"}]}}),
    ("SubmitJob", "1x", {**JOB, "retryStrategy": {"attempts": 1, "evaluateOnExit": [{"onExitCode": "1x", "action": "EXIT"}]}}),
    ("SubmitJob", "licence", {**JOB, "consumableResourcePropertiesOverride": {"consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]}}),
    ("SubmitJob", "6 resources", {**JOB, "consumableResourcePropertiesOverride": {"consumableResourceList": SIX}}),
    ("SubmitJob", "512", {**JOB, "retryStrategy": {"attempts": 1, "evaluateOnExit": [{"onReason": "x" * 513, "action": "EXIT"}]}}),
    ("SubmitJob", "onReason", {**JOB, "retryStrategy": {"attempts": 1, "evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]}}),
    ("SubmitJob", "onExitCode", {**JOB, "retryStrategy": {"attempts": 1, "evaluateOnExit": [{"action": "EXIT"}]}}),
    ("SubmitJob", "AWS_BATCHES", {**JOB, "containerOverrides": {"environment": [{"name": "AWS_BATCHES", "value": ""}]}}),
    ("SubmitJob", "129", {**JOB, "tags": {"k" * 129: ""}}),
    ("SubmitJob", "257", {**JOB, "tags": {"k": "v" * 257}}),
    ("DescribeJobQueues", "101", {"jobQueues": ["x"] * 101}),
    ("DescribeComputeEnvironments", "101", {"computeEnvironments": ["x"] * 101}),
    ("DescribeJobDefinitions", "101", {"jobDefinitions": ["x"] * 101}),
    ("DescribeSchedulingPolicies", "101", {"arns": [f"{ARN}:scheduling-policy/x"] * 101}),
    ("CreateConsumableResource", "-1", {"consumableResourceName": "c", "totalQuantity": -1}),
    ("TagResource", "supported", {"resourceArn": f"{ARN}:job/x:0", "tags": {"a": "b"}}),
    ("TagResource", "supported", {"resourceArn": f"{ARN}:job/x#0", "tags": {"a": "b"}}),
    ("DeleteComputeEnvironment", "ENABLED|local", {"computeEnvironment": "local"}),
    ("DeleteJobQueue", "default", {"jobQueue": "default"}),
    ("DeleteSchedulingPolicy", "shared", {"arn": FAIR}),
    ("RegisterJobDefinition", "24 KiB", {**container(), "parameters": {"x": "y" * 25_000}}),
    ("RegisterJobDefinition", "no good", {**container(), "jobDefinitionName": "no good"}),
    ("RegisterJobDefinition", "pod", {**container(), "type": "pod"}),
    ("RegisterJobDefinition", "AWS_BATCH_MINE", container(environment=[{"name": "AWS_BATCH_MINE", "value": "x"}])),
    ("RegisterJobDefinition", "59", {**container(), "timeout": {"attemptDurationSeconds": 59}}),
    ("DeregisterJobDefinition", "work", {"jobDefinition": "work"}),
    ("DeregisterJobDefinition", "work:9", {"jobDefinition": "work:9"}),
    ("DeleteJobQueue", "ENABLED", {"jobQueue": "shared"}),
    ("DeleteComputeEnvironment", "ENABLED", {"computeEnvironment": "fargate"}),
    ("UpdateJobQueue", "policy", {"jobQueue": "fargate", "schedulingPolicyArn": FAIR}),
    (
        "CreateJobQueue",
        "reason|BORED",
        {
            "jobQueueName": "q",
            "priority": 1,
            "computeEnvironmentOrder": ORDER,
            "jobStateTimeLimitActions": [{"reason": "BORED", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}],
        },
    ),
    (
        "CreateJobQueue",
        "599",
        {
            "jobQueueName": "q",
            "priority": 1,
            "computeEnvironmentOrder": ORDER,
            "jobStateTimeLimitActions": [{"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "state": "RUNNABLE", "maxTimeSeconds": 599, "action": "CANCEL"}],
        },
    ),
    ("CreateSchedulingPolicy", "604801", {"name": "p", "fairsharePolicy": {"shareDecaySeconds": 604801}}),
    ("CreateSchedulingPolicy", "100", {"name": "p", "fairsharePolicy": {"computeReservation": 100}}),
    (
        "CreateSchedulingPolicy",
        "UserA",
        {"name": "p", "fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "UserA*"}, {"shareIdentifier": "UserA1"}]}},
    ),
]


@pytest.mark.parametrize(("operation", "named", "members"), WRONG)
def test_a_refusal_names_what_is_wrong_and_nothing_is_submitted(world: World, operation: str, named: str, members: Json) -> None:
    furnish(world)
    before = len(world.played.provider.started)
    assert re.search(named, world.refusal(operation, **members))
    assert len(world.played.provider.started) == before


# --- reasons of jobs ----------------------------------------------------------------------------------------------------


def run(world: World, job: str, **how: Any) -> Json:
    """A job after an attempt of it has run and ended so."""
    world.begin(job)
    world.end(job, **how)
    return world.job(job)


@pytest.mark.parametrize("code", [0, 3])
def test_a_process_that_exited_says_so_well_or_badly(world: World, code: int) -> None:
    job = run(world, world.submit(), code=code)
    (attempt,) = job["attempts"]
    assert (job["statusReason"], attempt["statusReason"]) == (EXITED, EXITED)
    assert (job["container"]["exitCode"], attempt["container"]["exitCode"]) == (code, code)
    assert "reason" not in attempt["container"]


def test_an_attempt_beyond_its_timeout_says_so_and_is_not_retried(world: World) -> None:
    job = run(world, world.submit(timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 3}), code=None, signal=9, why="timeout")
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert [attempt["statusReason"] for attempt in job["attempts"]] == ["Job attempt duration exceeded timeout"]


def test_a_lost_host_is_named_as_spot_losses_are(world: World) -> None:
    job = world.submit(
        retryStrategy={"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]}
    )
    for _ in range(2):
        world.begin(job)
        world.lose(job)
    shown = world.job(job)
    assert re.fullmatch(r"Host EC2 \(instance i-[0-9a-f]+\) terminated\.", shown["statusReason"])
    assert len(shown["attempts"]) == 2


def test_a_container_that_cannot_start_says_why(world: World) -> None:
    job = world.submit()
    why = "CannotStartContainerError: no such program"
    world.played.tell(Refused(world.under_way(job), world.played.clock.now(), why))
    shown = world.job(job)
    (attempt,) = shown["attempts"]
    assert (shown["statusReason"], attempt["statusReason"], attempt["container"]["reason"]) == ("Task failed to start", "Task failed to start", why)


def test_running_out_of_memory_is_the_reason_of_the_container(world: World) -> None:
    job = run(world, world.submit(), code=None, signal=9, why="oom")
    assert job["container"]["exitCode"] == 137
    assert job["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_overrides_too_long_for_ecs_are_taken_and_fail_the_job(world: World) -> None:
    job = world.submit(containerOverrides={"command": ["echo", "x" * 8200]})
    assert world.state(job) == ("FAILED", "Container Overrides length must be at most 8192")
    assert world.ran(job) == []


def test_too_many_tags_with_those_of_the_definition_are_taken_and_fail_the_job(world: World) -> None:
    of_definition = {f"d{number}": "" for number in range(30)}
    world.call("RegisterJobDefinition", **{**DEFINITION, "tags": of_definition})
    of_job = {f"j{number}": "" for number in range(21)}
    assert world.status(world.submit(tags=of_job)) != "FAILED"
    job = world.submit(tags=of_job, propagateTags=True)
    assert (world.status(job), world.ran(job), world.job(job)["tags"]) == ("FAILED", [], of_job)


def test_jobs_of_a_queue_that_is_deleted_fail_because_of_that(world: World) -> None:
    world.fill()
    world.call("CreateJobQueue", jobQueueName="mine", priority=1, computeEnvironmentOrder=ORDER)
    job, array = world.submit(jobQueue="mine"), world.submit(2, jobQueue="mine")
    world.call("UpdateJobQueue", jobQueue="mine", state="DISABLED")
    world.call("DeleteJobQueue", jobQueue="mine")
    assert [world.state(one) for one in (job, array, f"{array}:0")] == [("FAILED", "JobQueue deleted")] * 3


def too_large(world: World, **members: Any) -> str:
    """A job that needs more vCPUs than this machine has."""
    return world.submit(containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "64"}]}, **members)


def test_a_job_that_can_never_fit_says_so_while_it_is_runnable(world: World) -> None:
    status, reason = world.state(too_large(world))
    assert status == "RUNNABLE"
    assert str(reason).startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


def test_a_job_larger_than_every_environment_says_so_while_it_is_runnable(world: World) -> None:
    world.call("CreateComputeEnvironment", computeEnvironmentName="small", type="MANAGED", computeResources={"type": "EC2", "maxvCpus": 1})
    world.call("CreateJobQueue", jobQueueName="mine", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "small"}])
    two = {"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
    status, reason = world.state(world.submit(jobQueue="mine", containerOverrides=two))
    assert status == "RUNNABLE"
    assert str(reason).startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")


def test_a_state_limit_of_the_queue_cancels_what_is_stuck(world: World) -> None:
    why = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    limit = [{"reason": why, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}]
    world.call("UpdateJobQueue", jobQueue="default", jobStateTimeLimitActions=limit)
    job = too_large(world)
    world.played.clock.advance(599)
    world.played.do(lambda _: None)
    assert world.status(job) == "RUNNABLE"
    world.played.clock.advance(2)
    world.played.do(lambda _: None)
    assert world.state(job) == ("FAILED", f"Canceled by JobStateTimeLimit action due to reason: {why}")


def test_an_array_of_which_a_child_failed_says_so_at_the_end(world: World) -> None:
    parent = world.submit(2)
    run(world, f"{parent}:0", code=1)
    assert (world.status(parent), "statusReason" in world.job(parent)) == ("PENDING", False)
    run(world, f"{parent}:1")
    assert world.state(parent) == ("FAILED", "Array Child Job failed")


def test_an_array_that_succeeded_has_no_reason(world: World) -> None:
    parent = world.submit(2)
    world.finish()
    assert (world.status(parent), "statusReason" in world.job(parent)) == ("SUCCEEDED", False)


def test_queues_and_environments_are_healthy(world: World) -> None:
    (queue,) = world.call("DescribeJobQueues")["jobQueues"]
    (environment,) = world.call("DescribeComputeEnvironments")["computeEnvironments"]
    assert (queue["statusReason"], environment["statusReason"]) == ("JobQueue Healthy", "ComputeEnvironment Healthy")


def test_who_stops_a_job_gives_its_reason(world: World) -> None:
    world.fill()
    job = world.submit()
    world.call("TerminateJob", jobId=job, reason=REASON)
    assert world.state(job) == ("FAILED", REASON)


# --- rules for retries --------------------------------------------------------------------------------------------------

Rules = list[dict[str, str]]
RETRIED: Final[list[tuple[Rules, dict[str, Any], int]]] = [
    ([], {"code": 1}, 3),
    ([{"onExitCode": "1", "action": "EXIT"}], {"code": 1}, 1),
    ([{"onExitCode": "1", "action": "exit"}], {"code": 2}, 3),
    ([{"onExitCode": "13*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}], {"code": 137}, 3),
    ([{"onExitCode": "13*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}], {"code": 1}, 1),
    ([{"onReason": "*", "action": "EXIT"}, {"onExitCode": "13*", "action": "RETRY"}], {"code": 137}, 1),
    ([{"onReason": "OutOfMemory*", "action": "EXIT"}], {"code": None, "signal": 9, "why": "oom"}, 1),
    ([{"onStatusReason": "Essential*", "onExitCode": "5", "action": "EXIT"}], {"code": 5}, 1),
    ([{"onStatusReason": "Essential*", "onExitCode": "5", "action": "EXIT"}], {"code": 6}, 3),
]


@pytest.mark.parametrize(("rules", "how", "attempts"), RETRIED)
@pytest.mark.parametrize("size", [None, 2])
def test_the_first_rule_that_matches_decides_and_without_one_it_is_retried(
    world: World, size: int | None, rules: Rules, how: dict[str, Any], attempts: int
) -> None:
    job = world.submit(size, retryStrategy={"attempts": 3, "evaluateOnExit": rules})
    one = job if size is None else f"{job}:1"
    for number in range(1, attempts + 1):
        shown = run(world, one, **how)
        assert len(shown["attempts"]) == number
        assert shown["status"] == ("FAILED" if number == attempts else "STARTING")
