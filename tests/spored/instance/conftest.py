"""A cloud for each test, and instances in it; nothing may be left running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spored.instance.web import Web
from tests.spored.instance.cloud import Cloud
from tests.spored.instance.machine import Instance


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An empty one."""
    made = Cloud()
    yield made
    made.close()


@pytest.fixture
def web() -> Iterator[Web]:
    """Connections of this test."""
    made = Web(timeout_s=5)
    yield made
    made.close()


@pytest.fixture
def make_instance(cloud: Cloud, tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Makes instances, and ends what is left of them."""
    made: list[Instance] = []

    def make(instance_id: str = "i-1", **options: object) -> Instance:
        instance = Instance(cloud, tmp_path / instance_id, instance_id, **options)  # type: ignore[arg-type]
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.close()
    # a part of a log, a record or a claim, once written, stays as it is
    assert [key for key in cloud.rewritten if "/log/" in key or key.endswith(("outcome.json", "claim.json"))] == []


@pytest.fixture
def instance(make_instance: Callable[..., Instance]) -> Instance:
    """One instance."""
    return make_instance()
