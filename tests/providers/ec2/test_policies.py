"""`--iam-policy`, in the tutorial's form."""

from __future__ import annotations

import pytest

from spawn.domain.errors import InvalidField
from spawn.providers.ec2.policies import LEVELS, SERVICES, parse_policies


def test_full_access_opens_a_service_and_says_so() -> None:
    grants = parse_policies(["s3:FullAccess"])
    assert grants.statements == ({"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"},)
    (warning,) = grants.warnings
    assert warning.startswith("--iam-policy s3:FullAccess: the scripts may read, overwrite and delete every object of every bucket of this account")


def test_reading_changes_nothing_in_any_service() -> None:
    for service in SERVICES:
        (statement,) = parse_policies([f"{service}:ReadOnly"]).statements
        words = [action.partition(":")[2] for action in statement["Action"]]
        assert not [word for word in words if word.startswith(("Put", "Delete", "Create", "Update", "Send", "Publish", "Terminate", "Run"))]
        assert {action.partition(":")[0] for action in statement["Action"]} == {service}


@pytest.mark.parametrize("service", SERVICES)
def test_each_level_allows_what_the_one_below_does(service: str) -> None:
    read, write = (set(parse_policies([f"{service}:{level}"]).statements[0]["Action"]) for level in ("ReadOnly", "ReadWrite"))
    assert read < write
    assert f"{service}:*" not in write


def test_arns_are_attached_as_they_are_and_each_once() -> None:
    arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    grants = parse_policies([arn, "s3:readonly", arn, "S3:ReadOnly"])
    assert grants.arns == (arn,)
    assert grants.warnings == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("s3", "'s3' is no policy: write SERVICE:LEVEL, such as s3:ReadOnly, or the ARN of a managed policy"),
        ("s4:ReadOnly", "'s4' is not a service that is known here: did you mean s"),
        ("iam:FullAccess", "for others give the ARN of a managed policy"),
        ("s3:Everything", f"'Everything' is not a level: use one of {', '.join(f's3:{level}' for level in LEVELS)}"),
        ("arn:aws:s3:::bucket", "is not the ARN of a managed policy"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(text: str, part: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_policies([text])
    assert part in str(caught.value)
