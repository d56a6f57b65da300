"""Who may do what, and what those hear who may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from tests.ec2lab.asking import Asking, refused
from tests.ec2lab.conftest import Opening


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]})


@pytest.fixture(scope="module")
def account() -> Iterator[Asking]:
    with Lab(LabPlan(throttle=False), clock=ManualClock()) as lab:
        yield Asking(lab)


@pytest.fixture(scope="module")
def bucket(account: Asking) -> str:
    return account.bucket()


@pytest.fixture(scope="module")
def worker(account: Asking, bucket: str) -> Asking:
    """A role that may write and read below `arrays/A/`, and take from one queue."""
    account.client("sqs").create_queue(QueueName="pool")
    account.client("sqs").create_queue(QueueName="other")
    account.profile(
        "worker",
        policy(
            {"Action": ["s3:PutObject", "s3:GetObject"], "Resource": f"arn:aws:s3:::{bucket}/arrays/A/*"},
            {"Action": "sqs:*Message*", "Resource": f"arn:aws:sqs:us-east-1:{account.lab.account}:pool"},
            {"Action": "ec2:StopInstances", "Resource": "*", "Condition": {"StringEquals": {"ec2:ResourceTag/array": "A"}}},
        ),
    )
    return Asking(account.lab, account.lab.credentials("worker"))


def test_a_role_may_do_what_its_policy_allows(worker: Asking, bucket: str) -> None:
    worker.s3.put_object(Bucket=bucket, Key="arrays/A/0/1/outcome.json", Body=b"{}")
    assert worker.s3.get_object(Bucket=bucket, Key="arrays/A/0/1/outcome.json")["Body"].read() == b"{}"


@pytest.mark.parametrize("key", ["arrays/B/0/1/outcome.json", "arrays/A", "outcome.json"])
def test_a_role_may_not_write_elsewhere(worker: Asking, bucket: str, key: str) -> None:
    with refused("AccessDenied", "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}", "worker"):
        worker.s3.put_object(Bucket=bucket, Key=key, Body=b"")


def test_a_role_may_not_delete_or_list_what_it_may_write(worker: Asking, bucket: str) -> None:
    with refused("AccessDenied", "s3:DeleteObject"):
        worker.s3.delete_object(Bucket=bucket, Key="arrays/A/0/1/outcome.json")
    with refused("AccessDenied", "s3:ListBucket"):
        worker.s3.list_objects_v2(Bucket=bucket, Prefix="arrays/A/")


def test_who_may_not_list_is_not_told_what_is_missing(account: Asking, worker: Asking, bucket: str) -> None:
    with refused("AccessDenied"):
        worker.s3.get_object(Bucket=bucket, Key="arrays/A/missing")
    with refused("NoSuchKey"):
        account.s3.get_object(Bucket=bucket, Key="arrays/A/missing")


def test_listing_may_be_allowed_below_a_prefix(account: Asking, bucket: str) -> None:
    account.profile(
        "lister", policy({"Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}", "Condition": {"StringLike": {"s3:prefix": "arrays/A/*"}}})
    )
    lister = Asking(account.lab, account.lab.credentials("lister"))
    lister.s3.list_objects_v2(Bucket=bucket, Prefix="arrays/A/")
    with refused("AccessDenied"):
        lister.s3.list_objects_v2(Bucket=bucket, Prefix="arrays/B/")
    with refused("AccessDenied"):
        lister.s3.list_objects_v2(Bucket=bucket)


def test_a_role_reaches_its_own_queue_only(account: Asking, worker: Asking) -> None:
    queues = account.client("sqs")
    own, other = (queues.get_queue_url(QueueName=name)["QueueUrl"] for name in ("pool", "other"))
    worker.client("sqs").receive_message(QueueUrl=own)
    with refused("AccessDenied", "sqs:ReceiveMessage", ":other"):
        worker.client("sqs").receive_message(QueueUrl=other)
    with refused("AccessDenied", "sqs:DeleteQueue"):
        worker.client("sqs").delete_queue(QueueUrl=own)


def test_a_role_may_stop_instances_with_its_tag_only(account: Asking, worker: Asking) -> None:
    specification = [{"ResourceType": "instance", "Tags": [{"Key": "array", "Value": "A"}]}]
    [own], [other] = account.run(TagSpecifications=specification), account.run()
    worker.ec2.stop_instances(InstanceIds=[own["InstanceId"]])
    with refused("UnauthorizedOperation", "ec2:StopInstances", other["InstanceId"]):
        worker.ec2.stop_instances(InstanceIds=[other["InstanceId"]])
    with refused("UnauthorizedOperation", "ec2:TerminateInstances"):
        worker.ec2.terminate_instances(InstanceIds=[own["InstanceId"]])


def test_a_policy_that_aws_manages_can_be_attached(account: Asking, bucket: str) -> None:
    account.profile("reader")
    reader = Asking(account.lab, account.lab.credentials("reader"))
    with refused("AccessDenied"):
        reader.s3.list_objects_v2(Bucket=bucket)
    account.iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    reader.s3.list_objects_v2(Bucket=bucket)
    with refused("AccessDenied", "s3:PutObject"):
        reader.s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with refused("NoSuchEntity"):
        account.iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")


def test_a_denial_beats_every_permission(account: Asking, bucket: str) -> None:
    account.profile(
        "denied", policy({"Action": "s3:*", "Resource": "*"}, {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/secret/*"})
    )
    denied = Asking(account.lab, account.lab.credentials("denied"))
    denied.s3.put_object(Bucket=bucket, Key="open", Body=b"")
    with refused("AccessDenied", "s3:PutObject"):
        denied.s3.put_object(Bucket=bucket, Key="secret/a", Body=b"")


def test_credentials_of_a_role_end(opened: Opening) -> None:
    account = opened()
    bucket = account.bucket()
    account.profile("brief", policy({"Action": "s3:*", "Resource": "*"}))
    keys = account.lab.credentials("brief")
    brief = Asking(account.lab, keys)
    brief.s3.head_bucket(Bucket=bucket)
    account.lab.advance(account.lab.plan.credentials_s)
    with refused("ExpiredToken"):
        brief.s3.list_objects_v2(Bucket=bucket)
    with refused("RequestExpired"):
        brief.ec2.describe_instances(MaxResults=5)


def test_a_wrong_secret_or_token_is_found_out(account: Asking, bucket: str) -> None:
    account.profile("forged", policy({"Action": "s3:*", "Resource": "*"}))
    keys = dict(account.lab.credentials("forged"))
    with refused("SignatureDoesNotMatch"):
        Asking(account.lab, keys | {"SecretAccessKey": "wrong"}).s3.list_objects_v2(Bucket=bucket)
    with refused("AuthFailure"):
        Asking(account.lab, keys | {"SecretAccessKey": "wrong"}).ec2.describe_instances(MaxResults=5)
    with refused("InvalidAccessKeyId"):
        Asking(account.lab, keys | {"Token": "wrong"}).s3.list_objects_v2(Bucket=bucket)


def test_keys_that_nobody_issued_are_refused_in_each_services_words(account: Asking) -> None:
    stranger = Asking(account.lab, {"AccessKeyId": "AKIASTRANGER00000000", "SecretAccessKey": "x"})
    with refused("AuthFailure"):
        stranger.ec2.describe_instances(MaxResults=5)
    with refused("InvalidAccessKeyId"):
        stranger.s3.list_buckets()
    with refused("InvalidClientTokenId"):
        stranger.client("sts").get_caller_identity()
    with refused("UnrecognizedClientException"):
        stranger.client("ssm").get_parameter(Name="/x")


def test_the_user_may_have_credentials_that_have_expired(opened: Opening) -> None:
    asking = opened(signed_in="expired")
    with refused("RequestExpired"):
        asking.ec2.describe_instances(MaxResults=5)
    with refused("ExpiredToken"):
        asking.client("sts").get_caller_identity()


def test_what_the_plan_forbids_is_named_and_all_else_goes(opened: Opening) -> None:
    asking = opened(forbidden=("ec2:RunInstances", "iam:Create*"))
    with refused("UnauthorizedOperation", "You are not authorized to perform this operation", "ec2:RunInstances"):
        asking.run()
    with refused("AccessDenied", "iam:CreateRole"):
        asking.profile()
    asking.ec2.describe_instances(MaxResults=5)
    asking.lab.forbid()
    asking.run()


def test_the_user_may_be_signed_out_while_things_run(opened: Opening) -> None:
    asking = opened()
    asking.run()
    asking.lab.sign_in("unknown")
    with refused("AuthFailure"):
        asking.shown()
    asking.lab.sign_in("valid")
    assert len(asking.shown()) == 1


def test_passing_a_role_needs_a_permission_of_its_own(opened: Opening) -> None:
    asking = opened(forbidden=("iam:PassRole",))
    asking.profile()
    with refused("UnauthorizedOperation", "iam:PassRole"):
        asking.run(IamInstanceProfile={"Name": "worker"})
    asking.run()


def test_a_region_that_the_account_does_not_have_is_refused(shared: Asking) -> None:
    with refused("AuthFailure"):
        shared.client("ec2", "ap-south-1").describe_instances(MaxResults=5)


def test_everybody_may_ask_who_they_are(account: Asking, worker: Asking) -> None:
    assert account.client("sts").get_caller_identity()["Account"] == account.lab.account
    account.iam.put_role_policy(RoleName="worker", PolicyName="sts", PolicyDocument=policy({"Action": "sts:GetCallerIdentity", "Resource": "*"}))
    assert ":assumed-role/worker/" in worker.client("sts").get_caller_identity()["Arn"]


def test_a_presigned_address_may_be_read_without_credentials_until_it_ends(account: Asking, bucket: str) -> None:
    import urllib3

    account.s3.put_object(Bucket=bucket, Key="spored/x.pyz", Body=b"agent")
    asked = {"ClientMethod": "get_object", "Params": {"Bucket": bucket, "Key": "spored/x.pyz"}}
    url = account.s3.generate_presigned_url(**asked, ExpiresIn=60)
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", url).data == b"agent"
        changed = pool.request("GET", url.replace("x.pyz", "y.pyz"))
        assert (changed.status, b"SignatureDoesNotMatch" in changed.data) == (403, True)
        late = pool.request("GET", account.s3.generate_presigned_url(**asked, ExpiresIn=-1))
        assert (late.status, b"Request has expired" in late.data) == (403, True)
        older = pool.request("GET", f"{account.lab.endpoint}/{bucket}/spored/x.pyz?AWSAccessKeyId=AKIA&Signature=x&Expires=1")
        assert (older.status, b"AWS4-HMAC-SHA256" in older.data) == (400, True)
        plain = pool.request("GET", f"{account.lab.endpoint}/{bucket}/spored/x.pyz")
        assert plain.status == 403


def test_a_key_for_ssh_is_taken_for_an_instance_that_runs(account: Asking) -> None:
    [one] = account.run()
    connect = account.client("ec2-instance-connect")
    asked = {"InstanceOSUser": "ec2-user", "SSHPublicKey": "ssh-ed25519 " + "A" * 256}
    assert connect.send_ssh_public_key(InstanceId=one["InstanceId"], **asked)["Success"] is True
    account.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    with refused("EC2InstanceStateInvalidException"):
        connect.send_ssh_public_key(InstanceId=one["InstanceId"], **asked)


@given(st.text(alphabet="abAB0 /-_.~+%é*'()&=", min_size=1, max_size=40).filter(lambda key: not key.startswith("/") and "//" not in key and "./" not in key))
def test_any_key_is_signed_as_botocore_signs_it(signed: Asking, key: str) -> None:
    signed.s3.put_object(Bucket=f"lab-{signed.lab.account}", Key=f"k{key}", Body=b"x", Metadata={"a": " b  c "})


@pytest.fixture(scope="module")
def signed(account: Asking, bucket: str) -> Asking:
    return account


def test_what_somebody_may_do_is_told_by_the_rights_that_calls_are_held_to(opened: Opening) -> None:
    asking = opened(forbidden=("iam:PassRole",))
    asking.profile(policy=policy({"Action": "s3:Get*", "Resource": "arn:aws:s3:::mine/*"}))
    user, worker = (f"arn:aws:iam::{asking.lab.account}:{name}" for name in ("user/laboratory", "role/worker"))

    def told(source: str, *actions: str, on: str = "*") -> list[str]:
        answer = asking.iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=list(actions), ResourceArns=[on])
        results = answer["EvaluationResults"]
        assert [one["ResourceSpecificResults"][0]["EvalResourceDecision"] for one in results] == [one["EvalDecision"] for one in results]
        return [one["EvalDecision"] for one in results]

    assert told(user, "iam:PassRole", "iam:CreateRole") == ["implicitDeny", "allowed"]
    assert told(worker, "s3:GetObject", "s3:PutObject", on="arn:aws:s3:::mine/x") == ["allowed", "implicitDeny"]
    with refused("InvalidInput"):
        told(f"arn:aws:sts::{asking.lab.account}:assumed-role/worker/instance", "s3:GetObject")
    with refused("NoSuchEntity"):
        told(f"{worker}s", "s3:GetObject")
