"""What becomes of arrays under an engine: order, retries, limits, restarts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from spawn.domain.errors import Conflict, InvalidField, NotFound, StoreUnavailable, UsageError
from spawn.domain.ids import AttemptId
from spawn.domain.states import InstanceState, Status
from spawn.engine import commands
from spawn.engine.news import AllLost, Completed, Dropped, Ended, EndKind, Lost, Refused, Started, Usage
from tests.engine.driving import Driven

S = Status


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path)


def positions(attempts: list[AttemptId]) -> list[int]:
    return [attempt.position for attempt in attempts]


def test_children_are_handed_over_in_the_order_of_their_indexes(driven: Driven) -> None:
    driven.submit(indexes="20")
    driven.finish()
    assert positions(driven.provider.started) == list(range(20))


def test_an_array_succeeds_when_every_child_has(driven: Driven) -> None:
    job = driven.submit(indexes="3")
    driven.finish()
    row = driven.row(job)
    assert (row.status, row.reason, row.counts) == (S.SUCCEEDED, None, (0, 0, 0, 0, 0, 3, 0))
    assert row.started_at is not None
    assert row.stopped_at is not None


def test_a_failing_child_does_not_stop_its_siblings_and_fails_the_array_at_the_end(driven: Driven) -> None:
    job = driven.submit(indexes="5")
    driven.finish({1: 3})
    assert driven.statuses(job) == [S.SUCCEEDED, S.FAILED, S.SUCCEEDED, S.SUCCEEDED, S.SUCCEEDED]
    assert driven.row(job).reason == "Array Child Job failed"


def test_a_failed_attempt_is_retried_under_the_next_number_and_keeps_its_record(driven: Driven) -> None:
    job = driven.submit(indexes="1", retries=2)
    driven.finish({0: 9})
    assert [row["attempt"] for row in driven.attempts(job, 0)] == [1, 2, 3]
    assert {row["exit_code"] for row in driven.attempts(job, 0)} == {9}
    assert driven.statuses(job) == [S.FAILED]


def test_a_lost_attempt_is_recorded_as_lost_and_goes_by_the_retry_rules(driven: Driven) -> None:
    job = driven.submit(indexes="1", retries=1, retry_on=("lost",))
    attempt = driven.running()[0]
    driven.begin(attempt)
    driven.provider.tell(Lost(attempt, driven.clock.now()))
    driven.engine.turn()
    assert driven.attempts(job, 0)[0]["status_reason"] == f"Host EC2 (instance {attempt.instance_id}) terminated."
    driven.finish()
    assert driven.statuses(job) == [S.SUCCEEDED]


def test_a_sequence_stops_at_the_first_failure(driven: Driven) -> None:
    job = driven.submit(indexes="4", sequential=True)
    driven.finish({1: 1})
    assert positions(driven.provider.started) == [0, 1]
    assert driven.statuses(job) == [S.SUCCEEDED, S.FAILED, S.FAILED, S.FAILED]


def test_n_to_n_children_wait_for_their_own_index_only(driven: Driven) -> None:
    first = driven.submit(indexes="3")
    second = driven.submit(indexes="3", depends_on=({"id": first, "type": "N_TO_N"},))
    a0 = driven.running()[0]
    driven.end(a0)
    assert driven.statuses(second)[0] in (S.RUNNABLE, S.STARTING)
    assert driven.statuses(second)[1:] == [S.PENDING, S.PENDING]
    driven.finish({1: 1})
    assert driven.statuses(second) == [S.SUCCEEDED, S.FAILED, S.SUCCEEDED]
    assert driven.row(second).reason == "Array Child Job failed"


def test_a_failed_dependency_fails_what_waits_for_it_without_running_it(driven: Driven) -> None:
    first = driven.submit(indexes="2")
    second = driven.submit(depends_on=({"id": first, "type": None},))
    driven.finish({0: 1})
    row = driven.row(second)
    assert (row.status, row.reason) == (S.FAILED, "Dependent Job failed")
    assert row.stopped_at is not None


def test_more_failures_than_allowed_keep_the_rest_from_starting(driven: Driven) -> None:
    job = driven.submit(indexes="50", max_failures="1", max_concurrent=1)
    driven.finish(dict.fromkeys(range(50), 1))
    assert len(driven.provider.started) == 2
    assert driven.row(job).counts[S.FAILED] == 50
    assert driven.statuses(job)[49] is S.FAILED


def test_nothing_that_was_committed_is_lost_in_a_restart(driven: Driven) -> None:
    job = driven.submit(indexes="6", retries=1)
    first, second = driven.running()[:2]
    driven.begin(first)
    driven.end(first, 1)
    driven.begin(second)
    before = driven.statuses(job)
    driven.restart()
    assert driven.statuses(job) == before
    driven.finish()
    assert driven.statuses(job) == [S.SUCCEEDED] * 6
    assert len(driven.provider.started) == len(set(driven.provider.started)) == 7


def test_what_was_starting_when_the_engine_died_is_handed_over_again_under_the_same_id(driven: Driven) -> None:
    driven.submit(indexes="2")
    given = list(driven.provider.started)
    driven.provider.started.clear()
    driven.provider.known.clear()
    driven.restart()
    assert driven.provider.started == given


def test_a_provider_without_memory_loses_everything_under_way(driven: Driven) -> None:
    job = driven.submit(indexes="2")
    for attempt in driven.running():
        driven.begin(attempt)
    driven.provider.tell(AllLost(driven.clock.now()))
    driven.engine.turn()
    assert driven.statuses(job) == [S.FAILED, S.FAILED]
    assert driven.attempts(job, 0)[0]["kind"] == "lost"


def test_late_news_is_recorded_and_changes_nothing(driven: Driven) -> None:
    job = driven.submit(indexes="1")
    attempt = driven.running()[0]
    driven.begin(attempt)
    driven.provider.tell(Completed(attempt, driven.clock.now(), True, "done"))
    driven.engine.turn()
    assert driven.statuses(job) == [S.SUCCEEDED]
    driven.end(attempt, 3)
    assert driven.statuses(job) == [S.SUCCEEDED]
    assert driven.attempts(job, 0)[0]["exit_code"] == 3


def test_an_attempt_that_could_not_be_made_failed_to_start(driven: Driven) -> None:
    job = driven.submit(indexes="1")
    attempt = driven.running()[0]
    driven.provider.tell(Refused(attempt, driven.clock.now(), "CannotStartContainerError: no such file: nope"))
    driven.engine.turn()
    record = driven.attempts(job, 0)[0]
    assert (record["status_reason"], record["reason"]) == ("Task failed to start", "CannotStartContainerError: no such file: nope")


def test_terminating_stops_what_runs_and_fails_the_rest_at_once(driven: Driven) -> None:
    job = driven.submit(indexes="5", retries=3)
    running = driven.running()
    driven.begin(running[0])
    driven.do(lambda state: commands.terminate(state, job, None, reason="wrong input", grace_s=None, dry_run=False))
    assert set(driven.provider.stopped) == set(running)
    driven.provider.tell(Ended(running[0], driven.clock.now(), EndKind(None, 15, "stopped"), Usage()))
    driven.provider.tell(*[Dropped(attempt, driven.clock.now()) for attempt in running[1:]])
    driven.engine.turn()
    row = driven.row(job)
    assert (row.status, row.reason, row.counts[S.FAILED]) == (S.FAILED, "wrong input", 5)
    assert driven.attempts(job, 0)[0]["exit_code"] == 143


def test_cancelling_leaves_what_runs_alone(driven: Driven) -> None:
    job = driven.submit(indexes="30")
    under_way = len(driven.running())
    driven.do(lambda state: commands.cancel(state, job, None, reason="enough", dry_run=False))
    driven.finish()
    row = driven.row(job)
    assert row.counts[S.SUCCEEDED] == under_way
    assert (row.status, row.reason, row.counts[S.FAILED]) == (S.FAILED, "enough", 30 - under_way)


def test_retry_runs_failed_children_again_under_the_same_id(driven: Driven) -> None:
    job = driven.submit(indexes="4")
    driven.finish({2: 1})
    done = driven.do(lambda state: commands.retry(state, job, [2], dry_run=False))
    assert done.positions == (2,)
    assert driven.row(job).status is S.PENDING
    driven.finish()
    assert driven.row(job).status is S.SUCCEEDED
    assert [row["exit_code"] for row in driven.attempts(job, 2)] == [1, 0]
    assert driven.attempts(job, 0)[-1]["attempt"] == 1


def test_retry_after_a_restart_goes_on_counting(driven: Driven) -> None:
    job = driven.submit(indexes="2", retries=1)
    driven.finish({1: 1})
    driven.restart()
    driven.do(lambda state: commands.retry(state, job, [1], dry_run=False))
    driven.finish({1: 1})
    assert [row["attempt"] for row in driven.attempts(job, 1)] == [1, 2, 3, 4]


def test_a_dependent_child_is_not_retried_before_what_it_depends_on(driven: Driven) -> None:
    first = driven.submit(indexes="2")
    second = driven.submit(indexes="2", depends_on=({"id": first, "type": "N_TO_N"},))
    driven.finish({1: 1})
    refused = driven.do(lambda state: commands.retry(state, second, [1], dry_run=False))
    assert refused.positions == ()
    assert f"{first}:1" in next(iter(refused.skipped))
    driven.do(lambda state: commands.retry(state, first, [1], dry_run=False))
    driven.do(lambda state: commands.retry(state, second, [1], dry_run=False))
    driven.finish()
    assert driven.statuses(second) == [S.SUCCEEDED, S.SUCCEEDED]


def test_a_kept_instance_ends_at_its_ttl_and_not_with_its_attempt(driven: Driven) -> None:
    job = driven.submit(indexes="1", command=None, script="#!/bin/sh\n", ttl_s=1800.0)
    driven.finish()
    record = driven.attempts(job, 0)[0]
    assert record["instance"] == InstanceState.RUNNING.value
    driven.later(1789)
    assert driven.provider.released == []
    driven.later(2)
    assert driven.provider.released == [(job, 0, 1)]
    assert driven.attempts(job, 0)[0]["instance"] == InstanceState.TERMINATED.value


def test_extending_moves_the_end_of_a_kept_instance_also_over_a_restart(driven: Driven) -> None:
    job = driven.submit(indexes="1", command=None, script="#!/bin/sh\n", ttl_s=60.0)
    driven.finish()
    driven.do(lambda state: commands.extend(state, job, None, ttl_s=600.0, dry_run=False))
    driven.restart()
    driven.later(300)
    assert driven.provider.released == []
    driven.later(301)
    assert driven.provider.released == [(job, 0, 1)]


def test_extending_a_running_child_tells_the_provider_and_survives(driven: Driven) -> None:
    job = driven.submit(indexes="1", command=None, script="#!/bin/sh\n", ttl_s=60.0)
    attempt = driven.running()[0]
    driven.begin(attempt)
    driven.do(lambda state: commands.extend(state, job, None, ttl_s=600.0, dry_run=False))
    assert [entry[0] for entry in driven.provider.extended] == [attempt]
    driven.restart()
    driven.end(attempt)
    assert driven.attempts(job, 0)[0]["instance_ends_at"] == driven.clock.now() + 600_000


def test_forgetting_needs_an_end_and_then_leaves_nothing(driven: Driven) -> None:
    job = driven.submit(indexes="2")
    with pytest.raises(Conflict, match="has not finished"):
        driven.do(lambda state: commands.remove(state, job, dry_run=False))
    driven.finish()
    driven.do(lambda state: commands.remove(state, job, dry_run=False))
    assert driven.store.job(job) is None
    assert driven.provider.discarded == [f"/nowhere/{job}"]
    driven.engine.turn()
    assert driven.store.trash() == []


def test_a_dry_run_keeps_nothing(driven: Driven) -> None:
    driven.submit(indexes="3", dry_run=True)
    assert driven.store.counts() == (0, 0)
    assert driven.provider.started == []


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"indexes": "5-2"}, UsageError, "5-2"),
        ({"cpus": 64}, InvalidField, "more than the 2 vCPUs"),
        ({"memory_mib": 1 << 30}, InvalidField, "MiB of this machine"),
        ({"command": None, "script": "echo hi"}, InvalidField, "#!"),
        ({"depends_on": ({"id": "array-nope", "type": None},)}, NotFound, "array-nope"),
        ({"retries": 0, "retry_on": ("oom",)}, InvalidField, "--retries"),
        ({"ttl_s": 0.0}, InvalidField, "--ttl"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_kept(driven: Driven, asked: dict[str, object], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        driven.submit(**asked)
    assert driven.store.counts() == (0, 0)


def test_a_started_child_shows_as_running_with_its_time(driven: Driven) -> None:
    job = driven.submit(indexes="2")
    driven.provider.tell(Started(driven.running()[0], driven.clock.now()))
    driven.engine.turn()
    assert driven.statuses(job)[0] is S.RUNNING
    assert driven.row(job).started_at == driven.clock.now()


def test_a_child_of_a_sequence_is_not_retried_before_the_one_before_it(driven: Driven) -> None:
    job = driven.submit(indexes="4", sequential=True)
    driven.finish({1: 1})
    refused = driven.do(lambda state: commands.retry(state, job, [2, 3], dry_run=False))
    assert refused.positions == ()
    assert driven.do(lambda state: commands.retry(state, job, [1, 2, 3], dry_run=False)).positions == (1, 2, 3)
    driven.finish()
    assert driven.statuses(job) == [S.SUCCEEDED] * 4


def test_a_cancelled_child_that_had_begun_can_be_retried(driven: Driven) -> None:
    job = driven.submit(indexes="1")
    driven.do(lambda state: commands.cancel(state, job, [0], reason="enough", dry_run=False))
    driven.finish({0: 1})
    assert driven.statuses(job) == [S.FAILED]
    driven.do(lambda state: commands.retry(state, job, [0], dry_run=False))
    driven.finish()
    assert driven.statuses(job) == [S.SUCCEEDED]


def test_a_dependency_that_fails_when_run_again_does_not_fail_what_it_set_free(driven: Driven) -> None:
    first = driven.submit(indexes="2")
    driven.finish()
    second = driven.submit(indexes="3", sequential=True, depends_on=({"id": first, "type": None},))
    driven.begin(driven.running()[0])
    driven.do(lambda state: commands.retry(state, first, [1], dry_run=False))
    again = next(attempt for attempt in driven.running() if attempt.attempt == 2)
    driven.end(again, 1)
    driven.restart()
    assert driven.row(first).status is S.FAILED
    driven.finish()
    assert driven.statuses(second) == [S.SUCCEEDED] * 3


def test_what_depends_on_something_forgotten_is_not_retried(driven: Driven) -> None:
    first = driven.submit(indexes="2")
    second = driven.submit(indexes="2", depends_on=({"id": first, "type": None},))
    driven.finish({0: 1})
    driven.do(lambda state: commands.remove(state, first, dry_run=False))
    refused = driven.do(lambda state: commands.retry(state, second, [0, 1], dry_run=False))
    assert refused.positions == ()


def test_extending_a_stopped_instance_leaves_it_stopped(driven: Driven) -> None:
    job = driven.submit(indexes="1", command=None, script="#!/bin/sh\n", on_complete="stop")
    driven.finish()
    driven.do(lambda state: commands.extend(state, job, None, ttl_s=600.0, dry_run=False))
    assert driven.attempts(job, 0)[0]["instance"] == "stopped"


def test_an_attempt_that_said_it_failed_is_stopped_before_the_next_one(driven: Driven) -> None:
    driven.submit(indexes="1", retries=1)
    attempt = driven.running()[0]
    driven.begin(attempt)
    driven.provider.tell(Completed(attempt, driven.clock.now(), False, "no input"))
    driven.engine.turn()
    assert driven.provider.stopped == [attempt]


def test_an_idle_engine_takes_no_more_commands_once_it_has_decided_to_end(driven: Driven) -> None:
    driven.submit(indexes="1")
    assert driven.do(lambda state: state.is_idle()) is False
    driven.finish()
    thread = threading.Thread(target=lambda: driven.engine.retire_if(lambda state: state.is_idle()))
    thread.start()
    while thread.is_alive():
        driven.engine.turn()
        thread.join(0.001)
    with pytest.raises(StoreUnavailable, match="nothing to do"):
        driven.submit(indexes="1")


def test_an_engine_that_has_ended_refuses_instead_of_waiting(driven: Driven) -> None:
    driven.engine.close()
    driven.engine.run()
    with pytest.raises(StoreUnavailable, match="has ended"):
        driven.engine.call(lambda state: state.is_idle())


@pytest.mark.parametrize(
    "asked",
    [
        {"grace_s": -1.0},
        {"ttl_s": 1e300},
        {"memory_mib": -5},
        {"workdir": "here"},
        {"environment": {"A": "x\0"}},
        {"env": {"": "x"}},
        {"command": ("a\0b",)},
        {"umask": 4096},
    ],
)
def test_values_that_no_process_can_be_given_are_refused(driven: Driven, asked: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        driven.submit(**asked)
    assert driven.store.counts() == (0, 0)
