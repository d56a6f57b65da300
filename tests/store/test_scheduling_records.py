"""What the scheduler must not forget, in both stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spawn.domain.fairshare import ShareUse
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.engine.records import Batch, Head
from spawn.store.memory import MemoryStore
from spawn.store.sqlite import SqliteStore


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryStore()
        return
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def commit(store: Any, **parts: Any) -> None:
    batch = Batch.empty()
    assert batch.is_empty()
    for name, value in parts.items():
        setattr(batch, name, value)
    assert not batch.is_empty()
    store.commit(batch)


def test_what_shares_have_used_is_kept_replaced_and_forgotten(store: Any) -> None:
    first, second = ShareUse(amount=1.5, at=Instant(10), rate=1000), ShareUse(amount=0.25, at=Instant(20))
    commit(store, uses={("q", "a"): first, ("q", ""): second})
    assert store.share_uses() == {("q", "a"): (1.5, 10), ("q", ""): (0.25, 20)}
    commit(store, uses={("q", "a"): second, ("q", ""): None, ("other", "a"): None})
    assert store.share_uses() == {("q", "a"): (0.25, 20)}


def test_who_is_at_the_head_of_a_queue_is_kept_replaced_and_forgotten(store: Any) -> None:
    head = Head(ArrayKey("00000000ff"), 3, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", Instant(7))
    commit(store, heads={"q": head, "r": head})
    assert store.heads() == {"q": head, "r": head}
    commit(store, heads={"q": head._replace(position=4), "r": None})
    assert store.heads() == {"q": head._replace(position=4)}
