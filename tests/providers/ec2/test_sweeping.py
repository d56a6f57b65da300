"""What has outlived its end is found and removed; what lives rightly is left alone, whoever launched it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from spawn.domain.errors import InvalidField
from spawn.domain.ids import JobId
from spawn.domain.instances import Lifetime
from spawn.domain.instants import Instant, from_seconds, later
from spawn.domain.jobs import Job
from spawn.engine.fleets import Leftover, Sweep
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.iam import PATH
from spawn.providers.ec2.sweeping import sweep
from spawn.providers.ec2.tags import tags_of
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import Fault, FaultKind, LabPlan
from tests.providers.ec2.buckets import ArrayBucket, clients_of, cloud_job

HOUR = timedelta(hours=1)


class Account:
    """A laboratory, and what tests put into it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.clients = clients_of(lab.endpoint, tuple(lab.environment().items()))

    def image(self, region: str) -> str:
        name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
        return str(self.clients.client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"])

    def job(self, name: str, ttl: timedelta | None = HOUR) -> Job:
        return replace(cloud_job(self.lab, lifetime=Lifetime(ttl=ttl)), id=JobId(name))

    def tags(self, job: Job) -> dict[str, str]:
        return tags_of(job, owner="me", launched_at=self.lab.clock.now())

    def launch(self, job: Job, *, region: str = "us-east-1", count: int = 1, **asked: Any) -> list[str]:
        tags = [{"Key": key, "Value": value} for key, value in self.tags(job).items()]
        answer = self.clients.client("ec2", region).run_instances(
            ImageId=self.image(region),
            InstanceType="t3.micro",
            MinCount=count,
            MaxCount=count,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            **asked,
        )
        return [one["InstanceId"] for one in answer["Instances"]]

    def role(self, job: Job) -> str:
        iam, name = self.clients.client("iam"), f"spawn-{job.key}"
        tags = [{"Key": key, "Value": value} for key, value in self.tags(job).items()]
        iam.create_role(RoleName=name, Path=PATH, AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}', Tags=tags)
        document = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}'
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        more = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName=name, PolicyArn=more)
        iam.create_instance_profile(InstanceProfileName=name, Path=PATH, Tags=tags)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return name

    def sweep(self, *, after: timedelta = timedelta(0), remove: bool = False, live: tuple[str, ...] = (), regions: tuple[str, ...] = ()) -> Sweep:
        at = later(self.lab.clock.now(), after)
        return sweep(self.clients, regions=regions, live=[JobId(one) for one in live], remove=remove, at=at, pause=lambda _: None)


def found(of: Sweep) -> list[tuple[str, str]]:
    return [(one.kind, one.array) for one in of.leftovers]


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """An account that has one region open, or those that the test is parametrized with."""
    regions = getattr(request, "param", ("us-east-1",))
    # the objects and roles behind it are made at the real time, which is before its clock
    with Lab(LabPlan(throttle=False, regions=regions), clock=ManualClock()) as lab:
        yield Account(lab)


several_regions = pytest.mark.parametrize("account", [("us-east-1", "eu-west-1")], indirect=True, ids=["two"])


@pytest.mark.parametrize(("after", "over"), [(timedelta(0), False), (HOUR, False), (HOUR + timedelta(minutes=5), False), (HOUR + timedelta(minutes=11), True)])
def test_an_instance_is_left_over_ten_minutes_after_its_ttl(account: Account, after: timedelta, over: bool) -> None:
    account.launch(account.job("array-1"))
    assert found(account.sweep(after=after)) == ([("instance", "array-1")] if over else [])


def test_an_instance_without_a_ttl_has_no_end_to_outlive(account: Account) -> None:
    account.launch(account.job("array-1", ttl=None))
    assert found(account.sweep(after=timedelta(days=365))) == []


def test_an_instance_of_a_live_array_is_left_alone(account: Account) -> None:
    account.launch(account.job("array-1"))
    account.launch(account.job("array-2"))
    assert found(account.sweep(after=HOUR * 5, live=("array-1",))) == [("instance", "array-2")]


def test_an_instance_of_others_is_none_of_ours(account: Account) -> None:
    account.clients.client("ec2").run_instances(ImageId=account.image("us-east-1"), InstanceType="t3.micro", MinCount=1, MaxCount=1)
    assert found(account.sweep(after=timedelta(days=365))) == []


def test_an_instance_whose_life_was_extended_is_left_alone_until_then(account: Account) -> None:
    bucket = ArrayBucket(account.lab, account.job("array-1"))
    (instance,) = account.launch(bucket.job)
    bucket.put(f"instances/{instance}.json", {"instance_id": instance, "at": 1, "ends_at": account.lab.clock.now() / 1000 + 7200})
    assert found(account.sweep(after=timedelta(minutes=90))) == []
    (left,) = account.sweep(after=timedelta(minutes=150)).leftovers
    assert "never checked in" not in left.why


