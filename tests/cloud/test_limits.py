"""What an account, a region and a market leave room for, what instances may do, and what it all costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.cloud.account import PLAN, Account, account

ON_DEMAND = "L-1216C47A"
TIGHT = msgspec.structs.replace(
    PLAN,
    quotas={f"us-east-1/{ON_DEMAND}": 4.0},
    spot_capacity={"*/*": 0},
    capacity={"eu-west-1a/*": 1, "eu-west-1b/*": 0, "eu-west-1c/*": 0},
)
THROTTLED = Fault(kind=FaultKind.THROTTLED, service="ec2", action="RunInstances")
NOT_YET = Fault(kind=FaultKind.DENIED, service="s3", action="GetObject", key="arrays/*/launch/*", times=2)
"""What a role that was made a moment ago may do is not known everywhere yet."""


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    """Someone with a small quota and no spot capacity."""
    with account(TIGHT) as one:
        yield one


RIGHTS = """#!/bin/bash
echo mine > mine.txt
if aws s3 cp mine.txt s3://BUCKET/arrays/another/0/1/outcome.json; then echo another: written; else echo another: refused; fi
if aws s3 cp mine.txt s3://other/mine.txt; then echo other: written; else echo other: refused; fi
"""
LARGE = f"""#!/bin/bash
: {" ".join(str(number * number) for number in range(9000))}
echo $AWS_REGION $GREETING
"""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Arrays that run at the same time."""

    waves: str
    own: str
    full: str
    waiting: str
    falling_back: str
    spread: str


@pytest.fixture(scope="module")
def arrays(user: Account) -> Arrays:
    """One launch for each limit."""
    ends = ["--ttl", "1h", "--on-complete", "terminate"]
    user.lab.add_fault(THROTTLED)
    waves = user.launch("--array", "5", *ends, "--", "sleep", "3")
    user.until_told(waves, "throttled")
    user.lab.clear_faults()
    user.until_told(waves, "quota")
    user.lab.add_fault(NOT_YET)
    user.client("s3").create_bucket(Bucket="other")
    rights = [*ends, "--region", "us-west-2", "--user-data", RIGHTS.replace("BUCKET", user.bucket)]
    return Arrays(
        waves=waves,
        own=user.launch("--array", "1", *rights),
        full=user.launch("--array", "1", "--iam-policy", "s3:FullAccess", *rights),
        waiting=user.launch("--array", "1", "--spot", "--region", "us-west-2", *ends, "--", "true"),
        falling_back=user.launch("--array", "1", "--spot", "--on-demand-fallback", "--region", "us-west-2", *ends, "--", "true"),
        spread=user.launch("--array", "3", "--region", "eu-west-1,us-west-2", *ends, "--env", "GREETING=hello", "--user-data", LARGE),
    )


def test_spot_without_capacity_waits_or_falls_back_to_on_demand_and_says_so(user: Account, arrays: Arrays) -> None:
    user.until_told(arrays.waiting, "capacity")
    user.settled(arrays.falling_back)
    (member,) = user.members(arrays.falling_back)
    assert (member["status"], member["instance"]["market"]) == ("SUCCEEDED", "on-demand")
    user("terminate", arrays.waiting, "--yes")
    user.settled(arrays.waiting)


def test_an_array_goes_on_in_another_region_with_a_script_larger_than_user_data_and_variables_that_its_role_reads_when_it_may(
    user: Account, arrays: Arrays
) -> None:
    user.settled(arrays.spread)
    refused = [call for call in user.lab.calls.of("GetObject", code="AccessDenied") if "/launch/" in call.resource]
    assert [arrays.spread in call.resource and call.caller.startswith("spawn-") for call in refused] == [True, True]
    told = {(user("logs", f"{arrays.spread}:{member['index']}").out.strip(), member["instance"]["region"]) for member in user.members(arrays.spread)}
    assert told == {("eu-west-1 hello", "eu-west-1"), ("us-west-2 hello", "us-west-2")}


@pytest.mark.parametrize(("policy", "may"), [("own", "refused"), ("full", "written")])
def test_instances_may_write_below_their_own_prefix_and_where_a_policy_lets_them(user: Account, arrays: Arrays, policy: str, may: str) -> None:
    array: str = getattr(arrays, policy)
    user.settled(array)
    said = user("logs", array).lines
    assert f"another: {may}" in said
    assert f"other: {may}" in said


def test_what_is_over_the_quota_follows_in_waves_and_costs_what_ec2_charges(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.waves)
    assert user.status(arrays.waves)["status"] == "SUCCEEDED"
    assert not user.lab.calls.count("RunInstances", code="VcpuLimitExceeded")
    costs_what_it_took(user, arrays.waves)


def costs_what_it_took(user: Account, array: str) -> None:
    """Compare `spawn cost` with EC2's books."""
    user.gone(array)
    lives = user.lives(array)
    found = user("cost", array, "-o", "json").json
    # EC2 charges a minute at least
    owed = sum(max(60.0, (life.ended_at or 0) - life.launched_at) * life.charges[0].price / 3600 for life in lives)
    assert found["instances"] == len(lives)
    assert found["usd"] - found["volume_usd"] - found["address_usd"] == pytest.approx(owed, rel=0.05)
    for kind in ("index", "day", "type"):
        parts = [json.loads(line) for line in user("cost", array, "--by", kind, "-o", "jsonl").lines]
        assert sum(part["usd"] for part in parts) == pytest.approx(found["usd"], rel=0.01)
