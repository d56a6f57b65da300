"""What `spawn doctor` finds out about EC2."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from spawn.providers.ec2.examining import findings
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import LabPlan


def by_check(lab: Lab, *, leftovers: bool = False) -> dict[str, tuple[str, str]]:
    return {check: (result, found) for result, check, found in findings(lab.environment(), leftovers=leftovers)}


def test_an_account_where_all_is_well_says_so() -> None:
    with Lab() as lab:
        found = by_check(lab)
        assert {check: result for check, (result, _) in found.items()} == dict.fromkeys(
            ("agent for EC2", "AWS account", "EC2 rights", "EC2 bucket", "EC2 quota"), "ok"
        )
        assert found["AWS account"][1].startswith(lab.account)
        assert found["EC2 bucket"][1] == f"spawn-{lab.account}-us-east-1 is not there yet: the first launch makes it"
        assert lab.lives() == []


def test_what_is_not_allowed_is_named() -> None:
    with Lab(LabPlan(forbidden=("ec2:RunInstances", "iam:ListRoles"))) as lab:
        assert by_check(lab)["EC2 rights"] == (
            "warn",
            "not allowed: ec2:RunInstances, iam:ListRoles; docs/ec2.md has a policy that allows what spawn needs",
        )


def test_what_is_not_allowed_of_iam_is_named_too() -> None:
    with Lab(LabPlan(forbidden=("iam:PassRole",))) as lab:
        result, found = by_check(lab)["EC2 rights"]
        assert (result, "may not call iam:PassRole on" in found) == ("warn", True)


def test_expired_credentials_are_said_and_nothing_more_is_asked() -> None:
    with Lab(LabPlan(signed_in="expired")) as lab:
        found = by_check(lab, leftovers=True)
        assert set(found) == {"agent for EC2", "AWS account"}
        assert "expired" in found["AWS account"][1]


def test_the_program_says_the_same_one_finding_a_line() -> None:
    with Lab() as lab:
        environment = {**os.environ, **lab.environment()}
        done = subprocess.run(
            [sys.executable, "-m", "spawn.providers.ec2.examining", "--without-leftovers"], capture_output=True, text=True, env=environment, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)[1] for line in done.stdout.splitlines()] == list(by_check(lab))
        assert lab.environment()["AWS_SECRET_ACCESS_KEY"] not in done.stdout
