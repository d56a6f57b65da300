"""What an array may ask of EC2."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.domain.errors import InvalidField
from spawn.domain.fleets import ACCESS, Distribution, FleetOptions, refuse_contradictions


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"instance_types": ()}, "--instance-type: no instance type is named"),
        ({"spot_max_price": 0.1}, "--spot-max-price: it is a limit for --spot: add --spot"),
        ({"on_demand_fallback": True}, "--on-demand-fallback: it is what --spot falls back to: add --spot"),
        ({"instances": 0}, "--instances: 0 is not 1 or more"),
        ({"per_instance": 0, "instances": 2}, "--per-instance: 0 is not 1 or more"),
        ({"volume_gib": -1}, "--volume-size: -1 is not 1 or more"),
        ({"volume_gib": 65_537}, "--volume-size: 65537 GiB is more than the 65536 GiB that a volume of EC2 holds"),
        ({"spot_retries": -1}, "--spot-retries: -1 is below 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_the_option(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidField) as caught:
        FleetOptions(**options)
    assert str(caught.value) == sentence


def test_sharing_needs_to_know_how_many_instances() -> None:
    with pytest.raises(InvalidField, match="say how many with --instances M"):
        FleetOptions(distribute=Distribution.DYNAMIC)
    with pytest.raises(InvalidField, match="say how many instances with --instances M"):
        FleetOptions(per_instance=2)
    assert FleetOptions(instances=2, per_instance=2, distribute=Distribution.DYNAMIC).shared
    assert not FleetOptions().shared


def test_spot_retries_without_spot_are_refused() -> None:
    with pytest.raises(InvalidField, match="--spot-retries: it counts losses to the spot market: add --spot"):
        refuse_contradictions({"spot_retries": 3}, None)
    refuse_contradictions({"spot_retries": 3, "spot": True}, None)


@pytest.mark.parametrize("on_complete", ["stop", "hibernate"])
def test_a_spot_instance_which_cannot_be_stopped_is_not_asked_to(on_complete: str) -> None:
    for more in ({}, {"on_demand_fallback": True}):
        with pytest.raises(InvalidField, match=r"--on-complete: a spot instance is launched once and cannot be .*: use terminate or none"):
            refuse_contradictions({"spot": True, **more}, on_complete)
    refuse_contradictions({"spot": True}, "terminate")
    refuse_contradictions({"spot": True}, None)
    refuse_contradictions({}, on_complete)


def test_an_access_names_each_variable_once() -> None:
    assert len(set(ACCESS)) == len(ACCESS)
