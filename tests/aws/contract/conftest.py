"""A world of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.contract.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Nothing runs and no time passes but by the test's word."""
    world = World(tmp_path)
    yield world
    world.close()
