"""What is made in an account before a first launch, and what is left of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spawn.domain.errors import ConfigurationError, NotFound
from spawn.domain.fleets import Distribution
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.jobs import Job
from spawn.providers.ec2.clients import Clients, code_of
from spawn.providers.ec2.iam import rights
from spawn.providers.ec2.preparing import dissolve, prepare
from spawn.providers.ec2.tags import read_tags
from spawn.testing.ec2lab.lab import Lab
from tests.domain.making import make_job
from tests.providers.ec2.labs import clients_of, lab, plan_in, wish

_ALLOW = [{"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}]


@pytest.fixture
def where() -> Iterator[Lab]:
    with lab() as made:
        yield made


def job_in(where: Lab, number: int = 1, *, on_complete: OnComplete = OnComplete.TERMINATE, **options: Any) -> Job:
    """An array of ten with the fleet that was planned for it."""
    return make_job(number, 10, fleet=plan_in(where, wish(**options)).fleet, lifetime=Lifetime(on_complete=on_complete))


def as_role(where: Lab, role: str) -> Clients:
    """Clients of an instance that has a role."""
    keys = where.credentials(role)
    pair = {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"], "AWS_SESSION_TOKEN": keys["Token"]}
    return Clients({**where.environment(), **pair})


def makes(where: Lab) -> list[str]:
    return [call.action for call in where.calls if call.action.startswith(("Create", "Delete", "Add")) and call.status == 200]


def test_a_first_launch_makes_bucket_role_profile_and_group(where: Lab) -> None:
    job, clients = job_in(where), clients_of(where)
    made = prepare(clients, job)
    assert (made.bucket, made.profile, made.role, made.fresh) == (f"spawn-{where.account}-us-east-1", f"spawn-{job.key}", f"spawn-{job.key}", True)
    assert job.fleet is not None
    assert set(made.security_groups) == {offer.subnet for offer in job.fleet.offers}
    profile = clients.client("iam").get_instance_profile(InstanceProfileName=made.profile)["InstanceProfile"]
    assert (profile["Path"], [role["RoleName"] for role in profile["Roles"]]) == ("/spawn/", [made.role])
    assert read_tags(clients.client("iam").list_role_tags(RoleName=made.role)["Tags"])["spawn:array"] == job.id


def test_the_bucket_is_private_and_encrypted_and_forgets(where: Lab) -> None:
    made, s3 = prepare(clients_of(where), job_in(where)), clients_of(where).client("s3")
    assert all(s3.get_public_access_block(Bucket=made.bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_encryption(Bucket=made.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=made.bucket)["Rules"]
    assert (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) == ("arrays/", 90)


def test_the_group_lets_nothing_in(where: Lab) -> None:
    made = prepare(clients_of(where), job_in(where))
    (group,) = set(made.security_groups.values())
    (found,) = clients_of(where).client("ec2").describe_security_groups(GroupIds=list(group))["SecurityGroups"]
    assert (found["GroupName"], found["IpPermissions"]) == ("spawn", [])


def test_preparing_again_makes_nothing(where: Lab) -> None:
    job, clients = job_in(where), clients_of(where)
    first = prepare(clients, job)
    where.calls.clear()
    assert prepare(clients, job) == replace(first, fresh=False)
    assert set(makes(where)) <= {"CreateTags"}


def test_the_next_array_shares_bucket_and_group(where: Lab) -> None:
    first = prepare(clients_of(where), job_in(where, 1))
    second = prepare(clients_of(where), job_in(where, 2))
    assert (first.bucket, first.security_groups) == (second.bucket, second.security_groups)
    assert first.profile != second.profile


def test_two_that_prepare_at_once_find_the_same(where: Lab) -> None:
    job, clients = job_in(where), [Clients(where.environment()) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda each: prepare(each, job), clients))
    assert len({(each.bucket, each.profile, tuple(sorted(each.security_groups.items()))) for each in made}) == 1
    assert sum(each.fresh for each in made) == 1


def test_an_array_may_reach_its_own_objects_and_nothing_else(where: Lab) -> None:
    job = job_in(where)
    made = prepare(clients_of(where), job)
    assert made.role is not None
    s3 = as_role(where, made.role).client("s3")
    s3.put_object(Bucket=made.bucket, Key=f"arrays/{job.id}/0/1/outcome.json", Body=b"{}")
    assert s3.get_object(Bucket=made.bucket, Key=f"arrays/{job.id}/0/1/outcome.json")["Body"].read() == b"{}"
    assert [entry["Size"] for entry in s3.list_objects_v2(Bucket=made.bucket, Prefix=f"arrays/{job.id}/0/1/")["Contents"]] == [2]
    for denied in (
        lambda: s3.put_object(Bucket=made.bucket, Key="arrays/another/0/1/outcome.json", Body=b"{}"),
        lambda: s3.list_objects_v2(Bucket=made.bucket),
        lambda: s3.list_objects_v2(Bucket=made.bucket, Prefix="arrays/another/"),
        lambda: s3.delete_object(Bucket=made.bucket, Key=f"arrays/{job.id}/0/1/outcome.json"),
    ):
        with pytest.raises(ClientError) as caught:
            denied()
        assert code_of(caught.value) == "AccessDenied"


def test_rights_to_a_queue_and_to_stopping_are_given_where_they_are_needed(where: Lab) -> None:
    plain = rights(job_in(where), where.account)["Statement"]
    assert [statement["Sid"] for statement in plain] == ["OwnObjects", "OwnListing"]
    job = job_in(where, on_complete=OnComplete.STOP, instances=2, distribute=Distribution.DYNAMIC, iam_policies=("dynamodb:ReadOnly",))
    objects, _, queue, stop, added = rights(job, where.account)["Statement"]
    assert objects["Resource"] == f"arn:aws:s3:::spawn-{where.account}-us-east-1/arrays/{job.id}/*"
    assert queue["Resource"] == f"arn:aws:sqs:us-east-1:{where.account}:spawn-{job.key}"
    assert (stop["Action"], stop["Condition"]) == ("ec2:StopInstances", {"StringEquals": {"aws:ResourceTag/spawn:array": job.id}})
    assert "dynamodb:GetItem" in added["Action"]
    assert not any("Delete" in action for action in added["Action"])


def test_what_iam_policy_names_is_attached_and_goes_with_the_array(where: Lab) -> None:
    iam = clients_of(where).client("iam")
    arn = iam.create_policy(PolicyName="mine", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": _ALLOW}))["Policy"]["Arn"]
    job = job_in(where, iam_policies=(arn, "s3:ReadOnly"))
    made = prepare(clients_of(where), job)
    assert [policy["PolicyArn"] for policy in iam.list_attached_role_policies(RoleName=made.role)["AttachedPolicies"]] == [arn]
    dissolve(clients_of(where), job)
    assert not iam.list_roles(PathPrefix="/spawn/")["Roles"]
    assert not iam.list_instance_profiles(PathPrefix="/spawn/")["InstanceProfiles"]


def test_dissolving_again_does_nothing_and_leaves_the_bucket(where: Lab) -> None:
    job, clients = job_in(where), clients_of(where)
    made = prepare(clients, job)
    dissolve(clients, job)
    dissolve(clients, job)
    assert clients.client("s3").head_bucket(Bucket=made.bucket)
    assert prepare(clients, job).fresh


def test_a_half_made_profile_is_completed(where: Lab) -> None:
    job, clients = job_in(where), clients_of(where)
    clients.client("iam").create_instance_profile(InstanceProfileName=f"spawn-{job.key}", Path="/spawn/")
    prepare(clients, job)
    (role,) = clients.client("iam").get_instance_profile(InstanceProfileName=f"spawn-{job.key}")["InstanceProfile"]["Roles"]
    assert role["RoleName"] == f"spawn-{job.key}"


def test_a_profile_of_the_user_is_used_as_it_is_and_stays(where: Lab) -> None:
    iam = clients_of(where).client("iam")
    iam.create_instance_profile(InstanceProfileName="mine")
    iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
    iam.add_role_to_instance_profile(InstanceProfileName="mine", RoleName="mine")
    job = job_in(where, instance_profile="mine")
    made = prepare(clients_of(where), job)
    dissolve(clients_of(where), job)
    assert (made.profile, made.role) == ("mine", None)
    assert iam.get_instance_profile(InstanceProfileName="mine")["InstanceProfile"]["Roles"]


def test_a_bucket_of_the_user_is_used_and_never_changed(where: Lab) -> None:
    s3 = clients_of(where).client("s3", "us-west-2")
    s3.create_bucket(Bucket="mine-of-the-lab", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    job = job_in(where, bucket="mine-of-the-lab")
    assert job.fleet is not None
    assert job.fleet.bucket_region == "us-west-2"
    where.calls.clear()
    assert prepare(clients_of(where), job).bucket == "mine-of-the-lab"
    assert not [call for call in where.calls if call.service == "s3" and call.action != "HeadBucket"]
    s3.delete_bucket(Bucket="mine-of-the-lab")
    with pytest.raises(NotFound, match="the bucket mine-of-the-lab is no longer there"):
        prepare(clients_of(where), job)


def test_a_missing_permission_names_the_action() -> None:
    with lab(forbidden=("iam:CreateRole",)) as where, pytest.raises(ConfigurationError, match="may not call iam:CreateRole"):
        prepare(clients_of(where), job_in(where))
