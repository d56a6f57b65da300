"""Launches that EC2 takes and cannot keep: it ends the instance before it ever ran, for want of room. What was to run there is placed again, elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spawn.domain.hindrances import Because
from spawn.domain.ids import AttemptId
from spawn.domain.jobs import Job
from spawn.engine.news import Dropped, Ended
from spawn.providers.ec2.settling import never_ran
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.plan import Fate, FateKind, Fault, FaultKind
from tests.providers.ec2.driving import Driven, driven


def no_room(*numbers: int) -> tuple[Fate, ...]:
    """Instances of these numbers are taken, and then there is no room for them."""
    return tuple(Fate(kind=FateKind.NO_ROOM, nth=number, after_s=4) for number in numbers)


def run_until_dropped(fleet: Driven, job: Job, attempt: int) -> None:
    """Until an attempt of the only child never began; then the next one is handed over, as the engine does."""
    fleet.run(until=lambda: AttemptId(job.key, 0, attempt) in fleet.ends(job))
    assert isinstance(fleet.ends(job)[AttemptId(job.key, 0, attempt)], Dropped)
    fleet.start(job, [(0, attempt + 1)])


def test_what_ec2_had_no_room_for_after_all_never_began_and_goes_to_another_zone_for_nothing(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(fates=no_room(1))) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        run_until_dropped(fleet, job, 1)
        fleet.run()
        assert isinstance(fleet.ends(job)[AttemptId(job.key, 0, 2)], Ended)
        zones = [life.zone for life in fleet.lab.lives()]
        assert len(set(zones)) == len(zones) == 2
        assert [life.usd_per_hour.usd for life in fleet.reader.lives(job.key)] == [0.0, 0.0104]


def test_where_there_is_no_other_zone_it_waits_longer_after_each_try_until_one_ran_and_says_so(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(fates=no_room(1, 2, 3, 5))) as fleet:
        job = fleet.job(1, zones=1)
        fleet.start(job)
        pauses: list[float] = []
        for attempt in (1, 2, 3, 5):
            run_until_dropped(fleet, job, attempt)
            since = fleet.clock.now()
            fleet.step()
            [(why, count)] = fleet.work.reasons[job.key].items()
            assert (why.because, count) == (Because.NO_CAPACITY, 1)
            assert why.sentence.startswith("no capacity: t3.micro on-demand in us-east-1a: EC2 ended the instance before it ran: Server.Insuff")
            fleet.run(until=lambda launched=attempt + 1: len(fleet.lab.lives()) == launched)  # type: ignore[misc]
            pauses.append((fleet.clock.now() - since) / 1000)
            if attempt == 3:
                fleet.run()
                fleet.start(job, [(0, 5)])
        assert pauses[0] < pauses[1] < pauses[2] > pauses[3]
        fleet.run()
        assert isinstance(fleet.ends(job)[AttemptId(job.key, 0, 6)], Ended)


def test_a_spot_instance_that_the_market_takes_before_it_ran_costs_no_loss_and_on_demand_takes_its_place(tmp_path: Path) -> None:
    plan = LabPlan(pending_s=30, notice_s=0, fates=(Fate(kind=FateKind.INTERRUPTED, nth=1, after_s=2),))
    with driven(tmp_path, plan=plan) as fleet:
        job = fleet.job(1, zones=1, spot=True, on_demand_fallback=True)
        fleet.start(job)
        run_until_dropped(fleet, job, 1)
        fleet.run()
        assert [life.spot for life in fleet.lab.lives()] == [True, False]


def test_it_is_known_also_of_an_instance_whose_launch_had_no_answer(tmp_path: Path) -> None:
    plan = LabPlan(fates=no_room(1), faults=(Fault(kind=FaultKind.LOST_ANSWER, action="RunInstances", times=1),))
    with driven(tmp_path, plan=plan) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.step()
        fleet.pass_time(10)
        run_until_dropped(fleet, job, 1)
        fleet.run()
        assert len({life.zone for life in fleet.lab.lives()}) == 2


SPOT = "Server.SpotInstanceTermination"


@pytest.mark.parametrize(
    ("facts", "is_so"),
    [
        ({"ended_code": "Server.InsufficientInstanceCapacity", "ended_at": 900_000}, True),
        ({"ended_code": "Server.InsufficientInstanceCapacity", "ended_at": 900_000, "checked_in_at": 60_000}, False),  # it ran before, and was started again
        ({"ended_code": SPOT, "ended_at": 90_000}, True),
        ({"ended_code": SPOT, "ended_at": 130_000}, False),  # it ran, and nobody heard of its agent
        ({"ended_code": SPOT, "ended_at": 90_000, "checked_in_at": 60_000}, False),
        ({"ended_code": "Server.InternalError", "ended_at": 5_000}, False),
        ({"ended_code": None, "ended_at": None}, False),
    ],
)
def test_what_counts_as_never_having_run(facts: dict[str, Any], is_so: bool) -> None:
    assert never_ran({"launched_at": 0, "checked_in_at": None, **facts}) is is_so
