"""What is read from rows again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spawn.domain.queues import JobQueue
from spawn.engine.records import Batch
from spawn.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A new store."""
    store = SqliteStore(tmp_path / "store.db")
    yield store
    store.close()


def test_a_resource_is_decoded_again_only_when_it_has_changed(store: SqliteStore) -> None:
    queue, other = JobQueue(name="q", environments=("local",)), JobQueue(name="r", environments=("local",))
    store.commit(replace(Batch.empty(), resources=[queue, other]))
    first, second = store.catalog(), store.catalog()
    assert first.queues["q"] == queue
    assert first.queues["q"] is second.queues["q"]
    changed = replace(queue, priority=queue.priority + 1)
    store.commit(replace(Batch.empty(), resources=[changed]))
    third = store.catalog()
    assert third.queues["q"] == changed
    assert third.queues["r"] is first.queues["r"]
