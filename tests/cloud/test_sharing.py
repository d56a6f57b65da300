"""Few instances that run many indexes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.cloud.account import Account
from tests.system.conftest import eventually

SIZE = 8
ECHOES = ["--", "sh", "-c", "echo $TASK_ARRAY_INDEX > $TASK_OUTPUT_DIR/index; echo $TASK_ARRAY_INDEX"]
FIRST_WAITS = "#!/bin/sh\n[ $TASK_ATTEMPT$TASK_ARRAY_INDEX != 10 ] || while :; do sleep 0.2; done\n"


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Arrays that run at the same time."""

    static: str
    dynamic: str
    losing: str


@pytest.fixture(scope="module")
def arrays(user: Account) -> Arrays:
    """One launch for each way to share, and one of which an instance dies."""
    flags = ["--instances", "2", "--per-instance", "2", "--ttl", "1h", "--on-complete", "terminate", "--distribute"]
    alone = ["--instances", "2", "--per-instance", "1", "--ttl", "1h", "--on-complete", "terminate", "--distribute", "dynamic", "--retries", "1"]
    losing = user.launch("--array", "4", *alone, "--user-data", FIRST_WAITS)
    static = user.launch("--array", str(SIZE), *flags, "static", *ECHOES)
    dynamic = user.launch("--array", str(SIZE), *flags, "dynamic", *ECHOES)
    user.until(f"{losing}:0", lambda member: member["status"] == "RUNNING")
    user.lab.kill(str(user.members(f"{losing}:0")[0]["instance_id"]))
    return Arrays(static=static, dynamic=dynamic, losing=losing)


@pytest.mark.parametrize("way", ["static", "dynamic"])
def test_each_index_has_its_process_log_and_outcome_on_one_of_few_instances(user: Account, arrays: Arrays, way: str) -> None:
    array: str = getattr(arrays, way)
    user.settled(array)
    assert user.status(array)["counts"]["SUCCEEDED"] == SIZE
    user("collect", array, way, "--logs")
    for index in range(SIZE):
        assert (user.shell.cwd / way / f"{index}/index").read_text() == f"{index}\n"
        assert (user.shell.cwd / way / f"logs/{index}.log").read_text() == f"{index}\n"
    user.gone(array)
    assert len(user.lives(array)) == 2


def test_what_a_lost_instance_had_goes_to_another_and_the_queues_go_in_the_end(user: Account, arrays: Arrays) -> None:
    user.settled(arrays.losing)
    assert user.status(arrays.losing)["counts"]["SUCCEEDED"] == 4
    assert [member["attempt"] for member in user.members(arrays.losing)] == [2, 1, 1, 1]
    user.gone(arrays.losing)
    eventually(lambda: not user.client("sqs").list_queues().get("QueueUrls"), within_s=60, every_s=0.3)
