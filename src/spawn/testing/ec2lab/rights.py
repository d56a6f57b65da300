"""Who may do what: a role what its policies allow, the user everything but what the plan forbids."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from spawn.testing.ec2lab.behind import Moto
from spawn.testing.ec2lab.callers import Caller
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.requests import Request

_S3_ACTIONS: Final = {
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "ListBuckets": "ListAllMyBuckets",
}
_SQS_ACTIONS: Final = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
_OPERATORS: Final = frozenset({"StringEquals", "StringLike", "StringNotEquals", "ArnEquals", "ArnLike"})


class Rights:
    """Knows the policies of roles as moto keeps them."""

    def __init__(self, moto: Moto, account: str, forbidden: Sequence[str]) -> None:
        self._moto = moto
        self._account = account
        self.forbidden = tuple(forbidden)

    def see(self, caller: Caller, request: Request, *, action: str | None = None, resource: str | None = None, facts: Mapping[str, str] | None = None) -> None:
        """Refused, in the service's words, when a caller may not do what is asked."""
        permission = action or permission_of(request)
        resource = resource or self.resource_of(request)
        if not self.may(caller.role, permission, resource, {**(facts or {}), **facts_of(request)}):
            raise _denied(request.service, caller.arn, permission, resource)

    def may(self, role: str | None, permission: str, resource: str, facts: Mapping[str, str]) -> bool:
        """Whether something is allowed to a role, or (None) to the user."""
        if role is None:
            return not any(fnmatchcase(permission.lower(), pattern.lower()) for pattern in self.forbidden)
        return self.allows(role, permission, resource, facts)

    def allows(self, role: str, permission: str, resource: str, facts: Mapping[str, str]) -> bool:
        """Whether a role's policies allow something; none that denies it, and one that allows it."""
        try:
            documents = self._moto.policies(role)
        except KeyError:
            return False
        effects = {statement["Effect"] for document in documents for statement in _statements(document) if _covers(statement, permission, resource, facts)}
        return effects == {"Allow"}

    def resource_of(self, request: Request) -> str:
        """The ARN of what a request is about, `*` where there is none in it."""
        if request.service == "s3":
            return f"arn:aws:s3:::{request.bucket}/{request.key}" if request.key else f"arn:aws:s3:::{request.bucket}" if request.bucket else "*"
        if request.service == "sqs":
            url = str(request.json.get("QueueUrl") or request.parameters.get("QueueUrl") or "")
            name = url.rpartition("/")[2] or str(request.json.get("QueueName") or request.parameters.get("QueueName") or "")
            return f"arn:aws:sqs:{request.region}:{self._account}:{name}"
        if request.service == "ec2":
            one = request.parameters.get("InstanceId.1") or request.parameters.get("InstanceId") or ("*" if request.action == "RunInstances" else None)
            return f"arn:aws:ec2:{request.region}:{self._account}:instance/{one}" if one else "*"
        return "*"


def permission_of(request: Request) -> str:
    """The IAM action that a request needs."""
    action = request.action
    if request.service == "s3":
        action = _S3_ACTIONS.get(action, action)
    return f"{request.service}:{_SQS_ACTIONS.get(action, action)}"


def facts_of(request: Request) -> dict[str, str]:
    """What conditions may ask about."""
    return {"s3:prefix": request.arguments["prefix"]} if request.service == "s3" and "prefix" in request.arguments else {}


@functools.lru_cache(maxsize=512)
def _statements(document: str | Any) -> list[dict[str, Any]]:
    statements = json.loads(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _covers(statement: Mapping[str, Any], permission: str, resource: str, facts: Mapping[str, str]) -> bool:
    actions = _list(statement.get("Action", ()))
    named = any(fnmatchcase(permission.lower(), action.lower()) for action in actions) if "Action" in statement else False
    about = any(_like(resource, pattern) for pattern in _list(statement.get("Resource", ())))
    return named and about and all(_holds(operator, test, facts) for operator, test in statement.get("Condition", {}).items())


def _holds(operator: str, test: Mapping[str, Any], facts: Mapping[str, str]) -> bool:
    if operator not in _OPERATORS:
        # an Allow under a condition that is not understood allows nothing
        return False
    for key, wanted in test.items():
        fact = facts.get(key)
        met = fact is not None and any(_like(fact, str(each)) if operator.endswith("Like") else fact == each for each in _list(wanted))
        if met == operator.startswith("StringNot"):
            return False
    return True


def _like(value: str, pattern: str) -> bool:
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _denied(service: str, arn: str, permission: str, resource: str) -> Refused:
    why = f"User: {arn} is not authorized to perform: {permission} on resource: {resource} because no identity-based policy allows the {permission} action"
    if service == "ec2":
        return Refused(
            "UnauthorizedOperation", f"You are not authorized to perform this operation. {why}. Encoded authorization failure message: bGFib3JhdG9yeQ", 403
        )
    if service in ("s3", "iam", "sts", "sqs"):
        return Refused("AccessDenied", why, 403)
    return Refused("AccessDeniedException", why)
