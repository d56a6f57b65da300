"""Each fault by itself: what it must not do to an array."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from spawn.domain.fleets import Distribution
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.boot.acts import Act, ActPlan, Life
from spawn.testing.ec2lab.plan import Fate, FateKind, FaultKind
from tests.cloud.faults.checking import check
from tests.cloud.faults.scenario import CALLS, Scenario
from tests.cloud.faults.world import world

SHORT = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=40.0, code=index % 2, log=b"a line\n"))
POOL = {"instances": 2, "distribute": Distribution.DYNAMIC}


def outcomes(scenario: Scenario, directory: Path) -> list[str]:
    """How each child's last attempt ended, by position."""
    it = replace(scenario, direct=True).play(directory)
    last = {row["position"]: row["kind"] for row in it.attempts(it.jobs[0])}
    return [last[position] for position in sorted(last)]


@pytest.mark.parametrize("service", ["ec2", "s3", "sqs", "iam"])
def test_a_call_that_fails_in_any_way_changes_no_outcome(tmp_path: Path, service: str) -> None:
    """Fault after fault in one account: the array of each has its outcomes, its bill, and nothing left."""
    with world(tmp_path, acts=SHORT, direct=service != "s3") as it:
        for fault in (fault for fault in CALLS if fault.service == service):
            it.lab.clear_faults()
            job = it.launch(2, fleet=POOL if service == "sqs" else {}, retries=0)
            it.lab.add_fault(msgspec.structs.replace(fault, until_s=None, times=4))
            it.run()
            array = it.array(job)
            assert [array.status_of(position).name for position in range(2)] == ["SUCCEEDED", "FAILED"], fault
        check(it)


@pytest.mark.parametrize("fleet", [{}, {"instances": 2}, POOL], ids=["alone", "static", "dynamic"])
def test_instances_that_die_lose_only_what_they_ran(tmp_path: Path, fleet: dict[str, object]) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.DIES, nth=1, after_s=50), Fate(kind=FateKind.DIES, nth=2, after_s=75)))
    assert "lost" not in outcomes(Scenario(size=4, fleet=fleet, plan=plan, acts=SHORT, asked={"retries": 2}), tmp_path)


@pytest.mark.parametrize("fleet", [{}, {"instances": 2}, POOL], ids=["alone", "static", "dynamic"])
def test_what_the_spot_market_takes_is_run_again_in_a_budget_of_its_own(tmp_path: Path, fleet: dict[str, object]) -> None:
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=90.0))
    plan = LabPlan(fates=(Fate(kind=FateKind.INTERRUPTED, nth=1, after_s=45), Fate(kind=FateKind.INTERRUPTED, nth=2, after_s=60)))
    assert outcomes(Scenario(size=3, fleet={"spot": True, **fleet}, plan=plan, acts=acts), tmp_path) == ["succeeded"] * 3


@pytest.mark.parametrize("unheard", [True, False], ids=["without a record", "with a record"])
def test_an_interrupted_attempt_is_interrupted_with_its_record_and_without(tmp_path: Path, unheard: bool) -> None:
    life = Life(cannot_write=(50.0, 1e9)) if unheard else Life()
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=300.0), machine=lambda nth, dice: life)
    plan = LabPlan(fates=(Fate(kind=FateKind.INTERRUPTED, after_s=60),))
    assert outcomes(Scenario(size=2, fleet={"spot": True, "spot_retries": 0}, plan=plan, acts=acts), tmp_path) == ["interrupted"] * 2


@pytest.mark.parametrize(
    "plan",
    [
        LabPlan(quotas={"L-1216C47A": 2}),
        LabPlan(capacity={"*/t3.micro": 1}),
        LabPlan(capacity={"us-east-1a/t3.micro": 1, "us-east-1b/t3.micro": 0}),
        LabPlan(describe_lag_s=60, pending_s=20),
        LabPlan(profile_lag_s=30),
    ],
    ids=["quota", "capacity", "in part", "seen late", "profile known late"],
)
def test_what_ec2_withholds_for_a_while_only_takes_longer(tmp_path: Path, plan: LabPlan) -> None:
    assert outcomes(Scenario(size=3, plan=plan, acts=SHORT), tmp_path) == ["succeeded", "failed", "succeeded"]


def test_slow_answers_change_nothing(tmp_path: Path) -> None:
    assert outcomes(Scenario(size=3, slow=0.3, acts=SHORT), tmp_path) == ["succeeded", "failed", "succeeded"]


def test_machines_that_never_check_in_are_lost_and_end_at_their_ttl(tmp_path: Path) -> None:
    acts = ActPlan(machine=lambda nth, dice: Life(checks_in=nth > 0), attempt=SHORT.attempt)
    assert outcomes(Scenario(size=2, acts=acts), tmp_path) == ["lost", "failed"]


@pytest.mark.parametrize("until_s", [300.0, 1e9], ids=["for a while", "for ever"])
def test_a_bucket_that_refuses_records_loses_none_that_could_still_be_written(tmp_path: Path, until_s: float) -> None:
    acts = ActPlan(machine=lambda nth, dice: Life(cannot_write=(50.0, until_s)), attempt=SHORT.attempt)
    expected = ["succeeded", "failed"] if until_s == 300 else ["lost", "lost"]
    assert outcomes(Scenario(size=2, acts=acts), tmp_path) == expected


def test_a_message_that_comes_twice_is_begun_once(tmp_path: Path) -> None:
    faults = tuple(fault for fault in CALLS if fault.kind is FaultKind.DUPLICATED)
    assert outcomes(Scenario(size=5, fleet=POOL, faults=faults, acts=SHORT), tmp_path) == ["succeeded", "failed"] * 2 + ["succeeded"]


@pytest.mark.parametrize("fleet", [{}, {"instances": 1, "per_instance": 2}, POOL], ids=["alone", "static", "dynamic"])
def test_a_child_that_said_it_failed_is_not_run_again_before_its_process_is_gone(tmp_path: Path, fleet: dict[str, object]) -> None:
    def attempt(index: int, number: int, dice: object) -> Act:
        return Act(duration_s=500.0, completed=("failure", None), completed_after_s=5.0) if number == 1 else Act(duration_s=20.0)

    assert outcomes(Scenario(size=2, fleet=fleet, acts=ActPlan(attempt=attempt), asked={"retries": 1}), tmp_path) == ["succeeded"] * 2
