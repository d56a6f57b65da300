"""All faults together, the engine killed at any call, and a user who asks for things meanwhile: drawn from seeds.

`SPAWN_FAULT_SEEDS=FROM-TO` runs these seeds instead of the few that every run takes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spawn.domain.fleets import Distribution
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from tests.cloud.faults.scenario import Scenario, drawn


def seeds() -> range:
    """Those of the environment, or a few."""
    first, _, last = os.environ.get("SPAWN_FAULT_SEEDS", "1-4").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", seeds())
def test_whatever_goes_wrong_each_index_has_a_true_outcome_and_nothing_outlives_its_end(tmp_path: Path, seed: int) -> None:
    drawn(seed).play(tmp_path)


@pytest.mark.parametrize("fleet", [{}, {"instances": 2, "distribute": Distribution.DYNAMIC}], ids=["alone", "dynamic"])
def test_an_engine_that_is_killed_again_and_again_loses_nothing(tmp_path: Path, fleet: dict[str, object]) -> None:
    """Killed at every seventh of its calls to AWS, its store and its ledger, for as long as it lives."""
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=30.0, code=index % 2))
    it = Scenario(size=3, fleet=fleet, acts=acts, kills=(7, 8, 9, 10, 11, 12, 13) * 6, away_s=(0.0, 5.0)).play(tmp_path)
    assert len(it.axe.fell) > 20
    assert [row["kind"] for row in it.attempts(it.jobs[0])] == ["succeeded", "failed", "succeeded"]
