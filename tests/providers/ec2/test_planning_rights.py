"""What IAM answers when it is asked for rights, and whom it is asked about."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from spawn.domain.errors import ConfigurationError
from spawn.providers.ec2.clients import Caller
from spawn.providers.ec2.planning_rights import check_rights

USER = "arn:aws:iam::123456789012:user/ada"
CREATE, ROLE = "iam:CreateRole", "arn:aws:iam::123456789012:role/spawn/spawn-plan"


class Iam:
    """Answers as it is told to, for one caller."""

    def __init__(self, arn: str, *results: dict[str, Any], error: str = "") -> None:
        self.arn, self.results, self.error = arn, results, error
        self.asked: list[str] = []

    def caller(self) -> Caller:
        return Caller(account=self.arn.split(":")[4], arn=self.arn, partition=self.arn.split(":")[1])

    def home_region(self) -> str:
        return "us-east-1"

    def client(self, service: str, region: str) -> Any:
        assert (service, region) == ("iam", "us-east-1")
        return self

    def simulate_principal_policy(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked["PolicySourceArn"])
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": "no"}}, "SimulatePrincipalPolicy")
        return {"EvaluationResults": list(self.results)}


def result(decision: str, *, of: str = ROLE, whole: str = "implicitDeny", **more: Any) -> dict[str, Any]:
    each = {"EvalResourceName": of, "EvalResourceDecision": decision, **more}
    return {"EvalActionName": CREATE, "EvalResourceName": ROLE, "EvalDecision": whole, "ResourceSpecificResults": [each]}


@pytest.mark.parametrize(
    ("arn", "source"),
    [
        (USER, USER),
        ("arn:aws-cn:sts::123456789012:assumed-role/builder/session", "arn:aws-cn:iam::123456789012:role/builder"),
        ("arn:aws:iam::123456789012:root", None),
        ("arn:aws:sts::123456789012:federated-user/ada", None),
    ],
)
def test_rights_are_asked_for_by_the_name_that_iam_has_for_the_caller(arn: str, source: str | None) -> None:
    iam = Iam(arn)
    check_rights(iam, attaches=False)  # type: ignore[arg-type]
    assert iam.asked == ([] if source is None else [source])


@pytest.mark.parametrize("decision", ["implicitDeny", "explicitDeny"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_denied_is_refused(decision: str, whole: bool) -> None:
    answer = {"EvalActionName": CREATE, "EvalResourceName": ROLE, "EvalDecision": decision} if whole else result(decision)
    with pytest.raises(ConfigurationError, match="ada may not call iam:CreateRole on"):
        check_rights(Iam(USER, answer), attaches=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        result("implicitDeny", MissingContextValues=["aws:RequestTag/team"]),
        result("implicitDeny", of="arn:aws:iam::123456789012:instance-profile/spawn/spawn-plan"),
        result("allowed"),
        {"EvalActionName": CREATE, "EvalResourceName": "*", "EvalDecision": "implicitDeny"},
    ],
)
def test_what_is_not_certain_is_left_to_the_launch(answer: dict[str, Any]) -> None:
    check_rights(Iam(USER, answer), attaches=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchEntity", "InvalidInput", "Throttling", "ServiceFailure"])
def test_an_iam_that_does_not_tell_keeps_no_plan_from_anything(code: str) -> None:
    check_rights(Iam(USER, error=code), attaches=False)  # type: ignore[arg-type]


def test_credentials_that_have_expired_are_said() -> None:
    with pytest.raises(ConfigurationError, match="have expired"):
        check_rights(Iam(USER, error="ExpiredToken"), attaches=False)  # type: ignore[arg-type]
