"""RunInstances: what it launches, and what it refuses."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawn.testing.ec2lab.launch_checks import check_tags
from spawn.testing.ec2lab.plan import Image
from spawn.testing.ec2lab.refusals import Refused
from tests.ec2lab.asking import ARM, Asking, refused
from tests.ec2lab.conftest import Opening

DRY = {"ResourceType": "instance"}


def tagged(count: int) -> list[dict[str, object]]:
    return [{**DRY, "Tags": [{"Key": f"k{number}", "Value": "v"} for number in range(count)]}]


def test_a_launch_gives_each_instance_its_place_in_the_launch(shared: Asking) -> None:
    assert [one["AmiLaunchIndex"] for one in shared.run(5)] == [0, 1, 2, 3, 4]


def test_a_new_instance_is_pending_and_then_runs(shared: Asking) -> None:
    [one] = shared.run()
    assert one["State"] == {"Code": 0, "Name": "pending"}
    assert shared.one(one["InstanceId"])["State"] == {"Code": 16, "Name": "running"}


def test_the_same_token_answers_with_the_same_instances(shared: Asking) -> None:
    first = shared.run(3, ClientToken="same")
    again = shared.run(3, ClientToken="same")
    assert [one["InstanceId"] for one in again] == [one["InstanceId"] for one in first]
    assert len(shared.shown(Filters=[{"Name": "client-token", "Values": ["same"]}])) == 3


def test_the_same_token_with_other_parameters_is_refused(shared: Asking) -> None:
    shared.run(1, ClientToken="other")
    with refused("IdempotentParameterMismatch"):
        shared.run(2, ClientToken="other")


def test_one_token_in_two_regions_is_two_launches(shared: Asking) -> None:
    shared.run(1, ClientToken="both")
    image = shared.client("ssm", "us-west-2").get_parameter(Name=ARM)["Parameter"]["Value"]
    [west] = shared.run(1, region="us-west-2", ClientToken="both", ImageId=image, InstanceType="t4g.nano")
    assert west["Placement"]["AvailabilityZone"].startswith("us-west-2")


def test_many_threads_with_one_token_launch_once(opened: Opening) -> None:
    asking = opened(throttle=False)
    asking.ec2, asking.image  # noqa: B018
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: [one["InstanceId"] for one in asking.run(10, ClientToken="race")], range(8)))
    assert len({tuple(answer) for answer in answers}) == 1
    assert len(asking.lab.lives()) == 10


@settings(max_examples=12)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), min_size=1, max_size=6))
def test_a_token_stands_for_one_launch_whatever_else_is_asked(shared: Asking, asked: list[tuple[str, int]]) -> None:
    mark, first = uuid4().hex, dict[str, tuple[int, list[str]]]()
    for token, count in asked:
        if token in first and first[token][0] != count:
            with refused("IdempotentParameterMismatch"):
                shared.run(count, ClientToken=mark + token)
            continue
        ids = [one["InstanceId"] for one in shared.run(count, ClientToken=mark + token)]
        assert first.setdefault(token, (count, ids)) == (count, ids)
    launched = [life for life in shared.lab.lives() if life.token.startswith(mark)]
    assert len(launched) == sum(count for count, _ in first.values())


def test_a_refused_launch_leaves_its_token_free(opened: Opening) -> None:
    asking = opened(capacity={"*/*": 0})
    with refused("InsufficientInstanceCapacity"):
        asking.run(2, ClientToken="later")
    asking.lab.set_capacity(5)
    assert len(asking.run(2, ClientToken="later")) == 2


def test_user_data_of_16_kib_is_taken_and_one_byte_more_is_not(shared: Asking) -> None:
    [one] = shared.run(UserData="x" * 16384)
    shown = shared.ec2.describe_instance_attribute(InstanceId=one["InstanceId"], Attribute="userData")
    assert base64.b64decode(shown["UserData"]["Value"]) == b"x" * 16384
    with refused("InvalidParameterValue", "16384"):
        shared.run(UserData="x" * 16385)


def test_fifty_tags_are_taken_and_one_more_is_not(shared: Asking) -> None:
    [one] = shared.run(TagSpecifications=tagged(50))
    assert len(one["Tags"]) == 50
    with refused("TagLimitExceeded", "50"):
        shared.run(TagSpecifications=tagged(51))
    with refused("TagLimitExceeded"):
        shared.ec2.create_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "more", "Value": ""}])


@pytest.mark.parametrize("tags", [[("a", "1"), ("a", "2")], [("aws:a", "1")], [("", "1")], [("k" * 128, "1")], [("k", "v" * 257)]])
def test_tags_that_ec2_does_not_take_are_refused(shared: Asking, tags: list[tuple[str, str]]) -> None:
    with refused("InvalidParameterValue"):
        shared.run(TagSpecifications=[{**DRY, "Tags": [{"Key": key, "Value": value} for key, value in tags]}])


@given(st.lists(st.tuples(st.text(min_size=1, max_size=130), st.text(max_size=260)), max_size=60))
def test_tags_are_taken_whole_or_not_at_all(pairs: list[tuple[str, str]]) -> None:
    keys = [key for key, _ in pairs]
    fine = (
        len(set(keys)) == len(keys)
        and len(keys) <= 50
        and all(len(key) <= 127 and len(value) <= 256 and not key.lower().startswith("aws:") for key, value in pairs)
    )
    try:
        taken = check_tags([{"Key": key, "Value": value} for key, value in pairs])
    except Refused:
        assert not fine
    else:
        assert fine
        assert taken == dict(pairs)


def test_an_unknown_type_image_subnet_group_or_key_is_named(shared: Asking) -> None:
    with refused("InvalidParameterValue", "t9.huge"):
        shared.run(InstanceType="t9.huge")
    with refused("InvalidAMIID.Malformed", "ami-blender"):
        shared.run(ImageId="ami-blender")
    with refused("InvalidAMIID.NotFound", "ami-0123456789abcdef0"):
        shared.run(ImageId="ami-0123456789abcdef0")
    with refused("InvalidSubnetID.NotFound", "subnet-0"):
        shared.run(SubnetId="subnet-0")
    with refused("InvalidGroup.NotFound", "sg-0"):
        shared.run(SecurityGroupIds=["sg-0"])
    with refused("InvalidKeyPair.NotFound", "mine"):
        shared.run(KeyName="mine")


def test_an_image_of_the_other_architecture_is_refused(shared: Asking) -> None:
    with refused("InvalidParameterValue", "architecture 'arm64'", "architecture 'x86_64'"):
        shared.run(InstanceType="c7g.large")


def test_a_plan_may_add_images(opened: Opening) -> None:
    asking = opened(images=(Image(id="ami-blender", root_gb=20),))
    [one] = asking.run(ImageId="ami-blender")
    assert one["ImageId"] == "ami-blender"
    assert [each["Size"] for each in asking.ec2.describe_volumes()["Volumes"]] == [20]


def test_impossible_counts_are_refused(shared: Asking) -> None:
    with refused("InvalidParameterCombination"):
        shared.run(1, least=2)
    with refused("InvalidParameterValue"):
        shared.run(0, least=0)


def test_a_dry_run_says_that_it_would_have_worked(shared: Asking) -> None:
    before = len(shared.lab.lives())
    with refused("DryRunOperation"):
        shared.run(DryRun=True)
    assert len(shared.lab.lives()) == before


def test_volumes_have_the_tags_and_the_size_that_were_asked_for_and_go_with_the_instance(opened: Opening) -> None:
    asking = opened()
    [one] = asking.run(
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "us"}]}],
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 50, "VolumeType": "gp3"}}],
    )
    [volume] = asking.ec2.describe_volumes(Filters=[{"Name": "tag:of", "Values": ["us"]}])["Volumes"]
    assert (volume["Size"], volume["State"], volume["Attachments"][0]["InstanceId"]) == (50, "in-use", one["InstanceId"])
    asking.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    assert asking.ec2.describe_volumes()["Volumes"] == []


def test_a_volume_that_is_to_be_kept_stays_until_it_is_deleted(opened: Opening) -> None:
    asking = opened()
    [one] = asking.run(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}])
    [volume] = asking.ec2.describe_volumes()["Volumes"]
    with refused("VolumeInUse"):
        asking.ec2.delete_volume(VolumeId=volume["VolumeId"])
    asking.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    assert [each["State"] for each in asking.ec2.describe_volumes()["Volumes"]] == ["available"]
    asking.ec2.delete_volume(VolumeId=volume["VolumeId"])
    assert asking.ec2.describe_volumes()["Volumes"] == []


def test_a_root_volume_smaller_than_the_image_is_refused(shared: Asking) -> None:
    with refused("InvalidBlockDeviceMapping", "4GB"):
        shared.run(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}])


def test_a_parameter_that_ec2_does_not_have_is_refused(shared: Asking) -> None:
    shared.ec2.meta.events.register_first("before-call.ec2.DescribeVolumes", lambda params, **_: params["body"].update(Strange="1"))
    try:
        with refused("UnknownParameter", "Strange"):
            shared.ec2.describe_volumes()
    finally:
        shared._clients.clear()


def test_a_profile_is_unknown_until_it_has_propagated(opened: Opening) -> None:
    asking = opened(profile_lag_s=10)
    with refused("InvalidParameterValue", "worker", "Invalid IAM Instance Profile name"):
        asking.run(IamInstanceProfile={"Name": "worker"})
    asking.profile()
    with refused("InvalidParameterValue", "Invalid IAM Instance Profile name"):
        asking.run(IamInstanceProfile={"Name": "worker"})
    asking.lab.advance(10)
    [one] = asking.run(IamInstanceProfile={"Name": "worker"})
    assert one["IamInstanceProfile"]["Arn"].endswith(":instance-profile/worker")


def test_a_role_is_made_once(shared: Asking) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    shared.iam.create_role(RoleName="once", AssumeRolePolicyDocument=document)
    with refused("EntityAlreadyExists", "once"):
        shared.iam.create_role(RoleName="once", AssumeRolePolicyDocument=document)
