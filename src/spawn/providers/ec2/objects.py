"""Small JSON objects below an array's prefix in its bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
from botocore.exceptions import ClientError

from spawn.domain.errors import ProviderUnavailable, SpawnError
from spawn.providers.ec2.clients import code_of
from spawn.providers.ec2.surveying import Claim
from spawn.providers.ec2.turn import Array, Turn, chunks

T = TypeVar("T")

ENGINE: Final = "engine"
"""The `instance_id` of a claim by which the engine makes sure that an attempt never begins."""

_MISSING: Final = frozenset(["NoSuchKey", "404", "NotFound"])
_EXISTS: Final = frozenset(["PreconditionFailed", "412"])
_DELETED_AT_ONCE: Final = 1000


class NotUnderstood(SpawnError):
    """What is in the bucket is not what docs/wire-ec2.md says: whoever may write there can have put it there."""


def read_object(turn: Turn, array: Array, name: str, kind: type[T]) -> T | None:
    """An object, None when it is not there. Raises what botocore raises, and NotUnderstood."""
    try:
        content = turn.s3(array).get_object(Bucket=array.fleet.bucket, Key=array.prefix + name)["Body"].read()
    except ClientError as error:
        if code_of(error) in _MISSING:
            return None
        raise
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise NotUnderstood(f"s3://{array.fleet.bucket}/{array.prefix}{name} is not understood ({error})") from error


def write_object(turn: Turn, array: Array, name: str, content: bytes, *, only_new: bool = False) -> bool:
    """Write an object; False when `only_new` and it was there already."""
    condition = {"IfNoneMatch": "*"} if only_new else {}
    try:
        turn.s3(array).put_object(Bucket=array.fleet.bucket, Key=array.prefix + name, Body=content, ContentType="application/json", **condition)
    except ClientError as error:
        if only_new and code_of(error) in _EXISTS:
            return False
        raise
    return True


def listed(turn: Turn, array: Array, below: str) -> Iterator[tuple[str, str]]:
    """The names after `below` of all objects there, and their ETags; one call for each thousand."""
    prefix = array.prefix + below
    more: dict[str, Any] = {}
    while True:
        answer = turn.s3(array).list_objects_v2(Bucket=array.fleet.bucket, Prefix=prefix, MaxKeys=1000, **more)
        for entry in answer.get("Contents", ()):
            yield entry["Key"][len(prefix) :], entry["ETag"]
        if not answer.get("NextContinuationToken"):
            return
        more = {"ContinuationToken": answer["NextContinuationToken"]}


def delete_objects(turn: Turn, array: Array, names: list[str]) -> None:
    """Delete objects; what is not there counts as deleted. Raises ClientError for the first that S3 would not delete, which its answer only mentions."""
    for group in chunks(names, _DELETED_AT_ONCE):
        keys = [{"Key": array.prefix + name} for name in group]
        answer = turn.s3(array).delete_objects(Bucket=array.fleet.bucket, Delete={"Objects": keys, "Quiet": True})
        for error in answer.get("Errors", ())[:1]:
            said = {"Code": error.get("Code", ""), "Message": f"{error.get('Message', '')} ({error.get('Key', '')})"}
            raise ClientError({"Error": said}, "DeleteObjects")


def claim(turn: Turn, array: Array, position: int, attempt: int) -> str:
    """See to it that an attempt never begins. Who has it now: `ENGINE`, or the instance that claimed it before.

    ProviderUnavailable when that cannot be told now: nobody may be taken for the owner of what another one may be claiming at this moment.
    """
    name = f"{array.job.index_at(position)}/{attempt}/claim.json"
    mine = json.dumps({"wire": 1, "instance_id": ENGINE, "at": turn.now / 1000}).encode()
    if write_object(turn, array, name, mine, only_new=True):
        return ENGINE
    found = read_object(turn, array, name, Claim)
    if found is None:
        raise ProviderUnavailable(f"s3://{array.fleet.bucket}/{array.prefix}{name} is there and is not: it is looked at again")
    return found.instance_id
