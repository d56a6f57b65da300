"""A ledger that was lost, or restored from an older time, while what it had launched runs on."""

from __future__ import annotations

from pathlib import Path

from spawn.engine.news import Ended, InstanceChanged, Lost
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from spawn.testing.ec2lab.plan import Fate, FateKind
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


def test_a_store_restored_from_an_older_time_hears_again_of_all_that_ended_since_also_of_what_it_knows_to_run(tmp_path: Path) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.DIES, nth=2, after_s=100),))
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=60 if index == 0 else 300, code=index))
    with driven(tmp_path, plan=plan, acts=acts) as fleet:
        job = fleet.job(3)
        fleet.start(job)
        fleet.run(until=lambda: len(fleet.ends(job)) == 1)  # the backup is made: one has ended, two run
        orders, backup, known = fleet.work.orders, fleet.place, len(fleet.events)
        fleet.run()
        orders.forget(job.key)
        fleet.step()
        assert fleet.place is not None
        orders.acknowledge(fleet.place)
        since = [event for event in fleet.events[known:] if isinstance(event, Ended | Lost)]
        assert len(since) == 2
        fleet.place = backup
        fleet.events.clear()
        fleet.run()
        assert {event for event in fleet.events if isinstance(event, Ended)} == {event for event in since if isinstance(event, Ended)}
        [lost] = [event for event in fleet.events if isinstance(event, Lost)]
        assert lost.why == "Server.InternalError: Internal error"
        gone = [event for event in fleet.events if isinstance(event, InstanceChanged)]
        assert {event.attempt.position for event in gone} == {0, 1, 2}
        assert len(fleet.lab.lives()) == 3
        told = len(fleet.events)
        fleet.restart()
        fleet.step()
        assert len(fleet.events) == told
