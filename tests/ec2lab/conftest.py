"""Laboratories whose clock the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from tests.ec2lab.asking import Asking

Opening = Callable[..., Asking]


@pytest.fixture
def opened() -> Iterator[Opening]:
    """Opens laboratories of a plan; they are closed at the end."""
    labs = list[Lab]()

    def open_(**plan: Any) -> Asking:
        labs.append(Lab(LabPlan(**plan), clock=ManualClock()).start())
        return Asking(labs[-1])

    yield open_
    for lab in labs:
        lab.close()
    assert [each for lab in labs for each in lab.failures] == []


@pytest.fixture(scope="module")
def shared() -> Iterator[Asking]:
    """One laboratory without limits on requests, for tests that leave nothing that others would see."""
    with Lab(LabPlan(throttle=False), clock=ManualClock()) as lab:
        yield Asking(lab)
    assert lab.failures == []
