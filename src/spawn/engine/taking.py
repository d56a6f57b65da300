"""Taking a job into the book, whatever door it came through."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping

from spawn.domain.arrays import ArrayJob
from spawn.domain.dependencies import Dependency, Target
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.jobs import Job
from spawn.domain.queues import EC2_PLACE, ec2_environment, ec2_queue
from spawn.engine.state import EngineState


def random_key() -> ArrayKey:
    """Ten random hex digits."""
    return ArrayKey(secrets.token_hex(5))


def free_key(state: EngineState, draw_key: Callable[[], ArrayKey]) -> ArrayKey:
    """A key that no job has."""
    key = draw_key()
    while key in state.book.by_key or state.store.array_by_key(key) is not None:
        key = draw_key()
    return key


def open_ec2(state: EngineState) -> None:
    """Make the queue of arrays on EC2, with its compute environment, unless they are there."""
    if EC2_PLACE not in state.catalog.environments:
        state.put(ec2_environment())
    if EC2_PLACE not in state.catalog.queues:
        state.put(ec2_queue())


def targets_of(state: EngineState, depends_on: Iterable[Dependency]) -> dict[JobId, Target]:
    """What has to be known of the jobs that another one wants to wait for, without those that do not exist."""
    found: dict[JobId, Target] = {}
    for job in {dependency.job for dependency in depends_on if dependency.job is not None}:
        array = state.book.by_id.get(job)
        target = state.store.target(job) if array is None else Target(job=job, status=array.parent_status, indexes=array.job.indexes)
        if target is not None:
            found[job] = target
    return found


def take(state: EngineState, job: Job, targets: Mapping[JobId, Target], *, max_concurrent: int | None = None) -> ArrayJob:
    """Put a new job, whose dependencies have been adopted, into the book and into what this turn writes down."""
    statuses = {waited: targets[waited].status for waited in job.waits.whole}
    array = state.book.submit(job, statuses=statuses, at=state.now, max_concurrent=max_concurrent)
    state.batch.jobs.append(array)
    return array
