"""What becomes of indexes whose script fails, whose instance dies, or whose instance cannot say how they went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.cloud.account import Account, account

FIRST_TIME = """#!/bin/bash
echo attempt $TASK_ATTEMPT
[ $TASK_ATTEMPT = 1 ] || exit 0
[ $TASK_ARRAY_INDEX != 1 ] || exit 9
[ $TASK_ARRAY_INDEX != 0 ] || while :; do sleep 0.2; done
"""
TOLD = """#!/bin/bash
trap 'cat $SPAWN_INTERRUPTION_FILE; exit 0' TERM
[ $TASK_ATTEMPT = 1 ] || exit 0
while :; do sleep 0.2; done
"""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Arrays that run at the same time."""

    losing: str
    taken: str
    refused: str
    silent: str


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    """Someone on whose machines `shutdown +N` takes N half seconds."""
    with account(minute_s=0.5) as one:
        yield one


@pytest.fixture(scope="module")
def arrays(user: Account) -> Arrays:
    """One launch for each misfortune."""
    flags = ["--ttl", "20h", "--on-complete", "terminate"]
    losing = user.launch("--array", "3", *flags, "--user-data", FIRST_TIME)
    taken = user.launch("--array", "1", "--spot", *flags, "--user-data", TOLD)
    user.until(f"{losing}:0", lambda member: member["status"] == "RUNNING")
    user.until(taken, lambda member: member["status"] == "RUNNING")
    user.lab.kill(str(user.members(f"{losing}:0")[0]["instance_id"]))
    user.lab.interrupt(str(user.members(taken)[0]["instance_id"]))
    user.until(taken, lambda member: (member["attempt"], member["status"]) == (2, "SUCCEEDED"))
    user.lab.add_fault(Fault(kind=FaultKind.DENIED, service="s3", action="GetObject", key="spored/*"))
    silent = user.launch("--array", "1", "--ttl", "8m", "--on-complete", "terminate", "--", "true")
    user.gone(silent)
    user.lab.clear_faults()
    refused = user.launch("--array", "1", *flags, "--", "sleep", "2")
    records = Fault(kind=FaultKind.DENIED, service="s3", action="PutObject", key=f"arrays/{refused}/*/outcome.json")
    user.lab.add_fault(records)
    return Arrays(losing=losing, taken=taken, refused=refused, silent=silent)


def test_records_that_the_bucket_refuses_are_kept_and_the_status_says_so(user: Account, arrays: Arrays) -> None:
    user.until_told(arrays.refused, "s3:PutObject")
    assert user.status(arrays.refused)["status"] != "SUCCEEDED"
    user.lab.clear_faults()
    user.settled(arrays.refused)
    assert user.status(arrays.refused)["status"] == "SUCCEEDED"
    user.gone(arrays.refused)


def test_an_instance_whose_agent_never_starts_ends_at_its_ttl_and_says_that_it_never_checked_in(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.silent)
    assert "never checked in" in user("status", arrays.silent, code=None).out
    assert user.status(arrays.silent)["lost"] == 1


def test_what_the_spot_market_takes_back_is_told_and_starts_again_by_itself(user: Account, arrays: Arrays) -> None:
    (member,) = user.members(arrays.taken)
    assert (member["status"], member["attempt"]) == ("SUCCEEDED", 2)
    assert '"action": "terminate"' in user("logs", arrays.taken, "--attempt", "1").out
    assert len(user.lives(arrays.taken)) == 2


def test_what_was_lost_and_what_failed_are_run_again_each_for_itself(user: Account, arrays: Arrays) -> None:
    array = arrays.losing
    user.settled(array)
    lost, failed, fine = user.members(array)
    assert (lost["status"], lost["lost"], lost["exit_code"]) == ("FAILED", True, None)
    assert str(lost["status_reason"]).startswith(f"Host EC2 (instance {lost['instance_id']}) terminated")
    assert (failed["status"], failed["lost"], failed["exit_code"], fine["status"]) == ("FAILED", False, 9, "SUCCEEDED")
    user("retry", array, "@lost")
    user.until(f"{array}:0", lambda member: member["status"] != "FAILED")
    assert [member["attempt"] for member in user.members(array)] == [2, 1, 1]
    user("retry", array)
    user.settled(array)
    assert user.status(array)["status"] == "SUCCEEDED"
    assert user("logs", f"{array}:1").out == "attempt 2\n"
    assert user("logs", f"{array}:1", "--attempt", "1").out == "attempt 1\n"
    assert len(user.lives(array)) == 5
