"""A laboratory without machines for the tests of a file, and in its bucket an array of five that was launched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spawn.testing.ec2lab.lab import Lab
from tests.providers.ec2.buckets import ArrayBucket, filled


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    yield shared_lab
    shared_lab.clear_faults()
    shared_lab.calls.clear()


@pytest.fixture
def bucket(lab: Lab) -> Iterator[ArrayBucket]:
    bucket = filled(lab, size=5)
    yield bucket
    bucket.unhook()
