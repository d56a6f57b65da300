"""Taking what SubmitJob asks: the part of it that needs the engine's state, run in the engine's thread (spec 2.10 and 2.11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from spawn.domain.catalog import Catalog
from spawn.domain.definitions import Merged
from spawn.domain.dependencies import Dependency, resolve
from spawn.domain.errors import NotFound, UsageError
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.indexes import IndexSet
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.jobs import BatchJob, Demand, Job, Work
from spawn.domain.queues import LOCAL_ENVIRONMENT, PROCESS, ComputeEnvironment, Family, JobQueue, may_submit
from spawn.domain.submission_rules import check_capability, check_share, check_share_count
from spawn.engine.state import EngineState
from spawn.engine.submission import GRACE_S, UMASK
from spawn.engine.taking import free_key, random_key, take, targets_of

CPUS: Final = 1000
"""Thousandths of a vCPU that a job takes whose definition states none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSubmission:
    """A SubmitJob as it was read: what can be checked without looking at anything else has been."""

    name: str
    queue: str  #: the queue's name
    size: int | None  #: children of an array; None: a single job
    depends_on: tuple[Dependency, ...]
    merged: Merged
    environment: Mapping[str, str] = field(repr=False)  #: of each process, whole
    batch: BatchJob
    priority_override: int | None
    tags: Mapping[str, str]
    doom: str | None  #: why it is accepted and fails before it runs; None: it may run


def submit(state: EngineState, asked: BatchSubmission, *, draw_id: Callable[[], JobId], draw_key: Callable[[], ArrayKey] = random_key) -> Job:
    """Take a job: all of it is checked before anything is kept. What depends on a failed job is taken, and fails at once."""
    queue = open_queue(state.catalog, asked.queue)
    _check_share(state, asked, queue)
    environments = [state.catalog.environment(name) for name in queue.environments]
    check_capability(asked.batch.platform_capabilities, map(_capabilities, environments))
    _check_command(asked, queue, environments)
    _check_consumables(state.catalog, asked.batch)
    targets = targets_of(state, asked.depends_on)
    indexes = None if asked.size is None else IndexSet(ranges=(range(asked.size),))
    waits = resolve(asked.depends_on, targets=targets, indexes=indexes, accept_failed=True)
    merged = asked.merged
    job = Job(
        id=draw_id(),
        key=free_key(state, draw_key),
        name=asked.name,
        queue=queue.name,
        indexes=indexes,
        work=_work(asked, state.provider.features()),
        demand=Demand(cpus=merged.requirements.cpus or CPUS, memory=merged.requirements.memory or 0),
        retry=merged.retry,
        timeout=merged.timeout,
        lifetime=Lifetime(on_complete=OnComplete.TERMINATE),
        grace=timedelta(seconds=GRACE_S),
        max_failures=None,
        tags=asked.tags,
        depends_on=asked.depends_on,
        waits=waits,
        cloud={},
        created_at=state.now,
        batch=asked.batch,
    )
    if waits:
        state.adopt_dependencies(job)
    array = take(state, job, targets)
    if asked.doom is not None and not array.settled:
        array.reason = asked.doom
        state.book.fail_waiting(array, asked.doom, state.now)
        state.book.settle_news(state.now)
    return job


def open_queue(catalog: Catalog, name: str) -> JobQueue:
    """The queue of a name, if it exists (NotFound) and takes jobs now (Conflict)."""
    queue = catalog.queues.get(name)
    if queue is None:
        raise NotFound(f"JobQueue {name} not found.")
    may_submit(queue)
    return queue


def _check_share(state: EngineState, asked: BatchSubmission, queue: JobQueue) -> None:
    share = asked.batch.share
    check_share(share, asked.priority_override, fair_share=queue.policy is not None)
    if share is not None:
        check_share_count(share, state.scheduler.live_shares(queue.name))


def _capabilities(environment: ComputeEnvironment) -> frozenset[str]:
    """What an environment runs: the one that is this machine everything, any other what its machines are."""
    if environment.name == LOCAL_ENVIRONMENT:
        return frozenset(family.value for family in Family)
    return frozenset((environment.family.value,))


def _check_command(asked: BatchSubmission, queue: JobQueue, environments: list[ComputeEnvironment]) -> None:
    """Refuse a job that only its image could give a command, where nothing looks at images."""
    if not asked.merged.command and all(environment.runtime == PROCESS for environment in environments):
        raise UsageError(
            f"The job definition {asked.batch.definition} has no command, and the compute environments of job queue '{queue.name}' run commands "
            "as processes, without an image that could have one: give a command in the job definition or in containerOverrides"
        )


def _check_consumables(catalog: Catalog, batch: BatchJob) -> None:
    for name in batch.consumables:
        if name not in catalog.consumables:
            raise NotFound(f"Consumable resource {name} not found.")


def _work(asked: BatchSubmission, features: Mapping[str, str | None]) -> Work:
    return Work(
        script=None,
        command=asked.merged.command,
        environment=asked.environment,
        given=(),
        workdir="",
        private_tmp=features["private_tmp"] is None,
        compat_env=True,
        umask=UMASK,
    )