def test_an_instance_that_never_checked_in_is_said_to(account: Account) -> None:
    account.launch(account.job("array-1"))
    (left,) = account.sweep(after=HOUR * 2).leftovers
    assert left.why == "its end was 2027-01-15T09:00:00.000Z; it never checked in"


def test_a_stopped_instance_past_its_end_is_left_over(account: Account) -> None:
    ids = account.launch(account.job("array-1"))
    account.clients.client("ec2").stop_instances(InstanceIds=ids)
    (left,) = account.sweep(after=HOUR * 2).leftovers
    assert left.why.endswith("and is stopped: its volume costs")


def test_looking_removes_nothing_and_removing_leaves_nothing(account: Account) -> None:
    job = account.job("array-1")
    account.launch(job, count=3)
    account.role(job)
    looked = account.sweep(after=HOUR * 26)
    assert account.sweep(after=HOUR * 26).leftovers == looked.leftovers
    removed = account.sweep(after=HOUR * 26, remove=True)
    assert all(one.removed and one.error is None for one in removed.leftovers)
    assert [kind for kind, _ in found(removed)] == ["instance", "instance", "instance", "instance-profile", "role"]
    assert account.sweep(after=HOUR * 26).leftovers == ()


@several_regions
def test_a_role_is_kept_for_as_long_as_an_instance_anywhere_may_use_it(account: Account) -> None:
    bucket = ArrayBucket(account.lab, account.job("array-1"))
    account.role(bucket.job)
    (instance,) = account.launch(bucket.job, region="eu-west-1")
    bucket.put(f"instances/{instance}.json", {"instance_id": instance, "at": 1, "ends_at": account.lab.clock.now() / 1000 + 30 * 86_400})
    assert found(account.sweep(after=HOUR * 26)) == []
    account.clients.client("ec2", "eu-west-1").terminate_instances(InstanceIds=[instance])
    assert found(account.sweep(after=HOUR * 26)) == [("instance-profile", "array-1"), ("role", "array-1")]


def test_a_role_is_kept_for_an_array_that_may_still_wait_for_room_elsewhere(account: Account) -> None:
    account.role(account.job("array-1"))
    assert found(account.sweep(after=HOUR * 24)) == []
    assert found(account.sweep(after=HOUR * 26, live=("array-1",))) == []
    assert found(account.sweep(after=HOUR * 26)) == [("instance-profile", "array-1"), ("role", "array-1")]


def test_a_role_is_judged_later_when_not_all_regions_were_looked_at(account: Account) -> None:
    account.role(account.job("array-1"))
    assert found(account.sweep(after=HOUR * 26, regions=("us-east-1",))) == []
    assert found(account.sweep(after=timedelta(days=8), regions=("us-east-1",))) == [("instance-profile", "array-1"), ("role", "array-1")]


def test_a_role_of_an_array_without_a_ttl_is_kept_for_as_long_as_its_records(account: Account) -> None:
    account.role(account.job("array-1", ttl=None))
    assert found(account.sweep()) == []
    assert found(account.sweep(after=timedelta(days=100))) == [("instance-profile", "array-1"), ("role", "array-1")]


def test_a_role_with_all_its_policies_goes(account: Account) -> None:
    name = account.role(account.job("array-1"))
    assert [one.error for one in account.sweep(after=HOUR * 26, remove=True).leftovers] == [None, None]
    with pytest.raises(account.clients.client("iam").exceptions.NoSuchEntityException):
        account.clients.client("iam").get_role(RoleName=name)


def test_a_volume_and_a_launch_template_that_no_instance_has_go() -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        clients = Clients({"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
        ec2 = clients.client("ec2")
        tags = [{"Key": "spawn:array", "Value": "array-1"}]
        ours = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}])
        others = ec2.create_volume(AvailabilityZone="us-east-1a", Size=9)
        data = {"ImageId": "ami-1", "InstanceType": "t3.micro"}
        ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data, TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}])
        at = from_seconds(ours["CreateTime"].timestamp() + 4000)
        assert found(sweep(clients, regions=["us-east-1"], live=[JobId("array-1")], remove=True, at=at)) == []
        assert found(sweep(clients, regions=["us-east-1"], live=[], remove=True, at=at)) == [("volume", "array-1"), ("launch-template", "array-1")]
        left = {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]}  # moto keeps what other tests of this process made, too
        assert ours["VolumeId"] not in left
        assert others["VolumeId"] in left
        assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    finally:
        server.stop()


def test_a_security_group_stays_while_anything_of_ours_lives_in_its_region(account: Account) -> None:
    ec2 = account.clients.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    tags = [{"Key": "spawn:launched", "Value": "1700000000"}, {"Key": "spawn:made", "Value": "security-group"}]
    ec2.create_security_group(GroupName="spawn", Description="x", VpcId=vpc, TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}])
    ids = account.launch(account.job("array-1"))
    assert found(account.sweep()) == []
    ec2.terminate_instances(InstanceIds=ids)
    assert found(account.sweep(live=("array-9",))) == []
    assert [(one.kind, one.removed) for one in account.sweep(remove=True).leftovers] == [("security-group", True)]


