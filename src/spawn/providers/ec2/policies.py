"""`--iam-policy`: what a user lets the instances of an array do beyond their own work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from spawn.domain.errors import InvalidField

FIELD: Final = "--iam-policy"

_READ: Final = {
    "cloudwatch": "Get* List* Describe*",
    "dynamodb": "BatchGetItem ConditionCheckItem Describe* GetItem GetRecords List* PartiQLSelect Query Scan",
    "ec2": "Describe* Get*",
    "ecr": "BatchCheckLayerAvailability BatchGet* Describe* Get* List*",
    "kinesis": "Describe* Get* List*",
    "lambda": "Get* List*",
    "logs": "Describe* FilterLogEvents Get* List* StartQuery StopQuery",
    "s3": "Get* List*",
    "secretsmanager": "DescribeSecret GetSecretValue List*",
    "sns": "Get* List*",
    "sqs": "Get* List* ReceiveMessage",
    "ssm": "Describe* Get* List*",
    "states": "Describe* Get* List*",
}
_WRITE: Final = {
    "cloudwatch": "PutMetricData",
    "dynamodb": "BatchWriteItem DeleteItem PartiQLDelete PartiQLInsert PartiQLUpdate PutItem UpdateItem",
    "ec2": "CreateTags DeleteTags",
    "ecr": "CompleteLayerUpload InitiateLayerUpload PutImage UploadLayerPart",
    "kinesis": "PutRecord PutRecords",
    "lambda": "InvokeFunction",
    "logs": "CreateLogGroup CreateLogStream PutLogEvents",
    "s3": "AbortMultipartUpload DeleteObject* PutObject* RestoreObject",
    "secretsmanager": "PutSecretValue UpdateSecret",
    "sns": "Publish",
    "sqs": "ChangeMessageVisibility DeleteMessage SendMessage",
    "ssm": "PutParameter",
    "states": "SendTaskFailure SendTaskHeartbeat SendTaskSuccess StartExecution",
}
LEVELS: Final = ("FullAccess", "ReadOnly", "ReadWrite")
SERVICES: Final = tuple(sorted(_READ))

_POLICY_ARN = re.compile(r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[\w+=,.@/-]{1,512}")
_OPENED: Final = {
    "ec2": "launch, stop and terminate any instance of this account",
    "s3": "read, overwrite and delete every object of every bucket of this account",
    "dynamodb": "read, overwrite and delete every table of this account",
    "secretsmanager": "read, change and delete every secret of this account",
    "lambda": "call, change and delete every function of this account",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What was asked for, in IAM's terms."""

    statements: tuple[dict[str, Any], ...] = ()
    arns: tuple[str, ...] = ()  #: managed policies to attach
    warnings: tuple[str, ...] = ()  #: sentences that name what is opened


def parse_policies(asked: Sequence[str]) -> Grants:
    """Read `service:Level` (FullAccess, ReadOnly, ReadWrite) and ARNs of managed policies; InvalidField names what is known.

    `ReadOnly` is what reads and lists, `ReadWrite` also what changes data, but nothing that makes or removes buckets, tables or queues;
    both on every resource of the service, and `FullAccess` every action of it.
    """
    statements: list[dict[str, Any]] = []
    arns: list[str] = []
    warnings: list[str] = []
    for text in dict.fromkeys(text.strip() for text in asked):
        if text.startswith("arn:"):
            if not _POLICY_ARN.fullmatch(text):
                raise InvalidField(FIELD, f"'{text[:120]}' is not the ARN of a managed policy, such as arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
            arns.append(text)
            warnings += [f"{FIELD} {text}: the scripts may do all that an administrator may"] if text.endswith("/AdministratorAccess") else []
            continue
        service, level = _parsed(text)
        if level == "FullAccess":
            opened = _OPENED.get(service, f"do everything that {service} can do in this account")
            warnings.append(f"{FIELD} {text}: the scripts may {opened}; ReadOnly and ReadWrite allow less")
        statements.append(_statement(service, level))
    return Grants(statements=tuple(statements), arns=tuple(arns), warnings=tuple(warnings))


def _parsed(text: str) -> tuple[str, str]:
    service, colon, level = text.partition(":")
    known = {name.lower(): name for name in LEVELS}
    example = "write SERVICE:LEVEL, such as s3:ReadOnly, or the ARN of a managed policy"
    if not colon or not service or not level:
        raise InvalidField(FIELD, f"'{text[:60]}' is no policy: {example}")
    if service.lower() not in _READ:
        near = get_close_matches(service.lower(), SERVICES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InvalidField(
            FIELD, f"'{service[:60]}' is not a service that is known here: {hint}There are {', '.join(SERVICES)}; for others give the ARN of a managed policy"
        )
    if level.lower() not in known:
        raise InvalidField(FIELD, f"'{level[:60]}' is not a level: use one of {', '.join(f'{service}:{name}' for name in LEVELS)}")
    return service.lower(), known[level.lower()]


def _statement(service: str, level: str) -> dict[str, Any]:
    words = "*" if level == "FullAccess" else _READ[service] + (" " + _WRITE[service] if level == "ReadWrite" else "")
    return {"Effect": "Allow", "Action": [f"{service}:{word}" for word in words.split()], "Resource": "*"}
