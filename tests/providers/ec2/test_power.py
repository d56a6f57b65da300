"""Starting and stopping instances that are there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spawn.domain.fleets import InstanceFacts, Market
from spawn.domain.states import InstanceState
from spawn.providers.ec2.power import power
from spawn.testing.ec2lab.lab import Lab
from tests.providers.ec2.labs import clients_of, lab, plan_in, wish


@pytest.fixture
def where() -> Iterator[Lab]:
    with lab() as made:
        yield made


def launched(where: Lab, count: int, *, region: str = "us-east-1") -> list[InstanceFacts]:
    """Instances that run."""
    offer = plan_in(where, wish(regions=(region,))).fleet.offers[0]
    asked = {"ImageId": offer.ami, "InstanceType": offer.type, "SubnetId": offer.subnet, "MinCount": count, "MaxCount": count}
    made = clients_of(where).client("ec2", region).run_instances(**asked)["Instances"]
    where.advance(60)
    return [
        InstanceFacts(instance_id=each["InstanceId"], region=region, zone=offer.zone, type=offer.type, market=Market.ON_DEMAND, state=InstanceState.RUNNING)
        for each in made
    ]


def states(where: Lab, facts: list[InstanceFacts]) -> list[str]:
    where.advance(60)
    found = []
    for each in facts:
        answer = clients_of(where).client("ec2", each.region).describe_instances(InstanceIds=[each.instance_id])
        found.append(answer["Reservations"][0]["Instances"][0]["State"]["Name"])
    return found


def test_instances_of_several_regions_are_stopped_and_started(where: Lab) -> None:
    facts = [*launched(where, 2), *launched(where, 1, region="us-west-2")]
    by_position = dict(enumerate(facts))
    assert power(clients_of(where), by_position, range(3), on=False, hibernate=False) == {}
    assert states(where, facts) == ["stopped"] * 3
    assert power(clients_of(where), by_position, range(3), on=True, hibernate=False) == {}
    assert states(where, facts) == ["running"] * 3


def test_one_that_cannot_be_stopped_spares_the_others(where: Lab) -> None:
    facts = launched(where, 5)
    clients_of(where).client("ec2").terminate_instances(InstanceIds=[facts[3].instance_id])
    where.advance(60)
    failed = power(clients_of(where), dict(enumerate(facts)), range(5), on=False, hibernate=False)
    assert list(failed) == [3]
    assert "cannot stop instances in us-east-1" in failed[3]
    assert states(where, [facts[0], facts[4]]) == ["stopped"] * 2


def test_children_of_one_instance_share_its_fate(where: Lab) -> None:
    (one,) = launched(where, 1)
    assert power(clients_of(where), {0: one, 1: one}, [0, 1], on=False, hibernate=False) == {}
    assert where.calls.count("StopInstances") == 1


def test_a_child_without_an_instance_is_said(where: Lab) -> None:
    assert power(clients_of(where), {}, [4], on=True, hibernate=False) == {4: "it has no instance that is known"}


def test_a_missing_permission_is_asked_about_once() -> None:
    with lab(forbidden=("ec2:StopInstances",)) as where:
        facts = launched(where, 3)
        failed = power(clients_of(where), dict(enumerate(facts)), range(3), on=False, hibernate=False)
        assert set(failed) == {0, 1, 2}
        assert all("may not call ec2:StopInstances" in why for why in failed.values())
        assert where.calls.count("StopInstances") == 1
