"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# a slow machine is no failure; in CI the examples are the same every time
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest ones, so that none of them runs alone in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
