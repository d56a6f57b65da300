"""The AWS door, served on an engine of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.noting import Endpoint, served
from tests.aws.serving import Local, Scripted


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    """Nothing runs and no time passes but by the test's word."""
    served = Scripted(tmp_path)
    yield served
    served.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """Real processes of this machine."""
    served = Local(tmp_path)
    yield served
    served.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Endpoint]:
    """An endpoint whose handlers only note what they are asked, for all tests of a module."""
    with served() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(running: Endpoint) -> Endpoint:
    """The same with nothing noted yet."""
    running.notes.clear()
    return running
