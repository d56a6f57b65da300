"""What users do with instances while they live, and how instances end by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.cloud.account import Account

STAYS = """#!/bin/bash
echo hello from $TASK_ARRAY_INDEX
echo result $TASK_ARRAY_INDEX > $TASK_OUTPUT_DIR/result.txt
echo $((TASK_ARRAY_INDEX * 2)) > /tmp/result.txt
"""
WAITS = "#!/bin/bash\necho begun\nwhile :; do sleep 0.2; done\n"


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Arrays that run at the same time."""

    kept: str
    idle: str
    expiring: str
    stopping: str
    hibernating: str


@pytest.fixture(scope="module")
def arrays(user: Account) -> Arrays:
    """One launch for each of the ways in which instances live on or end."""
    return Arrays(
        expiring=user.launch("--array", "1", "--ttl", "20s", "--grace", "1s", "--on-complete", "terminate", "--user-data", WAITS),
        kept=user.launch("--array", "2", "--ttl", "1h", "--on-complete", "none", "--tag", "kind=kept", "--user-data", STAYS),
        idle=user.launch("--array", "1", "--ttl", "1h", "--on-complete", "none", "--idle-timeout", "2s", "--", "true"),
        stopping=user.launch("--array", "1", "--ttl", "1h", "--on-complete", "stop", "--", "true"),
        hibernating=user.launch("--array", "1", "--ttl", "1h", "--on-complete", "hibernate", "--instance-type", "m5.large", "--", "true"),
    )


def test_a_shell_on_an_instance_has_the_environment_of_its_task(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.kept)
    told = user("connect", f"{arrays.kept}:1", "--", "sh", "-c", "echo $TASK_ARRAY_INDEX $TASK_ARRAY_SIZE; cat /tmp/result.txt; exit 3", code=3).out
    assert told.split() == ["1", "2", "2"]


def test_members_are_listed_while_their_instances_live(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.kept)
    members = user.members(arrays.kept)
    assert [(member["status"], member["state"]) for member in members] == [("SUCCEEDED", "running")] * 2
    assert {member["instance_id"] for member in members} == {life.instance_id for life in user.lives(arrays.kept)}
    assert user("list", "--tag", "kind=kept", "--state", "running", "-q").lines == user("list", "--array", arrays.kept, "-q").lines


def test_the_end_of_instances_is_moved_and_they_confirm_it(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.kept)
    done = user("extend", arrays.kept, "3h")
    assert f"{arrays.kept}: 2 of 2 confirmed by their instances" in done.err


def test_instances_are_stopped_and_started_again(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.kept)
    user("stop", f"{arrays.kept}:1", "--yes")
    user.until(f"{arrays.kept}:1", lambda member: member["state"] == "stopped")
    user("start", f"{arrays.kept}:1")
    user.until(arrays.kept, lambda member: member["state"] == "running")
    assert [member["attempt"] for member in user.members(arrays.kept)] == [1, 1]


def test_logs_and_outputs_outlive_the_instances(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.kept)
    user("terminate", arrays.kept, "--yes")
    user.gone(arrays.kept)
    assert "hello from 1" in user("logs", f"{arrays.kept}:1").out
    user("collect", arrays.kept, "results")
    assert [(user.shell.cwd / f"results/{index}/result.txt").read_text() for index in range(2)] == ["result 0\n", "result 1\n"]


def test_an_idle_instance_ends(user: Account, arrays: Arrays) -> None:
    user.gone(arrays.idle)
    assert user.status(arrays.idle)["status"] == "SUCCEEDED"


def test_a_script_is_ended_in_time_for_its_record_and_its_log(user: Account, arrays: Arrays) -> None:
    user.gone(arrays.expiring)
    user.settled(arrays.expiring)
    (member,) = user.members(arrays.expiring)
    assert (member["status"], member["lost"]) == ("FAILED", False)
    assert "TTL" in member["status_reason"]
    assert user("logs", arrays.expiring).out == "begun\n"


def test_an_instance_that_is_to_stop_keeps_its_disk_and_can_be_started(user: Account, arrays: Arrays) -> None:
    user.until(arrays.stopping, lambda member: member["state"] == "stopped")
    user.until(arrays.hibernating, lambda member: member["state"] == "stopped")
    user("start", arrays.stopping)
    user.until(arrays.stopping, lambda member: member["state"] == "running")
    for array in (arrays.stopping, arrays.hibernating):
        assert user.status(array)["status"] == "SUCCEEDED"
        user("terminate", array, "--yes")
        user.gone(array)
