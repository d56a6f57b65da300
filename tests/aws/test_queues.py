"""Job queues through the door: created, changed, described, and deleted with the jobs that are in them."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.domain.errors import Conflict
from spawn.domain.ids import JobId
from spawn.domain.states import Status
from spawn.engine import commands
from spawn.engine.submission import Submission
from tests.aws.asking import ARN, ask, refused
from tests.aws.serving import Scripted

LOCAL = [{"order": 1, "computeEnvironment": "local"}]
REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
ACTION: dict[str, Any] = {"reason": REASONS[0], "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
POLICY = f"{ARN}:scheduling-policy"


def environment(served: Scripted, name: str, machines: str = "EC2") -> None:
    resources = {"type": machines, "maxvCpus": 2}
    ask(served, "CreateComputeEnvironment", computeEnvironmentName=name, type="MANAGED", computeResources=resources)


def service_environment(served: Scripted, name: str = "training") -> None:
    limits = [{"maxCapacity": 5, "capacityUnit": "NUM_INSTANCES"}]
    ask(served, "CreateServiceEnvironment", serviceEnvironmentName=name, serviceEnvironmentType="SAGEMAKER_TRAINING", capacityLimits=limits)


def create(served: Scripted, name: str, **members: Any) -> dict[str, Any]:
    return ask(served, "CreateJobQueue", **({"jobQueueName": name, "priority": 1, "computeEnvironmentOrder": LOCAL} | members))


def described(served: Scripted, name: str) -> dict[str, Any]:
    (one,) = ask(served, "DescribeJobQueues", jobQueues=[name])["jobQueues"]
    found: dict[str, Any] = one
    return found


def disable(served: Scripted, name: str) -> None:
    ask(served, "UpdateJobQueue", jobQueue=name, state="DISABLED")


def names(served: Scripted) -> list[str]:
    return [one["jobQueueName"] for one in ask(served, "DescribeJobQueues")["jobQueues"]]


def statuses(served: Scripted, job: str) -> list[Status]:
    array = served.store.array(JobId(job))
    assert array is not None
    return [array.status_of(position) for position in range(array.size)]


def test_the_default_queue_runs_on_this_machine(scripted: Scripted) -> None:
    queue = described(scripted, "default")
    assert (queue["state"], queue["status"], queue["statusReason"], queue["jobQueueType"]) == ("ENABLED", "VALID", "JobQueue Healthy", "ECS")
    assert queue["computeEnvironmentOrder"] == [{"order": 1, "computeEnvironment": f"{ARN}:compute-environment/local"}]
    assert (queue["tags"], queue["jobStateTimeLimitActions"], queue["priority"]) == ({}, [], 1)


def test_what_is_created_is_valid_at_once_and_described_as_given(scripted: Scripted) -> None:
    actions = [ACTION | {"reason": reason, "maxTimeSeconds": seconds} for reason, seconds in zip(REASONS, (600, 3600, 86_400), strict=True)]
    answer = create(scripted, "mine", priority=7, state="DISABLED", jobStateTimeLimitActions=actions, tags={"team": "blue"}, jobQueueType="ECS")
    assert answer == {"jobQueueName": "mine", "jobQueueArn": f"{ARN}:job-queue/mine"}
    queue = described(scripted, answer["jobQueueArn"])
    assert (queue["status"], queue["state"], queue["priority"], queue["tags"]) == ("VALID", "DISABLED", 7, {"team": "blue"})
    assert queue["jobStateTimeLimitActions"] == actions


def test_environments_are_taken_by_name_or_arn_and_shown_in_the_order_of_their_numbers(scripted: Scripted) -> None:
    environment(scripted, "first")
    environment(scripted, "second", "SPOT")
    order = [
        {"order": 30, "computeEnvironment": "local"},
        {"order": 20, "computeEnvironment": f"{ARN}:compute-environment/second"},
        {"order": 0, "computeEnvironment": "first"},
    ]
    create(scripted, "mine", computeEnvironmentOrder=order)
    shown = [(one["order"], one["computeEnvironment"].rpartition("/")[2]) for one in described(scripted, "mine")["computeEnvironmentOrder"]]
    assert shown == [(0, "first"), (20, "second"), (30, "local")]
    assert scripted.store.catalog().queues["mine"].environments == ("first", "second", "local")


@pytest.mark.parametrize(("machines", "kind"), [("EC2", "ECS"), ("SPOT", "ECS"), ("FARGATE", "ECS_FARGATE"), ("FARGATE_SPOT", "ECS_FARGATE")])
def test_the_type_of_a_queue_is_that_of_its_environments(scripted: Scripted, machines: str, kind: str) -> None:
    environment(scripted, "its", machines)
    order = [{"order": 1, "computeEnvironment": "its"}]
    create(scripted, "mine", computeEnvironmentOrder=order)
    assert described(scripted, "mine")["jobQueueType"] == kind
    asked = {"jobQueueName": "other", "priority": 1, "computeEnvironmentOrder": order, "jobQueueType": "EKS"}
    refused(scripted, "CreateJobQueue", f"EKS does not go with the environments of this queue, which make it {kind}", **asked)


def entries(*named: str) -> list[dict[str, Any]]:
    return [{"order": number, "computeEnvironment": name} for number, name in enumerate(named)]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"jobQueueName": "a.b"}, "'a.b' is not a name"),
        ({"priority": -1}, "priority: -1 is below 0"),
        ({"state": "OFF"}, "'OFF' is not one of ENABLED, DISABLED"),
        ({"computeEnvironmentOrder": []}, "0 compute environments: a queue has 1 to 3"),
        ({"computeEnvironmentOrder": entries("local", "a", "b", "c")}, "4 compute environments: a queue has 1 to 3"),
        ({"computeEnvironmentOrder": entries("local", "local")}, "named twice"),
        ({"computeEnvironmentOrder": entries("local", "nowhere")}, "no compute environment 'nowhere'"),
        ({"computeEnvironmentOrder": entries("local", "fargate")}, "cannot be mixed in one queue: 'local' \\(EC2\\), 'fargate' \\(FARGATE\\)"),
        ({"computeEnvironmentOrder": [*LOCAL, {"order": 1, "computeEnvironment": "fargate"}]}, "order numbers 1, 1 do not tell"),
        ({"computeEnvironmentOrder": entries(f"{ARN}:job-queue/local")}, "is not the ARN of a compute-environment"),
        ({"serviceEnvironmentOrder": [{"order": 1, "serviceEnvironment": "s"}]}, "compute environments or service environments, not both"),
        ({"schedulingPolicyArn": "fair"}, "'fair' is not the ARN of a scheduling policy"),
        ({"schedulingPolicyArn": f"{POLICY}/none"}, "no scheduling policy 'none'"),
        ({"schedulingPolicyArn": f"{POLICY}/quota"}, "'quota' is a policy for quota shares"),
        ({"jobStateTimeLimitActions": [ACTION | {"maxTimeSeconds": 599}]}, "599 is not between 600 and 86400"),
        ({"jobStateTimeLimitActions": [ACTION | {"maxTimeSeconds": 86_401}]}, "86401 is not between 600 and 86400"),
        ({"jobStateTimeLimitActions": [ACTION | {"action": "TERMINATE"}]}, "'TERMINATE' is not CANCEL"),
        ({"jobStateTimeLimitActions": [ACTION | {"state": "PENDING"}]}, "'PENDING' is not one of RUNNABLE"),
        ({"jobStateTimeLimitActions": [ACTION | {"reason": "BORED"}]}, "'BORED' is not one of CAPACITY:INSUFFICIENT"),
        ({"tags": {"aws:x": "y"}}, "'aws:x' begins with 'aws:'"),
        ({"tags": {"spawn:provider": "local"}}, "'spawn:provider' begins with 'spawn:'"),
        ({"jobQueueType": "SAGEMAKER_TRAINING"}, "which make it ECS"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_makes_nothing(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    environment(scripted, "fargate", "FARGATE")
    ask(scripted, "CreateSchedulingPolicy", name="quota", quotaSharePolicy={"idleResourceAssignmentStrategy": "FIFO"})
    refused(scripted, "CreateJobQueue", sentence, **({"jobQueueName": "mine", "priority": 1, "computeEnvironmentOrder": LOCAL} | members))
    assert names(scripted) == ["default"]


def test_a_name_is_given_once(scripted: Scripted) -> None:
    create(scripted, "mine")
    asked = {"jobQueueName": "mine", "priority": 1, "computeEnvironmentOrder": LOCAL}
    refused(scripted, "CreateJobQueue", "Object already exists: there is a job queue 'mine' already", **asked)


def test_there_are_at_most_fifty_beside_the_one_that_is_always_there(scripted: Scripted) -> None:
    for number in range(50):
        create(scripted, f"q{number}")
    refused(
        scripted,
        "CreateJobQueue",
        "There are 50 already, the most there can be: delete a job queue first",
        jobQueueName="q50",
        priority=1,
        computeEnvironmentOrder=LOCAL,
    )


def test_an_update_replaces_what_it_names_and_leaves_the_rest(scripted: Scripted) -> None:
    environment(scripted, "other")
    create(scripted, "mine", jobStateTimeLimitActions=[ACTION], tags={"team": "blue"})
    ask(scripted, "UpdateJobQueue", jobQueue="mine", priority=9)
    queue = described(scripted, "mine")
    assert (queue["priority"], queue["jobStateTimeLimitActions"], queue["tags"], queue["state"]) == (9, [ACTION], {"team": "blue"}, "ENABLED")
    order = [{"order": 3, "computeEnvironment": "other"}]
    arn = ask(scripted, "UpdateJobQueue", jobQueue=f"{ARN}:job-queue/mine", state="DISABLED", computeEnvironmentOrder=order, jobStateTimeLimitActions=[])
    assert arn == {"jobQueueName": "mine", "jobQueueArn": f"{ARN}:job-queue/mine"}
    queue = described(scripted, "mine")
    assert (queue["state"], queue["jobStateTimeLimitActions"], queue["priority"]) == ("DISABLED", [], 9)
    assert queue["computeEnvironmentOrder"] == [{"order": 3, "computeEnvironment": f"{ARN}:compute-environment/other"}]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"jobQueue": "other"}, "no job queue 'other'"),
        ({"jobQueue": f"{ARN}:job/mine"}, "is not the ARN of a job-queue"),
        ({"priority": -1}, "-1 is below 0"),
        ({"computeEnvironmentOrder": []}, "a queue has 1 to 3"),
        ({"computeEnvironmentOrder": entries("nowhere")}, "no compute environment 'nowhere'"),
        ({"schedulingPolicyArn": f"{POLICY}/fair"}, "has no scheduling policy and cannot get one"),
        ({"serviceEnvironmentOrder": [{"order": 1, "serviceEnvironment": "training"}]}, "cannot change between compute environments and service environments"),
        ({"jobStateTimeLimitActions": [ACTION | {"reason": "BORED"}]}, "'BORED' is not one of"),
    ],
)
def test_an_update_that_cannot_be_meant_changes_nothing(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    ask(scripted, "CreateSchedulingPolicy", name="fair")
    service_environment(scripted)
    create(scripted, "mine")
    before = described(scripted, "mine")
    refused(scripted, "UpdateJobQueue", sentence, **({"jobQueue": "mine"} | members))
    assert described(scripted, "mine") == before


def test_a_fair_share_queue_can_change_its_policy_but_not_lose_it(scripted: Scripted) -> None:
    for name in ("halves", "thirds"):
        ask(scripted, "CreateSchedulingPolicy", name=name)
    create(scripted, "mine", schedulingPolicyArn=f"{POLICY}/halves")
    ask(scripted, "UpdateJobQueue", jobQueue="mine", schedulingPolicyArn=f"{POLICY}/thirds")
    assert described(scripted, "mine")["schedulingPolicyArn"] == f"{POLICY}/thirds"
    refused(scripted, "UpdateJobQueue", "cannot lose its scheduling policy", jobQueue="mine", schedulingPolicyArn="")
    assert "schedulingPolicyArn" not in described(scripted, "default")


def test_a_restart_changes_nothing_of_what_is_described(scripted: Scripted) -> None:
    ask(scripted, "CreateSchedulingPolicy", name="fair")
    create(scripted, "mine", schedulingPolicyArn=f"{POLICY}/fair", jobStateTimeLimitActions=[ACTION], priority=3, tags={"a": "b"})
    ask(scripted, "UpdateJobQueue", jobQueue="default", priority=5)
    before = ask(scripted, "DescribeJobQueues")
    scripted.restart()
    assert ask(scripted, "DescribeJobQueues") == before


def test_queues_are_paged_by_name(scripted: Scripted) -> None:
    for number in range(5):
        create(scripted, f"q{number}")
    found, members = [], {}
    while True:
        page = ask(scripted, "DescribeJobQueues", maxResults=2, **members)
        found.append([one["jobQueueName"] for one in page["jobQueues"]])
        if "nextToken" not in page:
            break
        members = {"nextToken": page["nextToken"]}
    assert found == [["default", "q0"], ["q1", "q2"], ["q3", "q4"]]


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_a_queue_is_deleted_only_after_it_was_disabled(scripted: Scripted) -> None:
    create(scripted, "mine")
    refused(scripted, "DeleteJobQueue", "'mine' is ENABLED: disable it first", jobQueue="mine")
    disable(scripted, "mine")
    assert ask(scripted, "DeleteJobQueue", jobQueue=f"{ARN}:job-queue/mine") == {}
    assert names(scripted) == ["default"]
    refused(scripted, "DeleteJobQueue", "no job queue 'mine'", jobQueue="mine")
    scripted.restart()
    assert names(scripted) == ["default"]


def test_the_default_queue_is_not_deleted(scripted: Scripted) -> None:
    disable(scripted, "default")
    refused(scripted, "DeleteJobQueue", "'default' is always there", jobQueue="default")


def test_the_jobs_of_a_deleted_queue_are_terminated_those_that_run_too(scripted: Scripted) -> None:
    create(scripted, "mine")
    job = scripted.put(4, queue="mine")
    other = scripted.put(2)
    running, starting = scripted.running(job.key)
    scripted.begin(running)
    disable(scripted, "mine")
    ask(scripted, "DeleteJobQueue", jobQueue="mine")
    scripted.do(lambda _: None)
    assert sorted(scripted.provider.stopped, key=str) == sorted((running, starting), key=str)
    assert statuses(scripted, job.id) == [Status.RUNNING, Status.STARTING, Status.FAILED, Status.FAILED]
    scripted.end(running, starting, code=None, signal=15, why="stopped")
    row = scripted.store.job(job.id)
    assert row is not None
    assert (row.status, row.reason, row.terminated_at is not None) == (Status.FAILED, "JobQueue deleted", True)
    parent, children = scripted.describe(job.id), [scripted.describe(f"{job.id}:{index}") for index in range(4)]
    assert (parent["statusReason"], parent["isTerminated"]) == ("JobQueue deleted", True)
    assert [(child["status"], child["statusReason"]) for child in children] == [("FAILED", "JobQueue deleted")] * 4
    assert parent["jobQueue"] == f"{ARN}:job-queue/mine"
    scripted.finish()
    assert statuses(scripted, other.id) == [Status.SUCCEEDED] * 2


def test_a_settled_job_of_a_deleted_queue_stays_as_it_was_and_is_not_run_again(scripted: Scripted) -> None:
    create(scripted, "mine")
    job = scripted.put(queue="mine")
    scripted.finish()
    disable(scripted, "mine")
    ask(scripted, "DeleteJobQueue", jobQueue="mine")
    assert statuses(scripted, job.id) == [Status.SUCCEEDED]
    with pytest.raises(Conflict, match=r"the job queue 'mine' of .* was deleted"):
        scripted.do(lambda state: commands.retry(state, job.id, [0], dry_run=False))


def test_jobs_already_in_a_disabled_queue_run_to_their_end(scripted: Scripted) -> None:
    create(scripted, "mine")
    job = scripted.put(4, queue="mine")
    disable(scripted, "mine")
    scripted.finish()
    assert statuses(scripted, job.id) == [Status.SUCCEEDED] * 4


def test_a_launch_is_refused_while_the_default_queue_is_disabled(scripted: Scripted) -> None:
    disable(scripted, "default")
    launch = Submission(command=("true",), workdir="/")
    with pytest.raises(Conflict, match="Job queue 'default' is DISABLED and takes no jobs: enable it"):
        scripted.do(lambda state: commands.submit(state, launch, ()))
    ask(scripted, "UpdateJobQueue", jobQueue="default", state="ENABLED")
    assert scripted.do(lambda state: commands.submit(state, launch, ())).job.queue == "default"
