"""Fewer instances than children: in ranges of their own, or from a queue."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spawn.domain.arrays import ArrayJob
from spawn.domain.fleets import Distribution
from spawn.domain.ids import AttemptId
from spawn.engine.news import Dropped, Ended, EndKind, Started
from spawn.providers.ec2.adopting import read_array
from spawn.providers.ec2.surveying import read_job
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.plan import Fate, FateKind
from tests.providers.ec2.driving import driven, lasting


@pytest.mark.parametrize("how", [Distribution.STATIC, Distribution.DYNAMIC])
def test_few_instances_run_many_children_and_then_go(tmp_path: Path, how: Distribution) -> None:
    with driven(tmp_path, acts=lasting(30)) as fleet:
        job = fleet.job(12, instances=3, per_instance=2, distribute=how)
        fleet.start(job)
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 12}
        assert len(fleet.lab.lives()) == 3
        fleet.work.orders.forget(job.key)
        fleet.step()
        assert fleet.calls("DeleteQueue") == (1 if how is Distribution.DYNAMIC else 0)


@pytest.mark.parametrize("how", [Distribution.STATIC, Distribution.DYNAMIC])
def test_what_waits_behind_others_is_dropped_at_once_and_what_runs_is_left_alone(tmp_path: Path, how: Distribution) -> None:
    with driven(tmp_path, acts=lasting(60)) as fleet:
        job = fleet.job(6, instances=1, per_instance=1, distribute=how)
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))
        fleet.work.orders.wish("drop", [AttemptId(job.key, position, 1) for position in range(6)])
        fleet.step()
        assert len([event for event in fleet.events if isinstance(event, Dropped)]) == 5
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 1, "Dropped": 5}
        assert Counter(type(event).__name__ for event in fleet.events)["Started"] == 1


def test_a_shared_instance_that_dies_loses_what_it_ran_and_gives_back_the_rest(tmp_path: Path) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.DIES, nth=1, after_s=60),))
    with driven(tmp_path, plan=plan, acts=lasting(300)) as fleet:
        job = fleet.job(4, instances=1, per_instance=1)
        fleet.start(job)
        fleet.run()
        ends = fleet.ends(job)
        assert {end.attempt.position: type(end).__name__ for end in ends.values()} == {0: "Lost", 1: "Dropped", 2: "Dropped", 3: "Dropped"}  # type: ignore[union-attr]
        fleet.start(job, [(position, 2) for position in range(4)])
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 4, "Lost": 1, "Dropped": 3}


def test_what_a_dead_instance_of_a_pool_had_taken_is_lost_and_the_rest_is_done_by_others(tmp_path: Path) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.DIES, nth=1, after_s=70),))
    with driven(tmp_path, plan=plan, acts=lasting(60)) as fleet:
        job = fleet.job(6, instances=2, per_instance=1, distribute=Distribution.DYNAMIC)
        fleet.start(job)
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 5, "Lost": 1}


@pytest.mark.parametrize("how", [Distribution.STATIC, Distribution.DYNAMIC])
def test_one_that_runs_beside_others_is_stopped_and_the_others_go_on(tmp_path: Path, how: Distribution) -> None:
    with driven(tmp_path, acts=lasting(120)) as fleet:
        job = fleet.job(2, instances=1, per_instance=2, distribute=how)
        fleet.start(job)
        fleet.run(until=lambda: sum(isinstance(event, Started) for event in fleet.events) == 2)
        fleet.work.orders.wish("stop", [AttemptId(job.key, 1, 1)], 5.0)
        fleet.run()
        ends = [end for _, end in sorted(fleet.ends(job).items(), key=lambda entry: entry[0].position)]
        assert [end.how for end in ends if isinstance(end, Ended)] == [EndKind(0, None, None), EndKind(None, 15, "stopped")]
        assert fleet.calls("TerminateInstances") == 0


def test_a_message_that_went_with_its_instance_is_put_into_the_queue_again(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(20)) as fleet:
        job = fleet.job(2, instances=1, per_instance=1, distribute=Distribution.DYNAMIC)
        fleet.start(job)
        fleet.step()
        sqs = fleet.clients.client("sqs", "us-east-1")
        [array] = fleet.ledger.rows("SELECT queue FROM array")
        [message] = sqs.receive_message(QueueUrl=array["queue"])["Messages"]
        sqs.delete_message(QueueUrl=array["queue"], ReceiptHandle=message["ReceiptHandle"])
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 2}


def test_a_pool_that_is_taken_over_launches_nothing_while_its_instances_live_and_ends_in_full(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with driven(here, acts=lasting(60)) as fleet:
        job = fleet.job(6, instances=2, per_instance=1, distribute=Distribution.DYNAMIC)
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))
        fleet.move(there)
        taken = read_array(fleet.clients, job.id, bucket=fleet.bucket, at=fleet.clock.now())
        assert None in taken.under_way.values()
        fleet.work.orders.take_over(taken.afoot, fleet.access, fleet.clock.now())
        fleet.step()
        assert len(fleet.lab.lives()) == 2
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 6}
        assert len(fleet.lab.lives()) == 2


def test_what_waited_in_the_queue_of_a_pool_that_was_taken_over_is_done_by_new_instances_when_its_own_end(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with driven(here, acts=lasting(60)) as fleet:
        job = fleet.job(4, instances=1, per_instance=1, distribute=Distribution.DYNAMIC)
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))
        fleet.move(there)
        taken = read_array(fleet.clients, job.id, bucket=fleet.bucket, at=fleet.clock.now())
        fleet.work.orders.take_over(taken.afoot, fleet.access, fleet.clock.now())
        [life] = fleet.lab.lives()
        fleet.clients.client("ec2", "us-east-1").terminate_instances(InstanceIds=[life.instance_id])
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 4}
        assert len(fleet.lab.lives()) == 2


def test_a_pool_that_is_run_again_right_after_its_end_waits_for_the_name_of_its_queue(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(10)) as fleet:
        job = fleet.job(2, instances=1, distribute=Distribution.DYNAMIC)
        fleet.start(job)
        fleet.run()
        fleet.work.orders.forget(job.key)
        fleet.step()
        assert fleet.calls("DeleteQueue") == 1
        fleet.start(job, [(0, 2), (1, 2)])
        fleet.step()
        [(why, count)] = fleet.work.reasons[job.key].items()
        assert ("QueueDeletedRecently" in why.sentence, count) == (True, 2)
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 4}


def test_the_cap_of_an_array_stands_in_its_bucket_for_whoever_takes_it_over(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(30)) as fleet:
        job = fleet.job(2)
        fleet.work.orders.start(ArrayJob(job, max_concurrent=1), [(0, 1)])
        fleet.step()
        assert read_job(fleet.clients.client("s3", "us-east-1"), fleet.bucket, job.id).max_concurrent == 1
        for cap in (2, 2, None):
            fleet.work.orders.limit(job.key, cap)
            fleet.step()
            assert read_job(fleet.clients.client("s3", "us-east-1"), fleet.bucket, job.id).max_concurrent == cap
        [row] = fleet.ledger.rows("SELECT limit_due FROM array")
        assert row["limit_due"] == 0
