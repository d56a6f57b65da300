"""Jobs of definitions by `ecsProperties`: the essential container of a task is run, and its overrides are those of the task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.serving import Scripted
from tests.aws.submissions import container, refusal, register, submit


@pytest.fixture
def served(scripted: Scripted) -> Scripted:
    """With the definition `work:1`."""
    register(scripted)
    return scripted


SIDE = {"name": "side", "image": "s", "essential": False, "command": ["side"]}
MAIN = {
    "name": "main",
    "image": "m",
    "command": ["work"],
    "environment": [{"name": "A", "value": "1"}],
    "resourceRequirements": [{"type": "VCPU", "value": "0.25"}],
    "user": "me",
}
TASK = {"containers": [SIDE, MAIN], "taskRoleArn": "role", "executionRoleArn": "execution", "platformVersion": "1.4.0"}


@pytest.mark.parametrize("containers", [[MAIN], [SIDE, MAIN], [{name: value for name, value in MAIN.items() if name != "name"}]])
def test_a_task_with_one_essential_container_runs_as_that_container(served: Scripted, containers: list[dict[str, Any]]) -> None:
    register(served, "task", ecsProperties={"taskProperties": [{**TASK, "containers": containers}]})
    name = {"name": "main"} if "name" in containers[-1] else {}
    change = {"command": ["other"], "environment": [{"name": "B", "value": "2"}], "resourceRequirements": [{"type": "MEMORY", "value": "32"}]}
    job = submit(served, jobDefinition="task", ecsPropertiesOverride={"taskProperties": [{"containers": [{**name, **change}]}]})
    assert (job.work.command, job.demand.cpus, job.demand.memory) == (("other",), 250, 32)
    expected = {
        "image": "m",
        "command": ["other"],
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
        "user": "me",
    }
    assert {member: container(job)[member] for member in expected} == expected
    assert (container(job)["jobRoleArn"], container(job)["executionRoleArn"]) == ("role", "execution")
    assert job.batch is not None
    (task,) = job.batch.shown["ecsProperties"]["taskProperties"]  # type: ignore[index]
    assert task["containers"] == [*containers[:-1], {**containers[-1], **expected}]


def test_overrides_of_the_wrong_kind_or_container_are_refused(served: Scripted) -> None:
    register(served, "task", ecsProperties={"taskProperties": [TASK]})
    override = {"taskProperties": [{"containers": [{"name": "third", "command": ["x"]}]}]}
    assert "no container 'third'" in refusal(served, jobDefinition="task", ecsPropertiesOverride=override)
    assert "give ecsPropertiesOverride" in refusal(served, jobDefinition="task", containerOverrides={"command": ["x"]})
    assert "2 tasks" in refusal(served, jobDefinition="task", ecsPropertiesOverride={"taskProperties": [{}, {}]})
    assert submit(served, jobDefinition="task", containerOverrides={}, ecsPropertiesOverride={}).work.command == ("work",)
