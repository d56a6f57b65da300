"""The contract of engine.ports.Store, which the file and the store in memory both keep."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spawn.domain.arrays import ArrayJob
from spawn.domain.book import JobBook
from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant
from spawn.domain.outcomes import Outcome
from spawn.domain.states import InstanceState, Status
from spawn.engine.news import Usage
from spawn.engine.records import AttemptRecord, Batch, InstanceEnd, LateExit
from spawn.store.memory import MemoryStore
from spawn.store.sqlite import SqliteStore
from tests.domain.making import make_job

AT = Instant(1000)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryStore()
        return
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def batch(**parts: Any) -> Batch:
    made = Batch.empty()
    for name, value in parts.items():
        setattr(made, name, value)
    return made


def submitted(store: Any, number: int = 1, size: int | None = 4) -> tuple[JobBook, ArrayJob]:
    book = JobBook()
    array = book.submit(make_job(number, size), statuses={}, at=AT, max_concurrent=3)
    store.commit(batch(jobs=[array], arrays=[array]))
    array.changed.clear()
    return book, array


def ended(array: ArrayJob, position: int, instance: InstanceState, ends_at: int | None = None) -> AttemptRecord:
    return AttemptRecord(array.job.key, position, 1, AT, Instant(2000), Outcome.exited(0), 0.1, 10, instance, None if ends_at is None else Instant(ends_at))


def image(array: ArrayJob) -> list[Status]:
    return [array.status_of(position) for position in range(array.size)]


def test_a_new_array_is_there_as_it_was_submitted(store: Any) -> None:
    _, array = submitted(store)
    loaded = store.array(array.job.id)
    assert loaded.job == array.job
    assert (image(loaded), loaded.max_concurrent) == ([Status.RUNNABLE] * 4, 3)
    assert store.counts() == (1, 1)
    assert store.array_by_key(array.job.key).job.id == array.job.id


def test_what_is_under_way_is_loaded_as_such(store: Any) -> None:
    book, array = submitted(store)
    book.claim(array, 2)
    book.started(AttemptId(array.job.key, 1, 1), Instant(1500))
    store.commit(batch(arrays=[array]))
    loaded = store.active()[0]
    assert image(loaded) == [Status.STARTING, Status.RUNNING, Status.RUNNABLE, Status.RUNNABLE]
    assert loaded.under_way == array.under_way
    assert loaded.started_at == 1500


def test_children_that_share_a_status_share_it_after_loading(store: Any) -> None:
    book, array = submitted(store)
    book.claim(array, 1)
    book.fail_waiting(array, "enough", Instant(3000))
    store.commit(batch(arrays=[array]))
    loaded = store.array(array.job.id)
    assert image(loaded) == [Status.STARTING] + [Status.FAILED] * 3
    assert (loaded.base_reason, loaded.base_at, loaded.unmoved) == ("enough", 3000, 3)


def test_settled_arrays_are_not_active_but_are_there(store: Any) -> None:
    book, array = submitted(store, size=None)
    book.claim(array, 1)
    book.ended(AttemptId(array.job.key, 0, 1), Outcome.exited(0), Instant(2000))
    store.commit(batch(arrays=[array], attempts=[ended(array, 0, InstanceState.TERMINATED)]))
    assert store.active() == []
    assert store.statuses([array.job.id, "unknown"]) == {array.job.id: Status.SUCCEEDED}
    assert store.attempts_made(array.job.key) == {0: 1}
    assert store.counts() == (0, 1)


def test_the_first_record_of_an_attempt_stays(store: Any) -> None:
    _, array = submitted(store)
    store.commit(batch(attempts=[ended(array, 0, InstanceState.RUNNING, 9000)]))
    store.commit(batch(attempts=[ended(array, 0, InstanceState.TERMINATED)]))
    assert [kept.ends_at for kept in store.kept_instances(key=array.job.key)] == [9000]


def test_a_late_exit_changes_nothing_else(store: Any) -> None:
    _, array = submitted(store)
    record = ended(array, 0, InstanceState.TERMINATED)._replace(outcome=Outcome.completed(True, "done"))
    store.commit(batch(attempts=[record], late=[LateExit(AttemptId(array.job.key, 0, 1), 3, None, Usage())]))
    assert store.kept_instances(key=array.job.key) == []
    if isinstance(store, MemoryStore):
        assert store.attempts[array.job.key, 0, 1].outcome.exit_code == 3
    else:
        row = store.read("attempts_of", {"key": int(array.job.key, 16), "low": 0, "high": 0})[0]
        assert (row["exit_code"], row["kind"], row["message"]) == (3, "succeeded", "done")


def test_kept_instances_are_found_when_due_and_not_after_their_end(store: Any) -> None:
    _, array = submitted(store)
    attempt = AttemptId(array.job.key, 0, 1)
    store.commit(batch(attempts=[ended(array, 0, InstanceState.RUNNING, 5000), ended(array, 1, InstanceState.STOPPED, 7000)]))
    assert store.next_instance_end() == 5000
    assert [kept.position for kept in store.kept_instances(due=Instant(5000))] == [0]
    store.commit(batch(instances=[InstanceEnd(attempt, InstanceState.TERMINATED, None)]))
    assert store.next_instance_end() == 7000
    assert [kept.position for kept in store.kept_instances(key=array.job.key)] == [1]


def test_a_place_stays_until_another_is_given(store: Any) -> None:
    assert store.places() == {}
    store.commit(batch(places={"local": "j 1 10"}))
    store.commit(batch())
    assert store.places() == {"local": "j 1 10"}


def test_a_forgotten_array_leaves_only_its_trash(store: Any) -> None:
    _, array = submitted(store)
    store.commit(batch(attempts=[ended(array, 0, InstanceState.RUNNING, 5000)]))
    store.commit(batch(removed=[(array, "/files/of/it")]))
    assert store.array(array.job.id) is None
    assert store.kept_instances(due=Instant(9000)) == []
    assert store.trash() == ["/files/of/it"]
    store.forget_trash("/files/of/it")
    assert store.trash() == []


def test_arrays_come_back_in_the_order_of_their_submission(store: Any) -> None:
    for number in (2, 1, 3):
        submitted(store, number)
    assert [array.job.created_at for array in store.active()] == [1, 2, 3]


def test_readers_in_other_threads_see_what_was_committed(store: Any) -> None:
    _, array = submitted(store)
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(image(store.array(array.job.id))))
    thread.start()
    thread.join()
    assert seen == [[Status.RUNNABLE] * 4]
