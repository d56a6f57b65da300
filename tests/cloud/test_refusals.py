"""What cannot be launched is refused in one sentence that names it, and nothing is launched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spawn.testing.ec2lab.plan import SignedIn
from tests.cloud.account import Account, account

NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def refused(user: Account, *words: str, code: int, says: tuple[str, ...], **environment: str) -> None:
    """Launch, and see that it was refused with an exit code and in one sentence with these words, and that nothing was launched."""
    before = len(user.lab.lives())
    done = user("launch", "--array", "3", "--ttl", "10m", "--yes", *words, "--", "true", code=code, **environment)
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    missing = [word for word in says if word not in sentence]
    assert not missing, sentence
    assert done.out == ""
    assert len(user.lab.lives()) == before
    # a dry run asks EC2 whether it would launch, and launches nothing
    assert all(call.code for call in user.lab.calls.of("RunInstances"))


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    """Someone in whose account nothing is ever launched."""
    with account() as one:
        yield one


def test_without_credentials(user: Account) -> None:
    refused(user, code=3, says=("credentials", "aws configure"), **NOBODY)


@pytest.mark.parametrize(("state", "says"), [("expired", ("expired", "renew")), ("unknown", ("does not accept these credentials",))])
def test_with_credentials_that_are_not_taken(user: Account, state: SignedIn, says: tuple[str, ...]) -> None:
    user.lab.sign_in(state)
    try:
        refused(user, code=3, says=says)
    finally:
        user.lab.sign_in("valid")


def test_without_the_permission_to_launch_which_is_named(user: Account) -> None:
    user.lab.forbid("ec2:RunInstances")
    try:
        refused(user, code=3, says=("ec2:RunInstances on arn:aws:ec2:us-east-1:", "docs/ec2.md"))
    finally:
        user.lab.forbid()


def test_a_permission_that_is_missed_when_the_launch_is_prepared_is_named_by_its_status(user: Account) -> None:
    user.lab.forbid("iam:CreateRole", "iam:SimulatePrincipalPolicy")
    try:
        array = user.launch("--array", "3", "--ttl", "10m", "--", "true")
        user.until_told(array, "iam:CreateRole on ")
        user("terminate", array, "--yes")
        user.settled(array)
    finally:
        user.lab.forbid()
    assert not user.lab.lives()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--instance-type", "t3.gigantic"], 2, ("t3.gigantic",)),
        (["--ami", "ami-0123456789abcdef0"], 4, ("ami-0123456789abcdef0",)),
        (["--region", "mars-north-1"], 2, ("mars-north-1",)),
        (["--instance-type", "t4g.micro", "--ami", "ami-blender"], 2, ("ami-blender", "x86_64", "arm64")),
        (["--spot", "--spot-max-price", "0.0001"], 2, ("0.0001", "--spot-max-price")),
        ([word for number in range(60) for word in ("--tag", f"key{number}=value")], 2, ("50",)),
        (["--name", "n" * 300], 2, ("--name",)),
        (["--budget", "0.001"], 2, ("--budget",)),
        (["--iam-policy", "s3:Everything"], 2, ("--iam-policy", "Everything")),
        (["--subnet-id", "subnet-0123456789abcdef0"], 4, ("subnet-0123456789abcdef0",)),
        (["--key-name", "nobodys"], 4, ("nobodys",)),
    ],
    ids=["type", "image", "region", "architecture", "price", "tags", "name", "budget", "policy", "subnet", "key"],
)
def test_what_cannot_be_meant(user: Account, words: list[str], code: int, says: tuple[str, ...]) -> None:
    refused(user, *words, code=code, says=says)