def test_objects_are_left_over_when_none_of_their_array_is_younger_than_the_retention(account: Account) -> None:
    s3, bucket = account.clients.client("s3"), f"spawn-{account.lab.account}-us-east-1"
    s3.create_bucket(Bucket=bucket)
    for array in ("array-1", "array-2"):
        for number in range(3):
            s3.put_object(Bucket=bucket, Key=f"arrays/{array}/0/1/output/{number}", Body=b"x")
    s3.put_object(Bucket=bucket, Key="spored/x.pyz", Body=b"x")
    made = s3.head_object(Bucket=bucket, Key="spored/x.pyz")["LastModified"].timestamp()

    def at(days: int, *, remove: bool = False) -> Sweep:
        return sweep(account.clients, regions=(), live=[JobId("array-2")], remove=remove, at=Instant(round(made * 1000) + days * 86_400_000))

    assert found(at(89)) == []
    assert found(at(91, remove=True)) == [("objects", "array-1")]
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["arrays/array-2/0/1/output/0", "arrays/array-2/0/1/output/1", "arrays/array-2/0/1/output/2", "spored/x.pyz"]


def test_a_queue_that_no_instance_takes_from_goes(account: Account) -> None:
    sqs, job = account.clients.client("sqs"), account.job("array-1")
    sqs.create_queue(QueueName=f"spawn-{job.key}", tags=account.tags(job))
    sqs.create_queue(QueueName="spawn-of-somebody-else")
    assert found(account.sweep(after=HOUR * 26, remove=True)) == [("queue", "array-1")]
    assert len(sqs.list_queues()["QueueUrls"]) == 1


def test_more_than_a_page_of_everything_is_found(account: Account) -> None:
    account.launch(account.job("array-1"), count=25)
    ec2 = account.clients.client("ec2")

    def small(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return params | {"MaxResults": 5}

    ec2.meta.events.register("provide-client-params.ec2.DescribeInstances", small)
    try:
        assert len(account.sweep(after=HOUR * 2).leftovers) == 25
    finally:
        ec2.meta.events.unregister("provide-client-params.ec2.DescribeInstances", small)
    assert account.lab.calls.count("DescribeInstances") >= 5


def test_a_region_that_cannot_be_looked_at_is_said_and_the_others_are(account: Account) -> None:
    account.launch(account.job("array-1"))
    swept = account.sweep(after=HOUR * 2, regions=("us-east-1", "eu-west-1"))
    assert found(swept) == [("instance", "array-1")]
    assert set(swept.failed) >= {"eu-west-1"}
    assert swept.regions == ("us-east-1",)


def test_a_region_that_there_is_not_is_refused(account: Account) -> None:
    with pytest.raises(InvalidField, match="--region: 'us-eest-1' is not an AWS region: did you mean us-east-1"):
        account.sweep(regions=("us-east-1", "us-eest-1"))


def test_a_service_that_is_not_allowed_is_said_and_the_others_are_looked_at(account: Account) -> None:
    account.launch(account.job("array-1"))
    account.lab.add_fault(Fault(kind=FaultKind.DENIED, service="iam"))
    swept = account.sweep(after=HOUR * 2)
    assert found(swept) == [("instance", "array-1")]
    assert set(swept.failed) == {"IAM"}


@pytest.mark.parametrize("kind", [FaultKind.THROTTLED, FaultKind.LOST_ANSWER, FaultKind.BROKEN])
def test_what_is_throttled_or_cut_off_is_asked_again(account: Account, kind: FaultKind) -> None:
    account.launch(account.job("array-1"))
    account.lab.add_fault(Fault(kind=kind, service="ec2", times=1))
    account.lab.add_fault(Fault(kind=kind, action="TerminateInstances", times=1))
    (left,) = account.sweep(after=HOUR * 2, remove=True).leftovers
    assert left.removed
    assert left.error is None


def test_what_cannot_be_removed_says_why_and_keeps_nothing_else(account: Account) -> None:
    account.launch(account.job("array-1"))
    account.role(account.job("array-2"))
    account.lab.add_fault(Fault(kind=FaultKind.DENIED, action="TerminateInstances"))
    by_kind: dict[str, Leftover] = {one.kind: one for one in account.sweep(after=HOUR * 26, remove=True).leftovers}
    assert not by_kind["instance"].removed
    assert "TerminateInstances" in (by_kind["instance"].error or "")
    assert by_kind["role"].removed


@several_regions
def test_the_regions_are_all_that_are_enabled_when_none_is_named(account: Account) -> None:
    swept = account.sweep()
    assert swept.regions == ("eu-west-1", "us-east-1")
    assert swept.account == account.lab.account
    assert swept.failed == {}
