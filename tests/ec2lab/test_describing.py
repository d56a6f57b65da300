"""What DescribeInstances shows, when, and in which pages."""

from __future__ import annotations

from typing import Any

from tests.ec2lab.asking import Asking, refused
from tests.ec2lab.conftest import Opening


def tags(**pairs: str) -> list[dict[str, Any]]:
    return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]}]


def named(asking: Asking, name: str, *values: str) -> list[str]:
    return [one["InstanceId"] for one in asking.shown(Filters=[{"Name": name, "Values": list(values)}])]


def test_a_new_instance_is_not_seen_for_a_while(opened: Opening) -> None:
    asking = opened(describe_lag_s=5)
    [one] = asking.run(ClientToken="t")
    assert asking.shown() == []
    for act in (asking.ec2.terminate_instances, asking.ec2.describe_instances):
        with refused("InvalidInstanceID.NotFound", one["InstanceId"]):
            act(InstanceIds=[one["InstanceId"]])
    asking.lab.advance(5)
    assert named(asking, "client-token", "t") == [one["InstanceId"]]


def test_filters_choose(opened: Opening) -> None:
    asking = opened()
    [a] = asking.run(TagSpecifications=tags(array="a", n="1"), ClientToken="ta", Placement={"AvailabilityZone": "us-east-1a"})
    [b] = asking.run(TagSpecifications=tags(array="b", other="1"), ClientToken="tb", Placement={"AvailabilityZone": "us-east-1b"})
    asking.ec2.terminate_instances(InstanceIds=[b["InstanceId"]])
    first, second = [a["InstanceId"]], [b["InstanceId"]]
    assert named(asking, "tag:array", "a") == first
    assert named(asking, "tag:array", "a", "b") == first + second
    assert named(asking, "tag:array", "*") == first + second
    assert named(asking, "tag:array", "c") == []
    assert named(asking, "tag-key", "other") == second
    assert named(asking, "client-token", "ta") == first
    assert named(asking, "instance-state-name", "terminated") == second
    assert named(asking, "instance-state-name", "pending", "running") == first
    assert named(asking, "instance-id", *second) == second
    assert named(asking, "availability-zone", "us-east-1b") == second
    assert [one["InstanceId"] for one in asking.shown(Filters=[{"Name": "tag:array", "Values": ["*"]}, {"Name": "tag-key", "Values": ["n"]}])] == first


def test_an_unknown_filter_is_refused(shared: Asking) -> None:
    with refused("InvalidParameterValue", "tag:"):
        shared.shown(Filters=[{"Name": "no-such-tag:", "Values": ["x"]}])


def test_pages_hold_each_instance_once_also_when_others_come_and_go(opened: Opening) -> None:
    asking = opened(visible_s=0)
    ids = [one["InstanceId"] for one in asking.run(25)]
    first = asking.ec2.describe_instances(MaxResults=10)
    asking.ec2.terminate_instances(InstanceIds=ids[:5])
    asking.lab.advance(1)
    asking.run(3)
    seen = [one["InstanceId"] for each in first["Reservations"] for one in each["Instances"]]
    token = first["NextToken"]
    while token:
        page = asking.ec2.describe_instances(MaxResults=10, NextToken=token)
        seen += [one["InstanceId"] for each in page["Reservations"] for one in each["Instances"]]
        token = page.get("NextToken")
    assert seen[:25] == ids
    assert len(seen) == len(set(seen)) == 28


def test_pages_have_5_to_1000_instances(shared: Asking) -> None:
    for size in (4, 1001):
        with refused("InvalidParameterValue", str(size)):
            shared.ec2.describe_instances(MaxResults=size)
    with refused("InvalidParameterCombination"):
        shared.ec2.describe_instances(MaxResults=5, InstanceIds=["i-0123456789abcdef0"])
    with refused("InvalidNextToken"):
        shared.ec2.describe_instances(MaxResults=5, NextToken="nonsense")


def test_tags_can_be_set_and_removed_later(shared: Asking) -> None:
    [one] = shared.run(TagSpecifications=tags(a="1"))
    shared.ec2.create_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert {each["Key"]: each["Value"] for each in shared.one(one["InstanceId"])["Tags"]} == {"a": "2", "b": "3"}
    shared.ec2.delete_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "a", "Value": "9"}, {"Key": "b"}])
    found = shared.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [one["InstanceId"]]}])["Tags"]
    assert [(each["ResourceType"], each["Key"], each["Value"]) for each in found] == [("instance", "a", "2")]


def test_describe_tags_shows_other_resources_too(shared: Asking) -> None:
    group = shared.ec2.create_security_group(GroupName="ours", Description="for tests")["GroupId"]
    shared.ec2.create_tags(Resources=[group], Tags=[{"Key": "of-group", "Value": "1"}])
    found = shared.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["of-group"]}])["Tags"]
    assert [(each["ResourceId"], each["ResourceType"]) for each in found] == [(group, "security-group")]


def test_tags_of_an_instance_that_there_is_not_are_refused(shared: Asking) -> None:
    with refused("InvalidID", "i-0123456789abcdef0"):
        shared.ec2.create_tags(Resources=["i-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "2"}])


def test_a_security_group_in_use_cannot_be_deleted(shared: Asking) -> None:
    group = shared.ec2.create_security_group(GroupName="used", Description="for tests")["GroupId"]
    [one] = shared.run(SecurityGroupIds=[group])
    assert one["SecurityGroups"] == [{"GroupId": group, "GroupName": "used"}]
    with refused("DependencyViolation", group):
        shared.ec2.delete_security_group(GroupId=group)
    shared.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    shared.ec2.delete_security_group(GroupId=group)


def test_instances_of_one_region_are_not_seen_in_another(shared: Asking) -> None:
    [one] = shared.run()
    assert shared.client("ec2", "eu-west-1").describe_instances()["Reservations"] == []
    with refused("InvalidInstanceID.NotFound"):
        shared.client("ec2", "eu-west-1").terminate_instances(InstanceIds=[one["InstanceId"]])


def test_the_status_of_what_runs_is_ok(opened: Opening) -> None:
    asking = opened()
    running, gone = asking.run(2)
    asking.ec2.terminate_instances(InstanceIds=[gone["InstanceId"]])
    [status] = asking.ec2.describe_instance_status()["InstanceStatuses"]
    assert (status["InstanceId"], status["InstanceStatus"]["Status"]) == (running["InstanceId"], "ok")
    assert len(asking.ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]) == 2


def test_an_action_that_the_laboratory_does_not_have_is_named(shared: Asking) -> None:
    with refused("UnsupportedOperation", "CreateFleet"):
        shared.ec2.create_fleet(LaunchTemplateConfigs=[], TargetCapacitySpecification={"TotalTargetCapacity": 1})
