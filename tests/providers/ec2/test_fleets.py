"""The provider, as the doors see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spawn.domain.errors import ConfigurationError, NotFound
from spawn.domain.ids import JobId
from spawn.domain.jobs import Job
from spawn.engine.fleets import Fleets
from spawn.providers.ec2.fleets import Ec2Fleets
from spawn.providers.ec2.provider import Ec2Provider
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.lab import Lab
from tests.domain.making import make_job
from tests.providers.ec2.buckets import Files
from tests.providers.ec2.labs import NOON, lab, plan_in, wish

OTHER = {"AWS_ACCESS_KEY_ID": "AKIA0", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def where() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Ec2Provider]:
    made = Ec2Provider(directory=tmp_path / "ec2", clock=ManualClock(NOON))
    yield made
    made.close(terminate=False, grace_s=0)


@pytest.fixture
def fleets(provider: Ec2Provider, tmp_path: Path) -> Fleets:
    return Ec2Fleets(provider, files=Files(root=tmp_path), clock=ManualClock(NOON))


def job_in(where: Lab) -> Job:
    return make_job(1, 3, fleet=plan_in(where, wish()).fleet)


def test_a_plan_is_made_with_the_access_of_whoever_asks(where: Lab, fleets: Fleets) -> None:
    assert fleets.plan(wish(), where.environment()).fleet.account == where.account
    with pytest.raises(ConfigurationError, match="AWS does not accept these credentials"):
        fleets.plan(wish(), where.environment() | OTHER)


def test_a_second_look_at_the_same_minute_asks_for_nothing_again(where: Lab, provider: Ec2Provider, tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    fleets = Ec2Fleets(provider, files=Files(root=tmp_path), clock=clock)
    first = fleets.plan(wish(), where.environment())
    where.calls.clear()
    assert fleets.plan(wish(), where.environment()) == first
    assert (where.calls.count("RunInstances"), where.calls.count("DescribeInstanceTypes"), where.calls.count("GetServiceQuota")) == (0, 0, 0)
    clock.advance(61)
    fleets.plan(wish(), where.environment())
    assert where.calls.count("DescribeInstanceTypes") == 1


def test_an_array_that_was_admitted_is_asked_about_with_its_own_access(where: Lab, fleets: Fleets) -> None:
    job = job_in(where)
    fleets.admit(job, where.environment() | OTHER)
    with pytest.raises(ConfigurationError, match="InvalidAccessKeyId"):
        fleets.fetch_log(job, 0, 1)
    fleets.renew(where.environment())
    with pytest.raises(NotFound):
        fleets.fetch_log(job, 0, 1)  # the bucket is made at the first launch


def test_an_array_that_nobody_admitted_has_no_access_and_no_instances(where: Lab, fleets: Fleets) -> None:
    job = job_in(where)
    assert (list(fleets.lives(job.key)), dict(fleets.instances(job.key))) == ([], {})
    fleets.look(job.key)
    with pytest.raises(ConfigurationError, match="no AWS access is known for this array"):
        fleets.fetch_outputs(job, [(0, 1)])


def test_power_says_of_each_child_that_it_has_no_instance(where: Lab, fleets: Fleets) -> None:
    job = job_in(where)
    fleets.admit(job, where.environment())
    assert set(fleets.power(job, [0, 2], on=True, hibernate=False)) == {0, 2}


def test_an_array_that_no_bucket_has_is_not_found(where: Lab, fleets: Fleets) -> None:
    with pytest.raises(NotFound):
        fleets.adopt(JobId("array-20200101-000000"), None, where.environment(), check=lambda _: None)


def test_an_account_in_which_nothing_was_launched_is_swept_clean(where: Lab, fleets: Fleets) -> None:
    found = fleets.sweep(where.environment(), regions=("us-east-1",), live=(), remove=True, at=NOON)
    assert (found.account, found.regions, found.failed, found.leftovers) == (where.account, ("us-east-1",), {}, ())
