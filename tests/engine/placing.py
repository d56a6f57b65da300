"""Jobs of Batch clients under an engine driven by hand: what they are put into, and what became of them."""

from __future__ import annotations

from itertools import count
from typing import Any

from spawn.domain.catalog import Resource
from spawn.domain.ids import AttemptId
from spawn.domain.jobs import BatchJob, Demand, Job
from spawn.domain.queues import ComputeEnvironment
from spawn.domain.retries import RetryStrategy
from spawn.engine.taking import take
from tests.domain.making import make_job
from tests.engine.driving import Driven

NUMBERS = count(1)


def keep(driven: Driven, *resources: Resource) -> None:
    for resource in resources:
        driven.do(lambda state, resource=resource: state.put(resource))


def capped(name: str, vcpus: int, **facts: Any) -> ComputeEnvironment:
    return ComputeEnvironment(name=name, provider="local", max_cpus=vcpus * 1000, **facts)


def put(driven: Driven, size: int | None = None, *, queue: str = "q", vcpus: int = 1, attempts: int = 1, **batch: Any) -> Job:
    """A job of a Batch client in a queue, submitted now."""
    facts: dict[str, Any] = {"queue": queue, "demand": Demand(cpus=vcpus * 1000, memory=0), "retry": RetryStrategy(attempts=attempts)}
    job = make_job(next(NUMBERS), size, created_at=driven.clock.now(), batch=BatchJob(definition="work:1", container={}, **batch), **facts)
    driven.do(lambda state: take(state, job, {}))
    driven.engine.turn()
    return job


def placed(driven: Driven, job: Job) -> dict[int, str]:
    """Position and environment of everything of a job that was ever handed over."""
    return {attempt.position: where for attempt, where in driven.provider.placed.items() if attempt.key == job.key}


def running(driven: Driven, *jobs: Job) -> list[AttemptId]:
    return [attempt for attempt in driven.running() if attempt.key in {job.key for job in jobs}]
