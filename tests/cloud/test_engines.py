"""Arrays outlive the engine that launched them, the laptop's sleep, and the laptop."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawn.domain.fleets import ACCESS
from spawn.domain.instants import Instant
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.sweeping import sweep
from tests.cloud.account import Account, account
from tests.system.conftest import end_holder, eventually

FIRST_FAILS = "#!/bin/bash\necho index $TASK_ARRAY_INDEX attempt $TASK_ATTEMPT\n[ $TASK_ATTEMPT$TASK_ARRAY_INDEX != 11 ]\n"


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    """Someone whose account has nothing but what is launched here."""
    with account() as one:
        yield one


@pytest.fixture(scope="module")
def slept(user: Account) -> str:
    """An array whose engine was killed right after the launch, followed by one that was killed when EC2 had been asked; nobody saw the array run and end."""
    array = user.launch("--array", "2", "--ttl", "1h", "--on-complete", "terminate", "--user-data", FIRST_FAILS)
    user.kill_engine()
    user("status", array)
    eventually(lambda: len(user.lives(array)) == 2, within_s=60, every_s=0.05)
    user.kill_engine()
    user.gone(array)
    return array


def test_what_ran_while_the_laptop_was_asleep_is_known_when_it_wakes(user: Account, slept: str) -> None:
    user.settled(slept)
    assert [(member["status"], member["exit_code"], member["attempt"]) for member in user.members(slept)] == [("SUCCEEDED", 0, 1), ("FAILED", 1, 1)]
    assert [user("logs", f"{slept}:{index}").out for index in range(2)] == [f"index {index} attempt 1\n" for index in range(2)]
    assert len(user.lives(slept)) == 2
    user.until(slept, lambda member: member["state"] == "terminated")


def test_a_killed_engine_is_followed_by_one_that_goes_on_with_what_runs(user: Account) -> None:
    array = user.launch("--array", "1", "--ttl", "1h", "--on-complete", "terminate", "--", "sleep", "6")
    user.until(array, lambda member: member["status"] == "RUNNING")
    user.kill_engine()
    user.settled(array)
    assert [(member["status"], member["attempt"]) for member in user.members(array)] == [("SUCCEEDED", 1)]
    assert len(user.lives(array)) == 1


def test_an_array_is_taken_over_and_finished_from_another_machine(user: Account, slept: str) -> None:
    elsewhere = {"SPAWN_STATE_DIR": str(user.shell.home / "elsewhere")}
    user("adopt", slept, **elsewhere)
    assert user("status", slept, "-o", "json", code=None, **elsewhere).json["counts"]["FAILED"] == 1
    assert user("logs", f"{slept}:1", **elsewhere).out == "index 1 attempt 1\n"
    user("retry", slept, "@failed", **elsewhere)
    user("wait", slept, **elsewhere)
    assert user("status", slept, "-o", "json", **elsewhere).json["status"] == "SUCCEEDED"
    assert user("logs", f"{slept}:1", **elsewhere).out == "index 1 attempt 2\n"
    user.gone(slept)
    assert len(user.lives(slept)) == 3


def test_what_nobody_remembers_is_left_alone_in_its_time_and_found_and_removed_after_it(user: Account) -> None:
    nowhere = {"SPAWN_STATE_DIR": str(user.shell.home / "lost")}
    flags = ["--array", "2", "--instances", "1", "--distribute", "dynamic", "--ttl", "1h", "--on-complete", "none"]
    array = user("launch", "-q", "--yes", *flags, "--", "true", **nowhere).out.strip()
    eventually(lambda: len(user.objects(user.bucket, f"arrays/{array}/1/1/outcome.json")), within_s=60, every_s=0.3)
    user.shell.kill(int(user("engine", "status", "-o", "json", **nowhere).json["pid"]))
    end_holder(Path(nowhere["SPAWN_STATE_DIR"]) / "runner" / "runner.lock")
    shutil.rmtree(nowhere["SPAWN_STATE_DIR"])
    assert user("cleanup", "--dry-run").lines == []
    clients = Clients({name: user.shell.environment[name] for name in ACCESS if name in user.shell.environment})
    later_on = Instant(round((time.time() + 100 * 86_400) * 1000))
    done = sweep(clients, regions=(), live=[], remove=True, at=later_on, pause=threading.Event().wait)
    removed = {one.kind for one in done.leftovers if one.removed and one.array == array}
    assert removed == {"instance", "instance-profile", "role", "queue", "objects"}
    assert any(one.kind == "security-group" and one.removed for one in done.leftovers)
    assert not [one for one in done.leftovers if one.error]
    user.gone(array)
    assert not user.client("sqs").list_queues().get("QueueUrls")
    assert not user.client("iam").list_roles(PathPrefix="/spawn/")["Roles"]
    assert not user.client("iam").list_instance_profiles(PathPrefix="/spawn/")["InstanceProfiles"]
    assert not user.objects(user.bucket, "arrays/")
