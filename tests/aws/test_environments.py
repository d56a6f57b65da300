"""Compute environments through the door: what is created is described, changed, kept over restarts, and deleted when nothing needs it."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.domain.queues import Machines
from tests.aws.asking import ARN, ask, refused
from tests.aws.serving import Scripted

EC2: dict[str, Any] = {"type": "EC2", "maxvCpus": 8}
FARGATE: dict[str, Any] = {"type": "FARGATE", "maxvCpus": 4}


def create(served: Scripted, name: str, **members: Any) -> dict[str, Any]:
    return ask(served, "CreateComputeEnvironment", **({"computeEnvironmentName": name, "type": "MANAGED", "computeResources": EC2} | members))


def described(served: Scripted, name: str) -> dict[str, Any]:
    (one,) = ask(served, "DescribeComputeEnvironments", computeEnvironments=[name])["computeEnvironments"]
    found: dict[str, Any] = one
    return found


def names(served: Scripted) -> list[str]:
    return [one["computeEnvironmentName"] for one in ask(served, "DescribeComputeEnvironments")["computeEnvironments"]]


def test_this_machine_is_described_as_a_managed_environment_of_its_vcpus(scripted: Scripted) -> None:
    local = described(scripted, "local")
    assert (local["type"], local["state"], local["status"], local["statusReason"]) == ("MANAGED", "ENABLED", "VALID", "ComputeEnvironment Healthy")
    assert (local["computeResources"]["type"], local["computeResources"]["maxvCpus"]) == ("EC2", 2)


def test_what_is_created_is_valid_at_once_and_answered_with_its_arn(scripted: Scripted) -> None:
    arn = f"{ARN}:compute-environment/mine"
    assert create(scripted, "mine") == {"computeEnvironmentName": "mine", "computeEnvironmentArn": arn}
    assert (described(scripted, arn)["status"], described(scripted, "mine")["computeEnvironmentArn"]) == ("VALID", arn)


def test_compute_resources_are_shown_as_given_with_defaults_for_the_rest(scripted: Scripted) -> None:
    given = {**EC2, "minvCpus": 2, "subnets": ["subnet-1"], "instanceRole": "role", "launchTemplate": {"launchTemplateName": "t", "version": "1"}}
    create(scripted, "mine", computeResources=given, serviceRole="arn:aws:iam::123456789012:role/r", ecsSettings={"containerInsights": "ENABLED"})
    one = described(scripted, "mine")
    defaults = {"allocationStrategy": "BEST_FIT", "desiredvCpus": 2, "instanceTypes": ["optimal"], "securityGroupIds": [], "tags": {}}
    assert one["computeResources"] == {**defaults, "ec2Configuration": [{"imageType": "ECS_AL2023"}], **given}
    assert (one["serviceRole"], one["ecsSettings"]) == ("arn:aws:iam::123456789012:role/r", {"containerInsights": "ENABLED"})


@pytest.mark.parametrize("machines", [kind.value for kind in Machines if kind is not Machines.ECS_MANAGED_INSTANCES])
def test_every_type_of_machines_runs_on_this_machine(scripted: Scripted, machines: str) -> None:
    create(scripted, "mine", computeResources={"type": machines, "maxvCpus": 1})
    assert described(scripted, "mine")["computeResources"]["type"] == machines
    kept = scripted.store.catalog().environments["mine"]
    assert (kept.provider, kept.runtime, kept.max_cpus) == ("local", "process", 1000)


def test_managed_instances_need_their_provider_and_nobody_else_has_one(scripted: Scripted) -> None:
    network = {"subnets": ["s"], "securityGroups": ["g"]}
    provider = {"infrastructureRoleArn": "r", "instanceLaunchTemplate": {"ec2InstanceProfileArn": "p", "networkConfiguration": network}}
    resources = {"type": "ECS_MANAGED_INSTANCES", "maxvCpus": 1}
    asked = {"computeEnvironmentName": "mine", "type": "MANAGED"}
    refused(scripted, "CreateComputeEnvironment", "ECS_MANAGED_INSTANCES needs it", **asked, computeResources=resources)
    elsewhere = {**EC2, "managedInstancesProvider": provider}
    refused(scripted, "CreateComputeEnvironment", "goes with ECS_MANAGED_INSTANCES alone", **asked, computeResources=elsewhere)
    create(scripted, "mine", computeResources={**resources, "managedInstancesProvider": provider})
    assert described(scripted, "mine")["computeResources"]["managedInstancesProvider"] == provider
    change = {"computeEnvironment": "mine", "computeResources": {"type": "EC2", "maxvCpus": 1}}
    refused(scripted, "UpdateComputeEnvironment", "goes with ECS_MANAGED_INSTANCES alone", **change)


def test_an_unmanaged_environment_has_vcpus_to_reserve_and_no_resources(scripted: Scripted) -> None:
    ask(scripted, "CreateComputeEnvironment", computeEnvironmentName="mine", type="UNMANAGED", unmanagedvCpus=16)
    one = described(scripted, "mine")
    assert (one["type"], one["unmanagedvCpus"], "computeResources" in one, "updatePolicy" in one) == ("UNMANAGED", 16, False, False)
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="mine", unmanagedvCpus=4)
    assert described(scripted, "mine")["unmanagedvCpus"] == 4
    refused(scripted, "UpdateComputeEnvironment", "with type MANAGED", computeEnvironment="mine", computeResources={"maxvCpus": 1})


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"computeEnvironmentName": "no name"}, "'no name' is not a name"),
        ({"computeEnvironmentName": "a" * 129}, "is not a name"),
        ({"computeResources": None}, "a MANAGED compute environment needs them"),
        ({"type": "UNMANAGED"}, "not with UNMANAGED"),
        ({"unmanagedvCpus": 1}, "unmanagedvCpus: it goes with type UNMANAGED"),
        ({"type": "UNMANAGED", "computeResources": None, "unmanagedvCpus": -1}, "-1 is below 0"),
        ({"computeResources": {"type": "EC2"}}, "computeResources.maxvCpus: "),
        ({"computeResources": {**EC2, "maxvCpus": 0}}, "maxvCpus: 0 is not 1 or more"),
        ({"computeResources": {**EC2, "type": "LAMBDA"}}, "'LAMBDA' is not one of EC2"),
        ({"computeResources": {**EC2, "minvCpus": -1}}, "-1 is not between 0 and the maxvCpus of 8"),
        ({"computeResources": {**EC2, "minvCpus": 9}}, "9 is not between 0 and the maxvCpus of 8"),
        ({"computeResources": {**EC2, "minvCpus": 2, "desiredvCpus": 1}}, "1 is not between the minvCpus of 2"),
        ({"computeResources": {**EC2, "desiredvCpus": 9}}, "the maxvCpus of 8"),
        ({"computeResources": {**EC2, "bidPercentage": 0}}, "0 is not between 1 and 100"),
        ({"computeResources": {**EC2, "scalingPolicy": {"minScaleDownDelayMinutes": 19}}}, "19 is not 0, or between 20 and 10080"),
        ({"computeResources": {**EC2, "launchTemplate": {"version": "1"}}}, "one of the two"),
        ({"computeResources": {**EC2, "ec2Configuration": [{"imageType": "ECS_AL2"}] * 3}}, "3 are more than 2"),
        ({"computeResources": {**FARGATE, "minvCpus": 0}}, "minvCpus: it does not apply to FARGATE"),
        ({"computeResources": {**FARGATE, "instanceTypes": ["m5"]}}, "instanceTypes: it does not apply to FARGATE"),
        ({"computeResources": {**FARGATE, "subnets": ["s"] * 17}}, "17 are more than 16"),
        ({"eksConfiguration": {"eksClusterArn": "a", "kubernetesNamespace": "n"}}, "Kubernetes"),
        ({"tags": {"spawn:provider": "slurm"}}, "no provider 'slurm' here: known are local"),
        ({"tags": {"spawn:runtime": "runc"}}, "no runtime 'runc' here: known are process, docker, podman"),
        ({"tags": {"spawn:colour": "red"}}, "'spawn:colour' begins with 'spawn:'"),
        ({"tags": {"aws:colour": "red"}}, "'aws:colour' begins with 'aws:'"),
        ({"tags": {str(number): "" for number in range(51)}}, "less than or equal to 50"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_makes_nothing(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    asked = {"computeEnvironmentName": "mine", "type": "MANAGED", "computeResources": EC2} | members
    refused(scripted, "CreateComputeEnvironment", sentence, **asked)
    assert names(scripted) == ["local"]


def test_tags_choose_how_an_environment_runs_its_jobs(scripted: Scripted) -> None:
    tags = {"spawn:provider": "local", "spawn:runtime": "podman", "team": "blue"}
    create(scripted, "mine", tags=tags)
    kept = scripted.store.catalog().environments["mine"]
    assert (kept.provider, kept.runtime) == ("local", "podman")
    assert described(scripted, "mine")["tags"] == tags


def test_a_name_is_given_once(scripted: Scripted) -> None:
    asked = {"computeEnvironmentName": "local", "type": "UNMANAGED"}
    refused(scripted, "CreateComputeEnvironment", "Object already exists: there is a compute environment 'local' already", **asked)


def test_there_are_at_most_fifty_beside_the_one_that_is_always_there(scripted: Scripted) -> None:
    for number in range(50):
        ask(scripted, "CreateComputeEnvironment", computeEnvironmentName=f"e{number}", type="UNMANAGED")
    refused(
        scripted,
        "CreateComputeEnvironment",
        "There are 50 already, the most there can be: delete a compute environment first",
        computeEnvironmentName="e50",
        type="UNMANAGED",
    )


def test_an_update_replaces_what_it_names_and_leaves_the_rest(scripted: Scripted) -> None:
    create(scripted, "mine", computeResources={**EC2, "minvCpus": 1, "ec2KeyPair": "key", "subnets": ["s"]}, tags={"team": "blue"})
    change = {"maxvCpus": 16, "ec2KeyPair": "", "subnets": [], "type": "SPOT", "updateToLatestImageVersion": True, "launchTemplate": {"launchTemplateId": "lt"}}
    policy = {"terminateJobsOnUpdate": True}
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="mine", computeResources=change, state="DISABLED", updatePolicy=policy)
    one = described(scripted, "mine")
    resources = one["computeResources"]
    assert (one["state"], one["tags"], one["updatePolicy"]) == ("DISABLED", {"team": "blue"}, {"terminateJobsOnUpdate": True, "jobExecutionTimeoutMinutes": 30})
    assert (resources["type"], resources["maxvCpus"], resources["minvCpus"], resources["subnets"]) == ("SPOT", 16, 1, [])
    assert ("ec2KeyPair" in resources, "updateToLatestImageVersion" in resources, resources["launchTemplate"]) == (False, False, {"launchTemplateId": "lt"})
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="mine", computeResources={"launchTemplate": {"launchTemplateId": ""}, "desiredvCpus": 4})
    assert "launchTemplate" not in described(scripted, "mine")["computeResources"]
    assert scripted.store.catalog().environments["mine"].max_cpus == 16_000


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"computeEnvironment": "other"}, "no compute environment 'other'"),
        ({"computeEnvironment": f"{ARN}:job-queue/mine"}, "not the ARN of a compute-environment"),
        ({"computeResources": {"maxvCpus": 0}}, "0 is not 1 or more"),
        ({"computeResources": {"minvCpus": 9}}, "9 is not between 0 and the maxvCpus of 8"),
        ({"computeResources": {"desiredvCpus": 1}}, "1 is less than the present 2"),
        ({"computeResources": {"type": "ECS_MANAGED_INSTANCES"}}, "needs it"),
        ({"unmanagedvCpus": 1}, "type UNMANAGED"),
        ({"eksConfiguration": {}}, "Kubernetes"),
    ],
)
def test_an_update_that_cannot_be_meant_changes_nothing(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    create(scripted, "mine", computeResources={**EC2, "desiredvCpus": 2})
    before = described(scripted, "mine")
    refused(scripted, "UpdateComputeEnvironment", sentence, **({"computeEnvironment": "mine"} | members))
    assert described(scripted, "mine") == before


def test_an_environment_of_a_queue_cannot_become_of_another_kind_than_its_neighbours(scripted: Scripted) -> None:
    create(scripted, "one")
    create(scripted, "two")
    order = [{"order": 1, "computeEnvironment": "one"}, {"order": 2, "computeEnvironment": "two"}]
    ask(scripted, "CreateJobQueue", jobQueueName="q", priority=1, computeEnvironmentOrder=order)
    refused(scripted, "UpdateComputeEnvironment", "cannot be mixed", computeEnvironment="one", computeResources={"type": "FARGATE"})


def test_this_machine_can_be_limited_and_disabled_but_not_deleted(scripted: Scripted) -> None:
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="local", computeResources={"maxvCpus": 1}, state="DISABLED")
    scripted.restart()
    local = described(scripted, "local")
    assert (local["state"], local["computeResources"]["maxvCpus"]) == ("DISABLED", 1)
    refused(scripted, "DeleteComputeEnvironment", "'local' is always there", computeEnvironment="local")


def test_nothing_is_placed_in_a_disabled_environment_until_it_is_enabled_again(scripted: Scripted) -> None:
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="local", state="DISABLED")
    scripted.put()
    assert scripted.provider.started == []
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="local", state="ENABLED")
    scripted.do(lambda _: None)
    assert len(scripted.provider.started) == 1


def test_max_vcpus_cap_what_runs_at_once(scripted: Scripted) -> None:
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="local", computeResources={"maxvCpus": 1})
    scripted.put(3)
    assert len(scripted.running()) == 1


def test_an_environment_is_deleted_disabled_and_detached(scripted: Scripted) -> None:
    create(scripted, "mine")
    ask(scripted, "CreateJobQueue", jobQueueName="q", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "mine"}])
    refused(scripted, "DeleteComputeEnvironment", "'mine' is ENABLED: disable it first", computeEnvironment="mine")
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="mine", state="DISABLED")
    refused(
        scripted, "DeleteComputeEnvironment", "Cannot delete, found existing JobQueue relationship: 'mine' is used by job queue q", computeEnvironment="mine"
    )
    ask(scripted, "UpdateJobQueue", jobQueue="q", computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}])
    ask(scripted, "DeleteComputeEnvironment", computeEnvironment=f"{ARN}:compute-environment/mine")
    assert names(scripted) == ["local"]
    refused(scripted, "DeleteComputeEnvironment", "no compute environment 'mine'", computeEnvironment="mine")


def test_a_restart_changes_nothing_of_what_is_described(scripted: Scripted) -> None:
    create(scripted, "mine", computeResources={**EC2, "tags": {"Name": "n"}, "bidPercentage": 50}, tags={"spawn:runtime": "docker"}, context="c")
    create(scripted, "other", type="UNMANAGED", computeResources=None, unmanagedvCpus=3)
    before = ask(scripted, "DescribeComputeEnvironments")
    scripted.restart()
    assert ask(scripted, "DescribeComputeEnvironments") == before


def test_pages_go_on_where_they_ended_also_after_a_restart(scripted: Scripted) -> None:
    for name in ("b", "c", "a"):
        create(scripted, name)
    first = ask(scripted, "DescribeComputeEnvironments", maxResults=3)
    scripted.restart()
    second = ask(scripted, "DescribeComputeEnvironments", maxResults=3, nextToken=first["nextToken"])
    assert [[one["computeEnvironmentName"] for one in page["computeEnvironments"]] for page in (first, second)] == [["a", "b", "c"], ["local"]]
    assert "nextToken" not in second


def test_an_entry_that_goes_between_pages_leaves_the_others_where_they_are(scripted: Scripted) -> None:
    for name in ("a", "b", "c"):
        create(scripted, name)
    first = ask(scripted, "DescribeComputeEnvironments", maxResults=2)
    ask(scripted, "UpdateComputeEnvironment", computeEnvironment="b", state="DISABLED")
    ask(scripted, "DeleteComputeEnvironment", computeEnvironment="b")
    second = ask(scripted, "DescribeComputeEnvironments", nextToken=first["nextToken"])
    assert [one["computeEnvironmentName"] for one in second["computeEnvironments"]] == ["c", "local"]


@pytest.mark.parametrize("most", [0, -1, 101])
def test_a_page_has_one_to_a_hundred_entries(scripted: Scripted, most: int) -> None:
    refused(scripted, "DescribeComputeEnvironments", f"maxResults: {most} is not between 1 and 100", maxResults=most)


@pytest.mark.parametrize("token", ["", "x", "bYdgq1siRGVzY3JpYmVDb21wdXRlRW52aXJvbm1lbnRzIiwiZyJd", "é", "AAAA" * 100])
def test_a_token_that_was_never_given_is_refused(scripted: Scripted, token: str) -> None:
    refused(scripted, "DescribeComputeEnvironments", "no token that DescribeComputeEnvironments has given", nextToken=token)


def test_a_token_of_another_list_is_refused(scripted: Scripted) -> None:
    create(scripted, "mine")
    token = ask(scripted, "DescribeComputeEnvironments", maxResults=1)["nextToken"]
    refused(scripted, "DescribeJobQueues", "no token that DescribeJobQueues has given", nextToken=token)


def test_unknown_names_are_left_out_and_a_hundred_may_be_asked_for(scripted: Scripted) -> None:
    wanted = ["local", "nobody", *(f"n{number}" for number in range(98))]
    found = ask(scripted, "DescribeComputeEnvironments", computeEnvironments=wanted)["computeEnvironments"]
    assert [one["computeEnvironmentName"] for one in found] == ["local"]
    refused(scripted, "DescribeComputeEnvironments", "101 are more than the 100", computeEnvironments=[*wanted, "one more"])


def test_arns_are_written_with_the_region_of_the_caller_and_read_with_any(scripted: Scripted) -> None:
    answer = scripted.call(
        "DescribeComputeEnvironments", region="cn-north-1", computeEnvironments=["arn:aws:batch:eu-west-1:999999999999:compute-environment/local"]
    )
    assert answer["computeEnvironments"][0]["computeEnvironmentArn"] == "arn:aws-cn:batch:cn-north-1:123456789012:compute-environment/local"
