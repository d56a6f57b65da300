"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# a slow machine is no failure; in CI the examples are the same every time
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A pytest-xdist that keeps no group together is told, not suffered: its tests would be slow, and fail at random."""
    if getattr(config.option, "loadgroup", False) and any(item.get_closest_marker("xdist_group") and "@" not in item.nodeid for item in items):
        raise pytest.UsageError("this pytest-xdist does not keep groups of tests together under this pytest: see the test extra in pyproject.toml")
