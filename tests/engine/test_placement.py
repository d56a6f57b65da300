"""Where attempts go under an engine: environments, consumable resources, time limits, and that a restart changes none of it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spawn.domain.consumables import ConsumableResource, Consumption
from spawn.domain.instants import Instant
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import INSUFFICIENT_CAPACITY, MAX_RESOURCE, RESOURCE_REQUIREMENT, JobQueue, StateLimit, Switch
from spawn.domain.states import Status
from spawn.engine.news import AllLost, Dropped
from tests.engine.driving import Driven
from tests.engine.placing import capped, keep, placed, put, running

S = Status


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path, slots=4)


def is_in_step(driven: Driven) -> None:
    """What the scheduler keeps up to date is what looking at every array would find."""
    state = driven.engine.state
    arrays = list(state.book.by_key.values())
    for array in arrays:
        assert array.placed == Counter(under_way.environment for under_way in array.under_way.values())
    use = state.usage()
    assert use.running == sum(array.count(S.RUNNING) for array in arrays)
    assert use.waiting == sum(array.count(S.RUNNABLE) + array.count(S.STARTING) for array in arrays)
    assert state.book.touched == {}, "nothing is looked at again that has not changed"


# --- environments -----------------------------------------------------------------------------------------------------


def test_children_of_one_array_spread_over_two_environments_and_keep_theirs_after_a_restart(driven: Driven) -> None:
    keep(driven, capped("a", 1), capped("b", 2), JobQueue(name="q", environments=("a", "b")))
    job = put(driven, 6)
    assert placed(driven, job) == {0: "a", 1: "b", 2: "b"}
    driven.begin(driven.running()[0])
    driven.restart()
    assert len(driven.running()) == 3
    driven.end(running(driven, job)[1])
    assert placed(driven, job)[3] == "b", "room came free in b alone"
    driven.end(running(driven, job)[0])
    assert placed(driven, job)[4] == "a"
    driven.finish()
    assert driven.statuses(job.id) == [S.SUCCEEDED] * 6
    environments = [row.environment for _, row in sorted(driven.store.rows(job.key))]
    assert environments == ["a", "b", "b", "b", "a", placed(driven, job)[5]]


def test_an_environment_that_was_disabled_finishes_what_it_has_and_gets_nothing_new(driven: Driven) -> None:
    keep(driven, capped("a", 1), JobQueue(name="q", environments=("a",)))
    job = put(driven, 3)
    keep(driven, capped("a", 1, state=Switch.DISABLED))
    driven.end(driven.running()[0])
    assert driven.statuses(job.id) == [S.SUCCEEDED, S.RUNNABLE, S.RUNNABLE]
    keep(driven, capped("a", 1))
    driven.engine.turn()
    driven.finish()
    assert driven.statuses(job.id) == [S.SUCCEEDED] * 3


def test_lost_and_dropped_attempts_give_their_room_back(driven: Driven) -> None:
    keep(driven, capped("a", 2), JobQueue(name="q", environments=("a",)))
    job = put(driven, 4, attempts=3)
    first, second = driven.running()
    driven.provider.tell(Dropped(first, driven.clock.now()))
    driven.engine.turn()
    assert len(running(driven, job)) == 2
    for attempt in running(driven, job):
        driven.begin(attempt)
    driven.provider.tell(AllLost(driven.clock.now()))
    driven.engine.turn()
    array = driven.engine.state.book.by_id[job.id]
    assert array.placed == {"a": 2}
    is_in_step(driven)
    assert len(array.under_way) == 2
    assert second in driven.provider.known


def test_a_higher_queue_is_served_before_an_older_job_of_a_lower_one(driven: Driven) -> None:
    keep(driven, JobQueue(name="low", priority=1, environments=("local",)), JobQueue(name="high", priority=2, environments=("local",)))
    low = put(driven, 9, queue="low")
    high = put(driven, 2, queue="high")
    for attempt in running(driven, low)[:2]:
        driven.end(attempt)
    assert len(running(driven, high)) == 2


def test_index_order_is_kept_and_no_index_is_run_twice_at_once(driven: Driven) -> None:
    keep(driven, capped("a", 1), capped("b", 1), SchedulingPolicy(name="p"), JobQueue(name="q", environments=("a", "b"), policy="p"))
    jobs = [put(driven, 8, share=share, attempts=2) for share in ("x", "y")]
    for turn in range(40):
        live = driven.running()
        if not live:
            break
        assert len({(attempt.key, attempt.position) for attempt in live}) == len(live) <= 2
        driven.begin(live[0])
        driven.end(live[0], 1 if turn % 5 == 0 else 0)
        is_in_step(driven)
        if turn == 7:
            driven.restart()
            is_in_step(driven)
    for job in jobs:
        firsts = [attempt.position for attempt in driven.provider.started if attempt.key == job.key and attempt.attempt == 1]
        assert firsts == sorted(firsts) == list(range(8))


# --- consumable resources ---------------------------------------------------------------------------------------------


def test_a_resource_caps_an_array_and_is_given_back_at_every_end_also_over_a_restart(driven: Driven) -> None:
    keep(driven, ConsumableResource(name="licence", total=2, created_at=Instant(0)), JobQueue(name="q", environments=("local",)))
    job = put(driven, 6, consumables={"licence": 1}, attempts=2)
    assert len(running(driven, job)) == 2
    assert driven.do(lambda state: state.consumption()) == {"licence": 2}
    assert dict(driven.store.read("consumption")) == {"licence": 2}
    driven.restart()
    assert driven.do(lambda state: state.consumption()) == {"licence": 2}
    first = running(driven, job)[0]
    driven.begin(first)
    driven.end(first, 1)
    assert [(a.position, a.attempt) for a in running(driven, job)] == [(1, 1), (0, 2)], "the retry takes what the failed attempt gave back"
    keep(driven, ConsumableResource(name="licence", total=1, created_at=Instant(0)))
    driven.end(running(driven, job)[0])
    assert len(running(driven, job)) == 1, "lowering the total stops new starts alone"
    driven.finish()
    assert driven.statuses(job.id) == [S.SUCCEEDED] * 6
    assert driven.do(lambda state: state.consumption()) == {}


def test_what_does_not_come_back_is_used_up_with_the_commit_that_starts_the_attempt(driven: Driven) -> None:
    resource = ConsumableResource(name="coupon", total=5, consumption=Consumption.NON_REPLENISHABLE, created_at=Instant(0))
    keep(driven, resource, JobQueue(name="q", environments=("local",)))
    job = put(driven, 6, consumables={"coupon": 2})
    assert (driven.store.catalog().consumables["coupon"].used, len(running(driven, job))) == (4, 2)
    driven.finish()
    driven.restart()
    assert driven.statuses(job.id) == [S.SUCCEEDED] * 2 + [S.RUNNABLE] * 4
    assert driven.store.catalog().consumables["coupon"].remaining == 1
    assert driven.do(lambda state: state.consumption()) == {}


# --- time limits ------------------------------------------------------------------------------------------------------


def limited(*reasons: str, **facts: Any) -> JobQueue:
    limits = tuple(StateLimit(reason=reason, limit=timedelta(minutes=10)) for reason in reasons)
    return JobQueue(**({"name": "q", "environments": ("local",), "limits": limits} | facts))


def test_a_job_that_can_never_run_is_cancelled_when_its_time_at_the_head_is_over_also_over_a_restart(driven: Driven) -> None:
    keep(driven, limited(RESOURCE_REQUIREMENT))
    job = put(driven, 3, vcpus=32)
    driven.later(400)
    driven.restart()
    driven.later(199)
    assert driven.statuses(job.id) == [S.RUNNABLE] * 3
    assert driven.engine.turn() == pytest.approx(1.0), "the engine wakes in time"
    driven.later(1)
    row = driven.row(job.id)
    assert (row.status, row.reason) == (S.FAILED, "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert driven.statuses(job.id) == [S.FAILED] * 3


def test_the_next_job_at_the_head_has_its_own_time(driven: Driven) -> None:
    keep(driven, limited(RESOURCE_REQUIREMENT))
    first, second = put(driven, vcpus=32), put(driven, vcpus=64)
    driven.later(600)
    assert (driven.row(first.id).status, driven.row(second.id).status) == (S.FAILED, S.RUNNABLE)
    driven.engine.turn()
    driven.later(599)
    assert driven.row(second.id).status is S.RUNNABLE
    driven.later(1)
    assert driven.row(second.id).status is S.FAILED


def test_only_the_reason_that_the_queue_names_counts(driven: Driven) -> None:
    keep(driven, capped("a", 1), limited(RESOURCE_REQUIREMENT, environments=("a",)))
    job = put(driven, vcpus=2)
    driven.later(3600)
    assert driven.row(job.id).status is S.RUNNABLE
    keep(driven, limited(MAX_RESOURCE, environments=("a",)))
    driven.engine.turn()
    row = driven.row(job.id)
    assert (row.status, row.reason) == (S.FAILED, f"Canceled by JobStateTimeLimit action due to reason: {MAX_RESOURCE}"), "it has been there for an hour"


def test_a_job_that_may_run_again_in_time_is_not_cancelled(driven: Driven) -> None:
    keep(driven, capped("a", 1), limited(MAX_RESOURCE, environments=("a",)))
    job = put(driven, vcpus=2)
    driven.later(599)
    keep(driven, capped("a", 2))
    driven.later(2)
    assert len(running(driven, job)) == 1
    assert driven.store.heads() == {}


def test_no_room_on_the_host_for_what_the_environment_would_take_is_insufficient_capacity(driven: Driven) -> None:
    keep(driven, capped("cloud", 256), limited(INSUFFICIENT_CAPACITY, environments=("cloud",)))
    other = driven.submit(indexes="4")
    job = put(driven, 3)
    driven.later(600)
    assert driven.statuses(job.id) == [S.FAILED, S.RUNNABLE, S.RUNNABLE], "the child at the head; the next one may find room"
    driven.finish()
    assert driven.statuses(job.id) == [S.FAILED, S.SUCCEEDED, S.SUCCEEDED]
    assert driven.row(other).status is S.SUCCEEDED


def test_on_a_full_host_the_limits_of_every_queue_count_not_of_the_first_alone(driven: Driven) -> None:
    queues = [limited(INSUFFICIENT_CAPACITY, name=name, priority=priority, environments=("cloud",)) for name, priority in (("high", 2), ("low", 1))]
    keep(driven, capped("cloud", 256), *queues)
    driven.submit(indexes="4")
    jobs = [put(driven, queue=name) for name in ("low", "high")]
    driven.later(599)
    assert [driven.row(job.id).status for job in jobs] == [S.RUNNABLE] * 2
    driven.later(1)
    assert [driven.row(job.id).status for job in jobs] == [S.FAILED] * 2
