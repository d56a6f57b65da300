"""One account for the tests of a file, and one worker for them, so that it is not made twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud.account import Account, account


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cloud/" in str(item.path) and "faults" not in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    """Someone with an account in which nothing goes wrong."""
    with account() as one:
        yield one
