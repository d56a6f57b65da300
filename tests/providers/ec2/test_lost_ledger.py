"""A ledger that was lost, or restored from an older time, while what it had launched runs on."""

from __future__ import annotations

from pathlib import Path

from spawn.engine.news import Ended, Lost
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from tests.providers.ec2.driving import driven, lasting


def test_what_a_lost_ledger_had_launched_is_found_by_its_token_and_not_launched_again(tmp_path: Path) -> None:
    with driven(tmp_path / "before", plan=LabPlan(describe_lag_s=8), acts=lasting(600)) as fleet:
        job = fleet.job(3)
        fleet.start(job)
        fleet.run(until=lambda: fleet.calls("RunInstances") == 1)
        fleet.pass_time(1)
        fleet.move(tmp_path / "after")
        fleet.work.orders.admit(job, fleet.access)
        fleet.start(job)
        fleet.run()
        assert [type(end) for end in fleet.ends(job).values()] == [Ended] * 3
        assert len(fleet.lab.lives()) == 3
        assert {life.instance_id for life in fleet.lab.lives()} == {life.instance_id for life in fleet.reader.lives(job.key)}


def test_what_a_lost_ledger_had_launched_and_has_died_since_is_lost(tmp_path: Path) -> None:
    with driven(tmp_path / "before", acts=lasting(600)) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run(until=lambda: fleet.calls("RunInstances") == 1)
        for life in fleet.lab.lives():
            fleet.lab.kill(life.instance_id)
        fleet.pass_time(5)
        fleet.move(tmp_path / "after")
        fleet.work.orders.admit(job, fleet.access)
        fleet.start(job)
        fleet.run()
        assert [type(end) for end in fleet.ends(job).values()] == [Lost] * 2
        assert len(fleet.lab.lives()) == 2


def test_what_a_store_restored_from_an_older_time_asks_for_again_is_told_again(tmp_path: Path) -> None:
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=60, code=index))
    with driven(tmp_path, acts=acts) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run()
        before = fleet.ends(job)
        place = fleet.work.orders.news(None).place
        assert place is not None
        fleet.work.orders.acknowledge(place)
        fleet.events.clear()
        fleet.start(job)
        fleet.run()
        assert fleet.ends(job) == before
        assert len(fleet.lab.lives()) == 2


def test_what_is_handed_over_again_before_its_end_was_heard_is_told_once(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run()
        told = len(fleet.events)
        fleet.start(job)
        fleet.step()
        assert len(fleet.events) == told
        assert fleet.is_over()
