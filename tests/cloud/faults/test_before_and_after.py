"""What is made for an array before its first instance, and removed after its last one, when calls fail in between."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from spawn.domain.fleets import Distribution
from spawn.engine import commands
from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.cloud.faults.checking import check
from tests.cloud.faults.world import World, world

POOL = {"instances": 1, "distribute": Distribution.DYNAMIC}


def launched_and_ended(it: World, fault: Fault, fleet: dict[str, object]) -> None:
    """Launch an array under a fault, and end it before anything of it could be launched."""
    it.lab.add_fault(fault)
    job = it.launch(2, fleet=fleet)
    it.at(20, partial(commands.terminate, job=job.id, positions=None, reason="its user ended it", grace_s=None, dry_run=False))
    it.run()
    assert it.lab.lives() == []


@pytest.mark.parametrize("kind", [FaultKind.DENIED, FaultKind.LOST_ANSWER])
@pytest.mark.parametrize("action", ["PutRolePolicy", "CreateInstanceProfile", "AddRoleToInstanceProfile", "CreateQueue"])
def test_what_was_made_in_part_goes_with_its_array(tmp_path: Path, kind: FaultKind, action: str) -> None:
    with world(tmp_path) as it:
        launched_and_ended(it, Fault(kind=kind, action=action, until_s=60), POOL if action == "CreateQueue" else {})
        check(it)


def test_a_round_waits_for_nobody_and_makes_each_call_once(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.lab.add_fault(Fault(kind=FaultKind.THROTTLED, service="iam", action="CreateRole", times=3))
        job = it.launch(1)
        it.round()
        assert it.lab.calls.count("CreateRole") == 1
        it.run()
        assert it.lab.calls.count("CreateRole") == 4
        assert it.array(job).status_of(0).name == "SUCCEEDED"


def test_an_end_whose_answers_are_lost_is_made_again_and_finds_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        for action in ("RemoveRoleFromInstanceProfile", "DeleteInstanceProfile", "DeleteRolePolicy", "DeleteRole", "DeleteQueue"):
            it.lab.add_fault(Fault(kind=FaultKind.LOST_ANSWER, action=action, times=1))
        it.launch(1, fleet=POOL)
        it.run()
        check(it)
