"""Job definitions through the door: what is registered is described, revision by revision, until it is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, reject, settings

from spawn.api.aws.batch.definitions import keep_revision, read_definition, show_definition
from spawn.api.aws.callers import Caller
from spawn.api.aws.failures import AwsError
from spawn.api.aws.writing import written
from spawn.domain.errors import UsageError
from tests.aws.generating import of_shape
from tests.aws.serving import Scripted
from tests.aws.shapes import assert_shape, service_model

ARN = "arn:aws:batch:us-east-1:123456789012:job-definition"
DAY_S = 86_400

FULL: dict[str, Any] = {
    "image": "busybox",
    "vcpus": 2,
    "memory": 512,
    "command": ["sh", "-c", "Ref::what"],
    "jobRoleArn": "arn:aws:iam::123456789012:role/job",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "volumes": [
        {"name": "scratch", "host": {"sourcePath": "/scratch"}},
        {"name": "shared", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED", "authorizationConfig": {"iam": "ENABLED"}}},
    ],
    "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/data", "readOnly": True}],
    "readonlyRootFilesystem": False,
    "privileged": False,
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
    "user": "nobody",
    "instanceType": "m5.large",
    "resourceRequirements": [{"type": "GPU", "value": "1"}],
    "linuxParameters": {"initProcessEnabled": True, "sharedMemorySize": 64, "tmpfs": [{"containerPath": "/t", "size": 16, "mountOptions": ["rw"]}]},
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}, "secretOptions": [{"name": "n", "valueFrom": "v"}]},
    "secrets": [{"name": "TOKEN", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/token"}],
    "networkConfiguration": {"assignPublicIp": "ENABLED"},
    "fargatePlatformConfiguration": {"platformVersion": "LATEST"},
    "enableExecuteCommand": True,
    "ephemeralStorage": {"sizeInGiB": 21},
    "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64"},
    "repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:us-east-1:123456789012:secret:s"},
}
BESIDE: dict[str, Any] = {
    "parameters": {"what": "ls", "nf-token": "t"},
    "schedulingPriority": 7,
    "timeout": {"attemptDurationSeconds": 60},
    "propagateTags": True,
    "tags": {"team": "blue"},
    "platformCapabilities": ["EC2", "FARGATE"],
}
EMPTY = {name: [] for name in ("command", "volumes", "environment", "mountPoints", "ulimits", "resourceRequirements", "secrets")}
NODES = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": [{"targetNodes": "0:", "container": {"image": "i", "command": ["mpi"]}}]}
POD = {"podProperties": {"containers": [{"image": "i", "command": ["c"], "resources": {"limits": {"cpu": "1"}}}]}}
TASK = {"taskProperties": [{"containers": [{"name": "main", "image": "i", "command": ["c"]}], "executionRoleArn": "r"}]}


def register(served: Scripted, name: str = "align", **members: Any) -> dict[str, Any]:
    properties = {} if members.keys() & {"containerProperties", "ecsProperties", "eksProperties", "nodeProperties"} else {"containerProperties": {}}
    return served.call("RegisterJobDefinition", **({"jobDefinitionName": name, "type": "container"} | properties | members))


def described(served: Scripted, **members: Any) -> list[dict[str, Any]]:
    answer = served.call("DescribeJobDefinitions", **members)
    assert_shape("batch", "DescribeJobDefinitions", answer)
    assert "nextToken" not in answer
    definitions: list[dict[str, Any]] = answer["jobDefinitions"]
    return definitions


def references(served: Scripted, **members: Any) -> list[str]:
    return [f"{one['jobDefinitionName']}:{one['revision']}" for one in described(served, **members)]


def refusal(served: Scripted, operation: str, **members: Any) -> str:
    with pytest.raises(AwsError) as refused:
        served.call(operation, **members)
    assert (refused.value.code, refused.value.status) == ("ClientException", 400)
    return refused.value.message


# --- registering ----------------------------------------------------------------------------------------------------------


def test_revisions_of_a_name_count_from_1(scripted: Scripted) -> None:
    answers = [register(scripted, name) for name in ("align", "align", "sort", "align")]
    for answer in answers:
        assert_shape("batch", "RegisterJobDefinition", answer)
    assert [answer["revision"] for answer in answers] == [1, 2, 1, 3]
    assert answers[3] == {"jobDefinitionName": "align", "jobDefinitionArn": f"{ARN}/align:3", "revision": 3}


def test_two_at_once_never_get_the_same_revision(scripted: Scripted) -> None:
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: register(scripted)["revision"], range(40)))
    assert sorted(given) == list(range(1, 41))


def test_two_in_one_turn_never_get_the_same_revision(scripted: Scripted) -> None:
    draft = read_definition({"jobDefinitionName": "align", "type": "container", "containerProperties": {}})
    kept = scripted.engine.call(lambda state: [keep_revision(state, scripted.store, draft) for _ in range(3)])
    assert [one.revision for one in kept] == [1, 2, 3]
    assert references(scripted) == ["align:3", "align:2", "align:1"]


def test_arns_are_written_with_the_region_of_the_caller(scripted: Scripted) -> None:
    register(scripted)
    (there,) = scripted.call("DescribeJobDefinitions", region="us-gov-west-1")["jobDefinitions"]
    assert there["jobDefinitionArn"] == "arn:aws-us-gov:batch:us-gov-west-1:123456789012:job-definition/align:1"


def test_every_member_is_kept_and_shown_again(scripted: Scripted) -> None:
    register(scripted, containerProperties=FULL, retryStrategy={"attempts": 3, "evaluateOnExit": [{"onExitCode": "1*", "action": "RETRY"}]}, **BESIDE)
    (shown,) = described(scripted)
    assert shown["containerProperties"] == FULL
    assert {name: shown[name] for name in BESIDE} == BESIDE
    assert shown["retryStrategy"] == {"attempts": 3, "evaluateOnExit": [{"onExitCode": "1*", "action": "retry"}]}
    assert (shown["status"], shown["type"], shown["containerOrchestrationType"]) == ("ACTIVE", "container", "ECS")


def test_members_that_were_not_given_are_empty_lists_or_absent(scripted: Scripted) -> None:
    register(scripted, containerProperties={"image": "busybox"})
    assert described(scripted) == [
        {
            "jobDefinitionName": "align",
            "jobDefinitionArn": f"{ARN}/align:1",
            "revision": 1,
            "status": "ACTIVE",
            "type": "container",
            "parameters": {},
            "tags": {},
            "containerProperties": {**EMPTY, "image": "busybox"},
            "containerOrchestrationType": "ECS",
        }
    ]


@given(of_shape(service_model("batch").shape_for("ContainerProperties")))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_container_may_be_given_comes_back_equal(properties: dict[str, Any]) -> None:
    try:
        definition = read_definition({"jobDefinitionName": "align", "type": "container", "containerProperties": properties})
    except UsageError:
        reject()
    shown = show_definition(Caller(), definition)
    assert shown["containerProperties"] == {**EMPTY, **properties}
    assert_shape("batch", "DescribeJobDefinitions", msgspec.json.decode(written({"jobDefinitions": [shown]})))


@pytest.mark.parametrize(
    ("member", "properties", "kind", "orchestration"),
    [
        ("nodeProperties", NODES, "multinode", "ECS"),
        ("eksProperties", POD, "container", "EKS"),
        ("ecsProperties", TASK, "container", "ECS"),
        ("ecsProperties", {"taskProperties": [{"containers": [{"image": "a"}, {"image": "b"}]}]}, "container", "ECS"),
    ],
)
def test_definitions_of_other_kinds_are_kept_and_shown_again(
    scripted: Scripted, member: str, properties: dict[str, Any], kind: str, orchestration: str
) -> None:
    register(scripted, type=kind, **{member: properties})
    (shown,) = described(scripted)
    assert shown[member] == properties
    assert (shown["type"], shown["containerOrchestrationType"]) == (kind, orchestration)
    assert "containerProperties" not in shown


def test_consumable_resources_are_named_or_given_by_arn_and_shown_by_arn(scripted: Scripted) -> None:
    arn = "arn:aws:batch:us-east-1:123456789012:consumable-resource"
    wanted = [{"consumableResource": f"{arn}/licence", "quantity": 2}, {"consumableResource": "slot", "quantity": 1}]
    register(scripted, consumableResourceProperties={"consumableResourceList": wanted})
    assert described(scripted)[0]["consumableResourceProperties"] == {"consumableResourceList": [wanted[0], {**wanted[1], "consumableResource": f"{arn}/slot"}]}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"jobDefinitionName": ""}, "jobDefinitionName"),
        ({"jobDefinitionName": "a.b"}, "'a.b' is not a name"),
        ({"jobDefinitionName": "a" * 129}, "1 to 128 letters"),
        ({"type": "pod"}, "'pod'"),
        ({"containerProperties": None}, "Error executing request, Exception : Container properties should not be empty, RequestId: "),
        ({"ecsProperties": TASK}, "containerProperties and ecsProperties"),
        ({"nodeProperties": NODES}, "containerProperties and nodeProperties"),
        ({"type": "multinode"}, "multinode has nodeProperties"),
        ({"type": "multinode", "containerProperties": None, "nodeProperties": {**NODES, "mainNode": 2}}, "mainNode: 2"),
        ({"type": "multinode", "containerProperties": None, "nodeProperties": {**NODES, "numNodes": 0}}, "numNodes: 0"),
        ({"type": "multinode", "containerProperties": None, "nodeProperties": {**NODES, "nodeRangeProperties": []}}, "no node has properties"),
        ({"containerProperties": None, "ecsProperties": {"taskProperties": []}}, "0 tasks"),
        ({"containerProperties": None, "ecsProperties": {"taskProperties": [{"containers": []}]}}, "one container at least"),
        ({"retryStrategy": {}}, "Error executing request, Exception : RetryAttempts must be provided with retry strategy, RequestId: "),
        ({"retryStrategy": {"evaluateOnExit": [{"onReason": "*", "action": "exit"}]}}, "RetryAttempts must be provided"),
        ({"retryStrategy": {"attempts": 0}}, "0 is not between 1 and 10"),
        ({"retryStrategy": {"attempts": 11}}, "11 is not between 1 and 10"),
        ({"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "RETRY"}] * 6}}, "6 rules"),
        ({"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "RETRY"}]}}, "onExitCode, onReason or onStatusReason"),
        ({"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onExitCode": "a", "action": "RETRY"}]}}, "'a' is not a pattern"),
        ({"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "AGAIN"}]}}, "'AGAIN'"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "59 is below 60"),
        ({"schedulingPriority": 10_000}, "schedulingPriority: 10000 is not between 0 and 9999"),
        ({"platformCapabilities": ["LAMBDA"]}, "'LAMBDA'"),
        ({"tags": {f"k{number}": "" for number in range(51)}}, "Member must have length less than or equal to 50"),
        ({"parameters": {"long": "x" * 25_000}}, "24 KiB, got 25 KiB"),
        ({"containerProperties": {"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "1"}]}}, "begin with AWS_BATCH are reserved"),
        ({"containerProperties": {"environment": [{"value": "1"}]}}, "not the name of a variable"),
        ({"containerProperties": {"resourceRequirements": [{"type": "VCPU", "value": "many"}]}}, "'many'"),
        ({"containerProperties": {"resourceRequirements": [{"type": "GPU", "value": "1"}] * 2}}, "GPU is required twice"),
        ({"containerProperties": {"memory": 0}}, "MEMORY: '0'"),
        ({"consumableResourceProperties": {"consumableResourceList": [{"consumableResource": "r"}]}}, "a quantity"),
        ({"consumableResourceProperties": {"consumableResourceList": [{"consumableResource": "r", "quantity": 0}]}}, "'r' is not 1 or more"),
        ({"consumableResourceProperties": {"consumableResourceList": [{"consumableResource": "r", "quantity": 1}] * 2}}, "'r' is named twice"),
        ({"consumableResourceProperties": {"consumableResourceList": [{"consumableResource": f"r{n}", "quantity": 1} for n in range(6)]}}, "6 resources"),
        ({"consumableResourceProperties": {"consumableResourceList": [{"consumableResource": f"{ARN}/r", "quantity": 1}]}}, "not the ARN of a consumable"),
    ],
)
def test_what_aws_would_not_take_is_refused_and_takes_no_revision(scripted: Scripted, members: dict[str, Any], words: str) -> None:
    asked = {"jobDefinitionName": "align", "type": "container", "containerProperties": {}} | members
    message = refusal(scripted, "RegisterJobDefinition", **{name: value for name, value in asked.items() if value is not None})
    assert words in message
    assert register(scripted)["revision"] == 1


# --- describing -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stocked(scripted: Scripted) -> Scripted:
    """align:1 (INACTIVE), align:2, align:3, sort:1 and merge:1 (INACTIVE)."""
    for name in ("align", "align", "align", "sort", "merge"):
        register(scripted, name)
    for reference in ("align:1", "merge:1"):
        scripted.call("DeregisterJobDefinition", jobDefinition=reference)
    return scripted


def test_without_a_name_all_are_described_the_newest_revision_first(stocked: Scripted) -> None:
    assert references(stocked) == ["align:3", "align:2", "align:1", "merge:1", "sort:1"]
    assert references(stocked, status="ACTIVE") == ["align:3", "align:2", "sort:1"]
    assert references(stocked, status="INACTIVE") == ["align:1", "merge:1"]


def test_the_revisions_of_one_name_are_described(stocked: Scripted) -> None:
    assert references(stocked, jobDefinitionName="align") == ["align:3", "align:2", "align:1"]
    assert references(stocked, jobDefinitionName="align", status="ACTIVE") == ["align:3", "align:2"]
    assert references(stocked, jobDefinitionName="nothing") == []


def test_those_that_are_named_are_described_in_the_order_asked_without_what_is_unknown(stocked: Scripted) -> None:
    named = [f"{ARN}/sort:1", "align:1", "align:9", "nothing:1", "sort:1", "arn:aws-cn:batch:cn-north-1:1:job-definition/align:2"]
    assert references(stocked, jobDefinitions=named) == ["sort:1", "align:1", "align:2"]
    assert references(stocked, jobDefinitions=named, status="ACTIVE") == ["sort:1", "align:2"]
    assert references(stocked, jobDefinitions=["merge", f"{ARN}/align"]) == ["merge:1", "align:3", "align:2", "align:1"]
    assert references(stocked, jobDefinitions=[]) == []


@pytest.mark.parametrize("filters", [{}, {"jobDefinitionName": "align"}, {"status": "ACTIVE"}])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_put_together_are_the_whole_also_across_a_restart(stocked: Scripted, filters: dict[str, Any], size: int) -> None:
    whole = described(stocked, **filters)
    found: list[dict[str, Any]] = []
    token: dict[str, Any] = {}
    while True:
        answer = stocked.call("DescribeJobDefinitions", maxResults=size, **filters, **token)
        assert 1 <= len(answer["jobDefinitions"]) <= size
        found += answer["jobDefinitions"]
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
        stocked.restart()
    assert found == whole


def test_a_page_that_was_not_asked_for_in_size_has_100(scripted: Scripted) -> None:
    for _ in range(101):
        register(scripted)
    first = scripted.call("DescribeJobDefinitions")
    assert len(first["jobDefinitions"]) == 100
    assert references(scripted, nextToken=first["nextToken"]) == ["align:1"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"jobDefinitions": ["a:1"] * 101}, "101 are more than the 100"),
        ({"jobDefinitions": ["a b"]}, "Provided name a b is not supported pattern[a-zA-Z_0-9-]{1,128}"),
        ({"jobDefinitions": ["arn:aws:batch:us-east-1:123456789012:job-queue/q"]}, "is not supported pattern"),
        ({"maxResults": 0}, "0 is not between 1 and 100"),
        ({"maxResults": 101}, "101 is not between 1 and 100"),
        ({"status": "GONE"}, "'GONE' is not a status"),
        ({"nextToken": "me"}, "nextToken: "),
        ({"nextToken": ""}, "nextToken: "),
        ({"nextToken": "YWxpZ24="}, "nextToken: "),
        ({"nextToken": "ü"}, "nextToken: "),
    ],
)
def test_what_cannot_be_described_is_refused(stocked: Scripted, members: dict[str, Any], words: str) -> None:
    assert words in refusal(stocked, "DescribeJobDefinitions", **members)


# --- deregistering --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["align:1", f"{ARN}/align:1", "arn:aws:batch:eu-west-1:1:job-definition/align:1"])
def test_a_deregistered_revision_is_inactive_and_still_described(scripted: Scripted, reference: str) -> None:
    register(scripted, containerProperties=FULL)
    before = described(scripted)[0]
    for _ in range(2):
        answer = scripted.call("DeregisterJobDefinition", jobDefinition=reference)
        assert answer == {}
        assert described(scripted) == [{**before, "status": "INACTIVE"}]


def test_a_revision_that_is_registered_after_one_was_deregistered_gets_the_next_number(scripted: Scripted) -> None:
    for revision in (1, 2, 3):
        assert register(scripted)["revision"] == revision
        scripted.call("DeregisterJobDefinition", jobDefinition=f"align:{revision}")
        scripted.restart()


def test_a_deregistered_revision_is_gone_after_180_days_and_its_number_is_never_given_again(scripted: Scripted) -> None:
    register(scripted)
    register(scripted)
    scripted.call("DeregisterJobDefinition", jobDefinition="align:2")
    scripted.clock.advance(180 * DAY_S - 1)
    scripted.call("DeregisterJobDefinition", jobDefinition="align:2")
    assert references(scripted) == ["align:2", "align:1"]
    scripted.clock.advance(1)
    for filters in ({}, {"jobDefinitionName": "align"}, {"jobDefinitions": ["align:1", "align:2"]}, {"jobDefinitions": ["align"]}):
        assert references(scripted, **filters) == ["align:1"]
    assert refusal(scripted, "DeregisterJobDefinition", jobDefinition="align:2") == "JobDefinition align:2 not found."
    assert register(scripted)["revision"] == 3


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("align", "write align:REVISION"),
        (f"{ARN}/align", "write align:REVISION"),
        ("align:7", "JobDefinition align:7 not found."),
        ("nothing:1", "JobDefinition nothing:1 not found."),
        ("align:latest", "Provided name align:latest is not supported pattern"),
        ("", "Provided name  is not supported pattern"),
        ("arn:aws:batch:us-east-1:123456789012:job-queue/align", "is not supported pattern"),
    ],
)
def test_what_cannot_be_deregistered_is_refused(scripted: Scripted, reference: str, words: str) -> None:
    register(scripted)
    assert words in refusal(scripted, "DeregisterJobDefinition", jobDefinition=reference)
    assert references(scripted, status="ACTIVE") == ["align:1"]


def test_a_restart_changes_nothing_that_is_shown(stocked: Scripted) -> None:
    register(stocked, "full", containerProperties=FULL, retryStrategy={"attempts": 2}, **BESIDE)
    before = described(stocked)
    stocked.restart()
    assert described(stocked) == before
