"""The bucket in which arrays leave their outcomes, logs and outputs."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from spawn.domain.errors import ConfigurationError, NotFound
from spawn.providers.ec2.asking import patiently
from spawn.providers.ec2.clients import Clients, code_of

RETENTION_DAYS: Final = 90
"""How long what arrays left is kept in a bucket that spawn made: below `arrays/`."""

MADE: Final = "spawn:made"
"""The tag of what spawn made for an account and keeps for its next arrays: the bucket, the security groups."""

_RULE: Final = "spawn-arrays"


def bucket_name(account: str, region: str) -> str:
    """The bucket of an account and region, when none is named."""
    return f"spawn-{account}-{region}"


def bucket_region(clients: Clients, bucket: str, region: str) -> str | None:
    """The region of a bucket, asked from a region; None: there is no such bucket. Raises ConfigurationError when it may not be used."""

    def ask() -> dict[str, Any]:
        try:
            answer: dict[str, Any] = clients.client("s3", region).head_bucket(Bucket=bucket)["ResponseMetadata"]
        except ClientError as error:
            if code_of(error) not in ("301", "307", "400", "403", "404", "NoSuchBucket", "AccessDenied", "Forbidden", "PermanentRedirect"):
                raise
            answer = error.response["ResponseMetadata"]
        return answer

    answer = patiently(ask, action=f"look up the bucket {bucket}")
    status, found = answer["HTTPStatusCode"], answer.get("HTTPHeaders", {}).get("x-amz-bucket-region")
    if status == 404:
        return None
    if status == 403:
        raise ConfigurationError(
            f"the bucket {bucket} may not be used by {clients.caller().arn}: it belongs to another account, or s3:ListBucket is not allowed on it; "
            "name one of your own with --bucket"
        )
    if status == 400 and not found:
        raise ConfigurationError(
            f"the bucket {bucket} could not be looked up: S3 did not accept the request and does not say why: the credentials may have expired: "
            "renew them, for instance with `aws sso login`, and try again"
        )
    return str(found or region)


def named_bucket_region(clients: Clients, bucket: str, region: str) -> str:
    """The region of a bucket that a user named; NotFound when it is not there."""
    found = bucket_region(clients, bucket, region)
    if found is None:
        raise NotFound(f"--bucket: there is no bucket {bucket}: make it with `aws s3 mb s3://{bucket}`, or leave the option out, and spawn makes one")
    return found


def make_bucket(clients: Clients, bucket: str, region: str) -> None:
    """Make a bucket that is private, encrypted and forgets arrays after 90 days. Again, or by two at once: it is the same one."""
    client = clients.client("s3", region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}

    def create() -> None:
        try:
            client.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerEnforced", **place)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise

    action = f"make the bucket {bucket}"
    patiently(create, action=action)
    patiently(lambda: _protect(client, bucket), action=action)


def _protect(client: Any, bucket: str) -> None:
    blocked = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)
    encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=encrypted)
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": MADE, "Value": "bucket"}]})
    rule = {
        "ID": _RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": "arrays/"},
        "Expiration": {"Days": RETENTION_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
