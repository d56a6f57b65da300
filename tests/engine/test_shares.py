"""What the shares of a queue get under an engine, and what is remembered of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import BatchJob, Job
from spawn.domain.policies import SchedulingPolicy, Share
from spawn.domain.queues import JobQueue, Switch
from spawn.engine.catalog_changes import change, delete
from spawn.engine.news import Ended, EndKind, Started, Usage
from spawn.engine.state import EngineState
from spawn.engine.taking import take
from tests.domain.making import make_job
from tests.engine.driving import Driven
from tests.engine.placing import keep, put, running


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path, slots=4)


def shared(driven: Driven, *shares: Share, decay: float = 600, **facts: Any) -> None:
    keep(driven, SchedulingPolicy(name="p", shares=shares, decay=timedelta(seconds=decay), **facts), JobQueue(name="q", environments=("local",), policy="p"))


def simulate(driven: Driven, lengths: dict[str, float], jobs: dict[str, Job], seconds: float, step: float = 10) -> Counter[str]:
    """Let time pass; each attempt of a share takes so many seconds. The vCPU-seconds that each share had."""
    had: Counter[str] = Counter()
    begun: dict[AttemptId, Instant] = {}
    names = {job.key: share for share, job in jobs.items()}
    live = driven.running()
    for _ in range(round(seconds / step)):
        now = driven.clock.now()
        driven.provider.tell(*(Started(attempt, now) for attempt in live if attempt not in begun))
        begun = {attempt: begun.get(attempt, now) for attempt in live}
        had.update({share: round(step) * sum(names[attempt.key] == share for attempt in live) for share in jobs})
        driven.clock.advance(step)
        over = [attempt for attempt in live if driven.clock.now() - begun[attempt] >= lengths[names[attempt.key]] * 1000]
        driven.provider.tell(*(Ended(attempt, driven.clock.now(), EndKind(0, None, None), Usage()) for attempt in over))
        count = len(driven.provider.started)
        driven.engine.turn()
        live = [attempt for attempt in live if attempt not in over] + driven.provider.started[count:]
    return had


def test_shares_converge_to_their_weights_whatever_the_length_of_their_jobs(driven: Driven) -> None:
    shared(driven, Share(identifier="heavy", weight=3.0))
    jobs = {share: put(driven, 2000, share=share) for share in ("heavy", "light")}
    simulate(driven, {"heavy": 60, "light": 10}, jobs, 600)
    had = simulate(driven, {"heavy": 60, "light": 10}, jobs, 3000)
    assert had.total() == 4 * 3000, "no slot stands empty"
    assert had["light"] / had["heavy"] == pytest.approx(3.0, rel=0.1)


def test_short_jobs_in_few_slots_go_by_their_weights_from_the_beginning(tmp_path: Path) -> None:
    driven = Driven(tmp_path, slots=2)
    shared(driven, Share(identifier="favoured", weight=0.25))
    jobs = {share: put(driven, 400, share=share) for share in ("favoured", "plain")}
    had = simulate(driven, {"favoured": 1, "plain": 1}, jobs, 30, step=1)
    assert had["favoured"] / had["plain"] == pytest.approx(4.0, rel=0.2)


def test_a_share_that_comes_later_catches_up_and_no_share_starves(driven: Driven) -> None:
    shared(driven, decay=300)
    jobs = {"first": put(driven, 2000, share="first")}
    simulate(driven, {"first": 30}, jobs, 300)
    jobs["later"] = put(driven, 2000, share="later")
    lengths = {"first": 30, "later": 30}
    early = simulate(driven, lengths, jobs, 150)
    assert early["later"] > early["first"], "it has used nothing yet"
    late = simulate(driven, lengths, jobs, 2400)
    assert late["later"] / late["first"] == pytest.approx(1.0, rel=0.1)


def test_within_a_share_the_higher_priority_goes_first_and_then_the_older_job(driven: Driven) -> None:
    shared(driven)
    blocker = put(driven, 4, share="a")
    driven.clock.advance(1)
    late = [put(driven, share="a"), put(driven, share="a", priority=5), put(driven, share="a", priority=5), put(driven, share="a", vcpus=2, priority=3)]
    for attempt in running(driven, blocker):
        driven.end(attempt)
    driven.finish()
    keys = [attempt.key for attempt in driven.provider.started[4:]]
    assert keys == [late[number].key for number in (1, 2, 3, 0)]


def test_a_restart_changes_nothing_of_what_shares_have_used(driven: Driven) -> None:
    shared(driven)
    job = put(driven, 8, share="a")
    for attempt in driven.running():
        driven.begin(attempt)
    driven.clock.advance(100)
    driven.end(driven.running()[0])
    before = driven.engine.state.scheduler.uses["q", "a"]
    driven.restart()
    after = driven.engine.state.scheduler.uses["q", "a"]
    assert (after.amount, after.at, after.rate) == (pytest.approx(before.amount), before.at, 4000)
    assert after.amount > 300
    put(driven, 1, share="b")
    driven.end(running(driven, job)[0])
    assert driven.provider.started[-1].key != job.key, "b has used nothing yet"


def test_usage_counts_attempts_until_they_ended_even_if_the_engine_heard_of_it_late(driven: Driven) -> None:
    shared(driven)
    put(driven, 1, share="a")
    attempt = driven.running()[0]
    driven.begin(attempt)
    driven.clock.advance(10)
    ended_at = driven.clock.now()
    driven.clock.advance(100_000)
    put(driven, 1, share="a", vcpus=2)
    driven.provider.tell(Ended(attempt, ended_at, EndKind(0, None, None), Usage()))
    driven.engine.turn()
    assert driven.engine.state.scheduler.uses["q", "a"].rate == 2000
    assert driven.engine.state.scheduler.uses["q", "a"].amount < 1.0, "ten seconds, long ago"


def test_what_shares_of_a_deleted_queue_have_used_is_forgotten(driven: Driven) -> None:
    shared(driven)
    put(driven, 1, share="a")
    driven.finish()
    assert set(driven.store.share_uses()) == {("q", "a")}
    driven.do(lambda state: state.remove(state.catalog.queues["q"]))
    assert driven.store.share_uses() == {}


def delete_queue(driven: Driven) -> None:
    driven.do(lambda state: change(state, JobQueue, "q", lambda queue: replace(queue, state=Switch.DISABLED)))
    driven.do(lambda state: delete(state, JobQueue, "q"))


def rates(driven: Driven) -> dict[tuple[str, str], int]:
    """Thousandths of a vCPU by queue and share, after checking that nobody has used less than nothing."""
    uses = driven.engine.state.scheduler.uses
    assert all(use.amount >= 0 for use in uses.values())
    return {owner: use.rate for owner, use in uses.items()}


def test_an_attempt_that_ends_after_its_queue_was_deleted_and_made_again_is_charged_to_nobody(driven: Driven) -> None:
    shared(driven)
    put(driven, share="a")
    slow = driven.running()[0]
    driven.begin(slow)
    delete_queue(driven)
    shared(driven)
    driven.end(slow, signal=9, code=None)
    assert rates(driven) == {}
    put(driven, share="a")
    assert rates(driven) == {("q", "a"): 1000}


def test_attempts_of_a_deleted_queue_count_in_a_new_one_of_its_name_while_they_go_on(driven: Driven) -> None:
    shared(driven)
    put(driven, share="a", vcpus=2)
    slow = driven.running()[0]
    driven.begin(slow)
    delete_queue(driven)
    driven.later(10)
    shared(driven)
    put(driven, share="a")
    assert rates(driven) == {("q", "a"): 3000}, "as after a restart"
    driven.restart()
    assert rates(driven) == {("q", "a"): 3000}
    driven.later(10)
    driven.end(slow, signal=9, code=None)
    assert rates(driven) == {("q", "a"): 1000}
    driven.finish()
    assert rates(driven) == {("q", "a"): 0}
    driven.later(3600)
    put(driven, share="b")
    assert rates(driven) == {("q", "a"): 0, ("q", "b"): 1000}


def test_what_goes_on_of_a_deleted_queue_counts_whatever_else_comes_in_the_turn_of_the_first_start(driven: Driven) -> None:
    shared(driven)
    put(driven, 2, share="a")
    slow = driven.running()
    for attempt in slow:
        driven.begin(attempt)
    delete_queue(driven)
    shared(driven)
    driven.provider.tell(Ended(slow[0], driven.clock.now(), EndKind(None, 9, None), Usage()))
    put(driven, 2, share="a")
    assert rates(driven) == {("q", "a"): 3000}
    driven.finish()
    assert rates(driven) == {("q", "a"): 0}


def test_the_shares_of_unfinished_jobs_are_known_at_once(driven: Driven) -> None:
    shared(driven)
    keep(driven, JobQueue(name="other", environments=("local",), policy="p"))
    put(driven, 2, share="a")
    put(driven, share="elsewhere", queue="other")

    def shares(state: EngineState) -> set[str]:
        return set(state.scheduler.live_shares("q"))

    def submit_and_look(state: EngineState) -> set[str]:
        take(state, make_job(1000, queue="q", created_at=state.now, batch=BatchJob(definition="work:1", container={}, share="b")), {})
        return shares(state)

    assert driven.do(shares) == {"a"}
    assert driven.do(submit_and_look) == {"a", "b"}
    driven.finish()
    assert driven.do(shares) == set()


def test_what_shares_used_long_ago_is_forgotten_when_a_new_one_comes(driven: Driven) -> None:
    shared(driven, decay=10)
    put(driven, 1, share="a")
    driven.finish()
    driven.clock.advance(100)
    put(driven, 1, share="b")
    assert set(driven.store.share_uses()) == {("q", "a"), ("q", "b")}
    driven.clock.advance(101)
    put(driven, 1, share="c")
    assert set(driven.store.share_uses()) == {("q", "b"), ("q", "c")}, "b still runs"
