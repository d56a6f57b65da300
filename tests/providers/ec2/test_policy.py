"""The policy of docs/ec2.md allows what the code calls, and nothing that it does not."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from botocore import xform_name
from botocore.session import Session

ROOT = Path(__file__).parents[3]
SOURCES = [*(ROOT / "src/spawn/providers/ec2").glob("*.py"), ROOT / "src/spawn/cli/aws.py"]
SERVICES = ("ec2", "s3", "iam", "sqs", "sts", "ssm", "service-quotas", "pricing", "ec2-instance-connect")

OTHERWISE = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
}
"""Calls whose permission has another name (Service Authorization Reference)."""

BESIDES = {
    "iam:PassRole": "RunInstances with an instance profile",
    "iam:TagRole": "CreateRole with tags",
    "iam:TagInstanceProfile": "CreateInstanceProfile with tags",
    "iam:CreateServiceLinkedRole": "the first spot instance of an account",
    "s3:PutBucketOwnershipControls": "CreateBucket with ObjectOwnership",
    "sqs:TagQueue": "CreateQueue with tags",
    "ssm:GetParameters": "RunInstances with an image named by a parameter",
}
"""Permissions that a call needs beside its own."""


@cache
def operations() -> dict[str, set[str]]:
    """By the name of a client's method, the permissions it may stand for."""
    found: dict[str, set[str]] = {}
    session = Session()
    for service in SERVICES:
        for operation in session.get_service_model(service).operation_names:
            action = f"{service.replace('service-quotas', 'servicequotas')}:{operation}"
            found.setdefault(xform_name(operation), set()).add(OTHERWISE.get(action, action))
    return found


def called() -> Iterator[tuple[str, set[str]]]:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in operations():
                yield f"{source.name}:{node.lineno} {node.attr}", operations()[node.attr]


def allowed() -> set[str]:
    (block,) = re.findall(r"<!-- policy:.*?-->\n```json\n(.*?)```", (ROOT / "docs/ec2.md").read_text(), re.DOTALL)
    policy = json.loads(block)
    assert len({statement["Sid"] for statement in policy["Statement"]}) == len(policy["Statement"])
    assert len(json.dumps(policy, separators=(",", ":"))) <= 6144, "IAM takes no larger managed policy"
    return {action for s in policy["Statement"] for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}


def test_every_call_is_allowed() -> None:
    policy = allowed()
    assert [where for where, actions in called() if not actions & policy] == []


def test_nothing_is_allowed_that_nobody_calls() -> None:
    needed = set().union(*(actions for _, actions in called())) | set(BESIDES)
    assert allowed() - needed == set()


def test_what_calls_need_besides_is_allowed() -> None:
    assert set(BESIDES) - allowed() == set()
