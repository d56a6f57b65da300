"""What it costs to decide who goes next, with many jobs waiting: a turn of the loop must not look at all of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks.figures import Figure, median
from spawn.domain.arrays import ArrayJob
from spawn.domain.book import JobBook
from spawn.domain.catalog import Catalog
from spawn.domain.consumables import ConsumableResource
from spawn.domain.dependencies import Waits
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.instants import Instant
from spawn.domain.jobs import BatchJob, Demand, Job, Work
from spawn.domain.outcomes import Outcome
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.domain.retries import RetryStrategy
from spawn.domain.scheduling import Capacity
from spawn.engine.placement import Scheduler, Start

GOAL_MS = 1.0
GOAL_OF_SHARES_MS = 3.0
TURNS = 200
HOST = Capacity(cpus=8000, memory=1 << 20)
CATALOG = Catalog.of(
    [
        ComputeEnvironment(name="a", provider="local", max_cpus=3000),
        ComputeEnvironment(name="b", provider="local", max_cpus=3000),
        SchedulingPolicy(name="p"),
        ConsumableResource(name="none-left", total=0, created_at=Instant(0)),
        JobQueue(name="plain", environments=("local",)),
        JobQueue(name="three", environments=("a", "b", "local")),
        JobQueue(name="fair", environments=("local",), policy="p"),
    ]
)
WORK = Work(script=None, command=("true",), environment={}, given=(), workdir="/", private_tmp=False, compat_env=True)


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """A turn in which one child ends and the next one is chosen, by what waits."""
    count = 3_000 if quick else 30_000
    cases: dict[str, Callable[[int], Job]] = {
        f"{count:,} single jobs wait in one queue": lambda number: job(number, "plain"),
        f"{count:,} single jobs wait for three compute environments": lambda number: job(number, "three"),
        f"{count:,} single jobs of 100 shares wait": lambda number: job(number, "fair", share=f"share{number % 100}"),
        f"{count:,} single jobs wait behind as many that can never run": lambda number: job(number, "plain", vcpus=64 if number < count else 1),
        f"{count:,} single jobs wait behind as many that wait for a resource": lambda number: job(
            number, "plain", consumables={"none-left": 1} if number < count else {}
        ),
    }
    found = []
    for what, make in cases.items():
        behind = 2 if "behind" in what else 1
        took = median([seconds_a_turn(make, count * behind) for _ in range(rounds)])
        # every share is weighed anew in every turn, since what each has used fades
        goal = GOAL_OF_SHARES_MS if "shares" in what else GOAL_MS
        found.append(Figure(what=what, command="", value=f"{took * 1000:.3f} ms a turn", goal=f"≤ {goal:g} ms", met=took * 1000 <= goal))
    return found


def seconds_a_turn(make: Callable[[int], Job], count: int) -> float:
    """The mean over many turns in each of which one attempt ends."""
    book = JobBook()
    scheduler = Scheduler(book)
    for number in range(count):
        book.submit(make(number), statuses={}, at=Instant(number))
    now = Instant(count)
    running = deque(attempts_of(scheduler.place(CATALOG, HOST, now)))
    scheduler.written(CATALOG)
    book.written()
    began = time.perf_counter()
    for _ in range(TURNS):
        now = Instant(now + 1000)
        array, attempt = running.popleft()
        book.started(attempt, now)
        book.ended(attempt, Outcome.exited(0), now)
        scheduler.ended(array, now, now, CATALOG)
        running += attempts_of(scheduler.place(CATALOG, HOST, now))
        scheduler.written(CATALOG)
        book.written()
        book.evict_settled()
    return (time.perf_counter() - began) / TURNS


def attempts_of(starts: list[Start]) -> list[tuple[ArrayJob, AttemptId]]:
    """What was handed over, in order."""
    return [(array, AttemptId(array.job.key, position, attempt)) for array, attempts, _ in starts for position, attempt in attempts]


def job(number: int, queue: str, *, vcpus: int = 1, **batch: Any) -> Job:
    """A single job of a Batch client."""
    return Job(
        id=JobId(f"job-{number}"),
        key=ArrayKey(f"{number:010x}"),
        name="work",
        queue=queue,
        indexes=None,
        work=WORK,
        demand=Demand(cpus=vcpus * 1000, memory=0),
        retry=RetryStrategy(attempts=1),
        timeout=None,
        lifetime=Lifetime(on_complete=OnComplete.TERMINATE),
        grace=timedelta(seconds=30),
        max_failures=None,
        tags={},
        depends_on=(),
        waits=Waits(),
        cloud={},
        created_at=Instant(number),
        batch=BatchJob(definition="work:1", container={}, **batch),
    )
