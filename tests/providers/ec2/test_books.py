"""What the ledger says of instances while they live: how many are in which state, and what they have cost so far."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from spawn.domain.fleets import Distribution, Offer
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.spending import billed_until, total
from spawn.providers.ec2.adopting import read_array
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from spawn.testing.ec2lab.plan import Fate, FateKind, Fault, FaultKind
from tests.providers.ec2.driving import IMAGE, Driven, driven, lasting


def hours_so_far(fleet: Driven, later_s: float = 0.0) -> float:
    """What `spawn cost` says when it is asked so long after the last round."""
    now = Instant(fleet.clock.now() + round(later_s * 1000))
    return sum(total(fleet.reader.lives(job.key), now).hours for job in fleet.jobs)


def counted(fleet: Driven, job: Job) -> dict[str, int]:
    return {state.value: count for state, count in fleet.reader.states(job.key).items()}


def of_uneven_length(seed: int) -> ActPlan:
    return ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=random.Random(f"{seed} {index}").uniform(20, 150)), seed=seed)


PLANS = {
    "dying": LabPlan(describe_lag_s=8, fates=(Fate(kind=FateKind.DIES, chance=0.5, after_s=30, within_s=60),)),
    "unheard": LabPlan(
        faults=(
            Fault(kind=FaultKind.UNAVAILABLE, action="DescribeInstances", from_s=60, until_s=110),
            Fault(kind=FaultKind.DENIED, service="s3", action="GetObject", caller="user", from_s=90, until_s=200),
        )
    ),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_what_an_array_has_cost_so_far_is_never_taken_back(tmp_path: Path, plan: LabPlan) -> None:
    with driven(tmp_path, plan=plan, acts=of_uneven_length(3)) as fleet:
        job = fleet.job(4)
        fleet.start(job)
        said = [0.0]

        def is_over() -> bool:
            said.extend(hours_so_far(fleet, later_s) for later_s in (0.0, 4.0))
            return fleet.is_over()

        fleet.run(until=is_over)
        fleet.restart()
        said.append(hours_so_far(fleet, 3600))
        assert said == sorted(said)
        lived = {life.instance_id: (life.launched_at, life.ended_at) for life in fleet.lab.lives()}
        for life in fleet.reader.lives(job.key):
            began, ended = lived[life.instance_id]
            assert life.ended is not None
            assert ended is not None
            assert abs((life.ended - life.began) / 1000 - (ended - began)) < 31


def test_nobody_looks_and_nothing_is_counted_that_is_not_certain(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(600)) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.run(until=lambda: fleet.states() == {"begun": 1})
        [life] = fleet.reader.lives(job.key)
        assert (life.ended, life.known_to) == (None, fleet.clock.now())
        assert billed_until(life, Instant(fleet.clock.now() + 3_600_000)) == max(fleet.clock.now(), life.began + 60_000)


# --- how many are in which state ----------------------------------------------------------------------------------------


def test_what_waits_for_its_turn_has_no_instance(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(quotas={"L-1216C47A": 4}), acts=lasting(30)) as fleet:
        job = fleet.job(4)
        fleet.start(job)
        fleet.step()
        assert sum(counted(fleet, job).values()) == len(fleet.lab.lives()) == 2
        fleet.run(until=lambda: fleet.states().get("begun") == 2)
        assert counted(fleet, job) == {"running": 2}
        fleet.run()
        assert counted(fleet, job) == {"terminated": 4}
        fleet.restart()
        assert counted(fleet, job) == {"terminated": 4}


def test_an_instance_that_none_of_the_children_came_to_is_counted(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(300)) as fleet:
        job = fleet.job(2, instances=2, per_instance=2, distribute=Distribution.DYNAMIC)
        fleet.start(job)
        fleet.run(until=lambda: fleet.states() == {"begun": 2})
        assert len({facts.instance_id for facts in fleet.reader.instances(job.key).values()}) == 1
        assert counted(fleet, job) == {"running": 2}


def test_what_ended_before_an_array_was_taken_over_and_what_others_launched_for_it_elsewhere_is_counted(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    with driven(home, acts=lasting(20)) as fleet:
        job = fleet.job(2)
        assert job.fleet is not None
        west = west_of(fleet, job.fleet.offers[0])
        job = replace(job, fleet=replace(job.fleet, offers=(*job.fleet.offers, west)))
        fleet.start(job)
        fleet.run()
        heard = fleet.place
        fleet.pass_time(7200)  # EC2 has forgotten them
        fleet.move(away)
        taken = read_array(fleet.clients, job.id, bucket=fleet.bucket, at=fleet.clock.now())
        there = replace(job, fleet=replace(job.fleet, offers=(west,)))
        fleet.work.orders.take_over(replace(taken.afoot, job=there), fleet.access, fleet.clock.now())
        assert counted(fleet, job) == {"terminated": 2}
        fleet.start(there, [(1, 2)])
        fleet.run()
        assert (counted(fleet, job), len(fleet.reader.lives(job.key))) == ({"terminated": 3}, 1)
        fleet.move(home)
        fleet.place = heard
        fleet.start(job, [(1, 2)])
        fleet.run()
        assert {life.instance_id for life in fleet.reader.lives(job.key)} == {life.instance_id for life in fleet.lab.lives()}
        assert {life.region for life in fleet.reader.lives(job.key)} == {"us-east-1", "us-west-2"}
        assert counted(fleet, job) == {"terminated": 4}


def west_of(fleet: Driven, offer: Offer) -> Offer:
    """The same in another region."""
    ec2, ssm = (fleet.clients.client(service, "us-west-2") for service in ("ec2", "ssm"))
    subnet = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    return replace(offer, region="us-west-2", zone=subnet["AvailabilityZone"], subnet=subnet["SubnetId"], ami=image)
