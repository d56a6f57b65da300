"""A store that an earlier version wrote goes on in this one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawn.domain.catalog import Catalog
from spawn.domain.ids import JobId
from spawn.domain.states import Status
from spawn.engine.encoding import encode
from spawn.store.named import migrations
from spawn.store.sqlite import SqliteStore
from tests.domain.making import make_job


@pytest.fixture
def first_schema(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A store with the tables of the first release: an array of four of which two ran, and one that has not begun."""
    connection = sqlite3.connect(tmp_path / "store.db")
    number, script = migrations()[0]
    connection.executescript(f"{script}; PRAGMA user_version = {number};")
    for key, counts, base in ((1, [0, 0, 2, 0, 1, 1, 0], 2), (2, [0, 4, 0, 0, 0, 0, 0], 1)):
        body = json.loads(encode(make_job(key, 4)))
        del body["batch"]
        row = (key, f"job-{key}", f"job-{key}", 1, 4, key, json.dumps(body).encode(), base, json.dumps(counts), 1, 0, 0, 0, 0)
        connection.execute(
            "INSERT INTO job (key, id, name, is_array, size, created_at, body, base, counts, status, settled, cancelled, halted, failed_attempts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    connection.execute("INSERT INTO child VALUES (1, 0, 5, 1, 0, NULL, 100, 200, NULL), (1, 1, 4, 1, 0, NULL, 150, NULL, NULL)")
    connection.execute(
        "INSERT INTO attempt VALUES (1, 0, 1, 100, 200, 'succeeded', 0, NULL, 'Essential container in task exited', NULL, NULL, 0.1, 10, 'terminated', NULL)"
    )
    connection.commit()
    yield connection
    connection.close()


def test_arrays_attempts_and_what_is_under_way_are_as_they_were(first_schema: sqlite3.Connection, tmp_path: Path) -> None:
    first_schema.close()
    store = SqliteStore(tmp_path / "store.db")
    try:
        half_done, waiting = store.active()
        assert [half_done.status_of(position) for position in range(4)] == [Status.SUCCEEDED, Status.RUNNING, Status.RUNNABLE, Status.RUNNABLE]
        assert half_done.under_way[1].environment == "local"
        assert (half_done.job.queue, half_done.job.batch) == ("default", None)
        assert waiting.count(Status.PENDING) == 4
        assert [row["attempt"] for row in store.read("attempts_of", {"key": 1, "low": 0, "high": 3})] == [1]
        row = store.job(JobId("job-1"))
        assert row is not None
        assert (row.cancelled, row.terminated_at) == (False, None)
        assert store.catalog() == Catalog()
    finally:
        store.close()


def test_opening_it_again_changes_nothing_more(first_schema: sqlite3.Connection, tmp_path: Path) -> None:
    first_schema.close()
    for _ in range(2):
        SqliteStore(tmp_path / "store.db").close()
    (version,) = sqlite3.connect(tmp_path / "store.db").execute("PRAGMA user_version").fetchone()
    assert version == migrations()[-1][0]
