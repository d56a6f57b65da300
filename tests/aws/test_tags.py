"""Tags of everything that has an ARN: set, removed, kept over restarts, and refused where AWS Batch has none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spawn.engine import commands
from spawn.engine.submission import Submission
from tests.aws.asking import ARN, ask, refused
from tests.aws.serving import Scripted

LIMITS = [{"maxCapacity": 1, "capacityUnit": "NUM_INSTANCES"}]
RESOURCES = (
    "job-queue/default",
    "job-queue/s",
    "job-queue/s/quota-share/share",
    "compute-environment/local",
    "scheduling-policy/policy",
    "consumable-resource/licence",
    "service-environment/training",
    "job-definition/work:2",
)


@pytest.fixture
def stocked(scripted: Scripted) -> Scripted:
    """With one of each kind."""
    ask(scripted, "CreateServiceEnvironment", serviceEnvironmentName="training", serviceEnvironmentType="SAGEMAKER_TRAINING", capacityLimits=LIMITS)
    ask(scripted, "CreateSchedulingPolicy", name="policy", quotaSharePolicy={"idleResourceAssignmentStrategy": "FIFO"})
    order = [{"order": 1, "serviceEnvironment": "training"}]
    ask(scripted, "CreateJobQueue", jobQueueName="s", priority=1, serviceEnvironmentOrder=order, schedulingPolicyArn=f"{ARN}:scheduling-policy/policy")
    sharing, preemption = {"strategy": "RESERVE"}, {"inSharePreemption": "DISABLED"}
    share = {"resourceSharingConfiguration": sharing, "preemptionConfiguration": preemption, "capacityLimits": LIMITS}
    ask(scripted, "CreateQuotaShare", quotaShareName="share", jobQueue="s", **share)
    ask(scripted, "CreateConsumableResource", consumableResourceName="licence", totalQuantity=1)
    for _ in range(2):
        container = {"image": "busybox", "command": ["true"], "vcpus": 1, "memory": 4}
        ask(scripted, "RegisterJobDefinition", jobDefinitionName="work", type="container", containerProperties=container)
    return scripted


def tag(served: Scripted, arn: str, **tags: str) -> None:
    assert ask(served, "TagResource", resourceArn=arn, tags=tags) == {}


def untag(served: Scripted, arn: str, *keys: str) -> None:
    assert ask(served, "UntagResource", resourceArn=arn, tagKeys=list(keys)) == {}


def tags(served: Scripted, arn: str) -> dict[str, str]:
    found: dict[str, str] = ask(served, "ListTagsForResource", resourceArn=arn)["tags"]
    return found


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_kind_of_resource_takes_tags_and_gives_them_back(stocked: Scripted, resource: str) -> None:
    arn = f"{ARN}:{resource}"
    assert tags(stocked, arn) == {}
    tag(stocked, arn, team="blue", cost="")
    tag(stocked, arn, team="red", stage="test")
    assert tags(stocked, arn) == {"team": "red", "cost": "", "stage": "test"}
    untag(stocked, arn, "cost", "never set")
    stocked.restart()
    assert tags(stocked, arn) == {"team": "red", "stage": "test"}


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_tag_changes_nothing_else(stocked: Scripted, resource: str) -> None:
    before = _described(stocked)
    tag(stocked, f"{ARN}:{resource}", team="blue")
    untag(stocked, f"{ARN}:{resource}", "team")
    assert _described(stocked) == before


def _described(served: Scripted) -> list[dict[str, Any]]:
    return [
        ask(served, "DescribeJobQueues"),
        ask(served, "DescribeComputeEnvironments"),
        ask(served, "DescribeServiceEnvironments"),
        ask(served, "DescribeJobDefinitions"),
        ask(served, "DescribeConsumableResource", consumableResource="licence"),
        ask(served, "DescribeSchedulingPolicies", arns=[f"{ARN}:scheduling-policy/policy"]),
        ask(served, "DescribeQuotaShare", quotaShareArn=f"{ARN}:job-queue/s/quota-share/share"),
    ]


def test_tags_are_described_with_the_resource(stocked: Scripted) -> None:
    tag(stocked, f"{ARN}:job-queue/default", team="blue")
    (queue,) = ask(stocked, "DescribeJobQueues", jobQueues=["default"])["jobQueues"]
    assert queue["tags"] == {"team": "blue"}


def test_only_the_revision_that_is_named_is_tagged(stocked: Scripted) -> None:
    tag(stocked, f"{ARN}:job-definition/work:1", team="blue")
    assert (tags(stocked, f"{ARN}:job-definition/work:1"), tags(stocked, f"{ARN}:job-definition/work:2")) == ({"team": "blue"}, {})


def test_a_job_is_tagged_while_it_waits_runs_and_after_it_has_settled(scripted: Scripted) -> None:
    job = scripted.put(3, tags={"given": "at submission"})
    arn = f"{ARN}:job/{job.id}"
    tag(scripted, arn, one="1")
    scripted.begin(*scripted.running())
    tag(scripted, arn, two="2")
    scripted.restart()
    scripted.finish()
    tag(scripted, arn, three="3")
    untag(scripted, arn, "one")
    scripted.restart()
    assert tags(scripted, arn) == {"given": "at submission", "two": "2", "three": "3"}


def test_a_job_of_spawn_launch_has_tags_too(scripted: Scripted) -> None:
    job = scripted.do(lambda state: commands.submit(state, Submission(command=("true",), workdir="/", tags={"a": "b"}), ())).job
    tag(scripted, f"{ARN}:job/{job.id}", c="d")
    assert tags(scripted, f"{ARN}:job/{job.id}") == {"a": "b", "c": "d"}


@pytest.mark.parametrize("settled", [False, True])
def test_no_tag_is_lost_when_many_are_set_at_once(stocked: Scripted, settled: bool) -> None:
    job = stocked.put()
    if settled:
        stocked.finish()
    arns = [f"{ARN}:job/{job.id}", f"{ARN}:job-definition/work:1", f"{ARN}:job-queue/default"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: [tag(stocked, arn, **{f"t{number}": ""}) for arn in arns], range(40)))
    for arn in arns:
        assert len(tags(stocked, arn)) == 40


@pytest.mark.parametrize("operation", ["TagResource", "UntagResource", "ListTagsForResource"])
@pytest.mark.parametrize(
    ("arn", "sentence"),
    [
        (f"{ARN}:job/JOB:0", "ARNs of child jobs of arrays aren't supported"),
        (f"{ARN}:job/JOB#0", "ARNs of nodes of multi-node jobs aren't supported"),
        (f"{ARN}:job/nothing", "There is no job 'nothing'"),
        (f"{ARN}:job-queue/nothing", "no job queue 'nothing'"),
        (f"{ARN}:job-queue/s/quota-share/nothing", "no quota share"),
        (f"{ARN}:compute-environment/nothing", "no compute environment 'nothing'"),
        (f"{ARN}:scheduling-policy/nothing", "no scheduling policy 'nothing'"),
        (f"{ARN}:consumable-resource/nothing", "no consumable resource 'nothing'"),
        (f"{ARN}:service-environment/nothing", "no service environment 'nothing'"),
        (f"{ARN}:job-definition/work:3", "no job definition 'work:3'"),
        (f"{ARN}:job-definition/work", "'work' names no revision"),
        (f"{ARN}:service-job/nothing", "of which there are none here"),
        ("arn:aws:s3:::bucket", "is not an ARN of AWS Batch"),
        ("default", "'default' is not an ARN of AWS Batch"),
    ],
)
def test_what_has_no_tags_is_refused(stocked: Scripted, operation: str, arn: str, sentence: str) -> None:
    job = stocked.put(2)
    more = {"TagResource": {"tags": {"a": "b"}}, "UntagResource": {"tagKeys": ["a"]}}.get(operation, {})
    refused(stocked, operation, sentence, resourceArn=arn.replace("JOB", job.id), **more)


def test_there_are_at_most_fifty_tags_in_all(scripted: Scripted) -> None:
    arn = f"{ARN}:job-queue/default"
    tag(scripted, arn, **{f"t{number}": "" for number in range(50)})
    tag(scripted, arn, t0="changed")
    refused(scripted, "TagResource", "51 tags", resourceArn=arn, tags={"one more": ""})
    assert len(tags(scripted, arn)) == 50


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-name", "AWS:x", "spawn:runtime", "spawn:provider", "spawn:x"])
def test_reserved_tags_are_neither_set_nor_removed(scripted: Scripted, key: str) -> None:
    made = {"computeEnvironmentName": "mine", "type": "UNMANAGED", "tags": {"spawn:runtime": "podman"}}
    ask(scripted, "CreateComputeEnvironment", **made)
    arn = f"{ARN}:compute-environment/mine"
    refused(scripted, "TagResource", "is reserved", resourceArn=arn, tags={key: "process"})
    refused(scripted, "UntagResource", "is reserved", resourceArn=arn, tagKeys=[key])
    assert tags(scripted, arn) == {"spawn:runtime": "podman"}


def test_the_arn_of_any_region_and_account_is_taken(scripted: Scripted) -> None:
    tag(scripted, "arn:aws-cn:batch:cn-north-1:999999999999:job-queue/default", team="blue")
    assert tags(scripted, f"{ARN}:job-queue/default") == {"team": "blue"}
