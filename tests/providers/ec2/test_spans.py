"""What instances are paid for, as the ledger has it and as the laboratory bills it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from spawn.domain.fleets import Market
from spawn.domain.instances import OnComplete
from spawn.domain.jobs import Job
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.plan import SpotPrice
from tests.providers.ec2.driving import Driven, driven, lasting


def lives_of(fleet: Driven, job: Job) -> dict[str, tuple[float, float | None]]:
    """When each instance began and ended, as the ledger has it, in seconds."""
    return {life.instance_id: (life.began / 1000, None if life.ended is None else life.ended / 1000) for life in fleet.reader.lives(job.key)}


def test_lives_are_those_that_ec2_bills(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        job = fleet.job(3)
        fleet.start(job)
        fleet.run()
        seen = lives_of(fleet, job)
        for life in fleet.lab.lives():
            began, ended = seen[life.instance_id]
            assert abs(began - life.launched_at) < 1
            assert ended is not None
            assert life.ended_at is not None
            assert abs(ended - life.ended_at) <= 6
        [first, *_] = fleet.reader.lives(job.key)
        assert (first.positions, first.market, first.usd_per_hour.usd) == ((0,), Market.ON_DEMAND, 0.0104)


def test_an_engine_that_slept_does_not_count_the_time_until_it_looked(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(20)) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.step()
        fleet.pass_time(3000)
        fleet.run()
        [(began, ended)] = lives_of(fleet, job).values()
        assert ended is not None
        assert ended - began < 60


def test_a_spot_instance_costs_what_the_market_took_and_a_stopped_one_its_volume(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(spot_prices=(SpotPrice(price=0.004),)), acts=lasting(60)) as fleet:
        spot, kept = fleet.job(1, spot=True), fleet.job(1, on_complete=OnComplete.STOP, ttl=timedelta(minutes=5))
        for job in (spot, kept):
            fleet.start(job)
        fleet.run()
        fleet.step()
        [life] = fleet.reader.lives(spot.key)
        assert (life.usd_per_hour.usd, life.usd_per_hour.source) == (0.004, "spot price history")
        ran, stood = fleet.reader.lives(kept.key)
        assert (ran.usd_per_hour.usd, stood.usd_per_hour.usd) == (0.0104, 0.0)
        assert ran.ended == stood.began
