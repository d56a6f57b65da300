"""Taking an array that was launched elsewhere into the store, as if it had been launched here."""

from __future__ import annotations

from dataclasses import replace

from spawn.domain.arrays import ArrayJob
from spawn.domain.dependencies import Waits
from spawn.domain.errors import Conflict
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.jobs import Job
from spawn.domain.queues import DEFAULT_QUEUE, EC2_PLACE
from spawn.domain.states import Status
from spawn.engine.fleets import Found
from spawn.engine.state import EngineState
from spawn.engine.taking import open_ec2

NOT_STARTED = "Not started: it had no attempt when the array was adopted; `spawn retry` runs it"
"""Status reason of children that nothing was found of: taking over an array launches nothing by itself."""


def adopt(state: EngineState, found: Found) -> Job:
    """Take an array with all that is known of it: list, status, logs, collect and retry then work here. Conflict when one of this id is here already.

    What it once waited for is behind it, and is not waited for again. Children without an attempt are FAILED: `spawn retry` runs them.
    """
    refuse_known(state, found.job.id, found.job.key)
    job = _at_home(state, found.job)
    array = ArrayJob(job, max_concurrent=found.max_concurrent)
    array.load(base=Status.FAILED, rows=iter(found.children.items()))
    if array.unmoved:
        array.base_reason, array.base_at = NOT_STARTED, state.now
    _stand(array, found)
    state.book.add(array)
    array.changed.update(found.children)
    array.dirty = True
    state.batch.jobs.append(array)
    state.batch.attempts += found.attempts
    return job


def refuse_known(state: EngineState, job: JobId, key: ArrayKey | None = None) -> None:
    """Conflict when an array of this id, or of this key, is here already."""
    if state.adopt(job) is not None:
        raise Conflict(f"{job} is here already: `spawn status {job}` shows it, and what is new of it comes by itself")
    if key is not None and (key in state.book.by_key or state.store.array_by_key(key) is not None):
        raise Conflict(f"{job} cannot be adopted: another array here has its key {key}; adopt it with another SPAWN_STATE_DIR")


def _at_home(state: EngineState, job: Job) -> Job:
    """The job, in a queue that is here and free of the jobs that it waited for, which are not."""
    queue = job.queue
    if job.fleet is not None:
        queue = EC2_PLACE
        open_ec2(state)
    elif queue not in state.catalog.queues:
        queue = DEFAULT_QUEUE
    return replace(job, queue=queue, waits=Waits(sequential=job.waits.sequential))


def _stand(array: ArrayJob, found: Found) -> None:
    """Where the array as a whole stands, from its children and attempts."""
    rows = found.children.values()
    array.failed_attempts = sum(1 for row in rows if row.status == Status.FAILED and row.attempt)
    begun = [record.started_at for record in found.attempts if record.started_at is not None]
    begun += [row.started_at for row in rows if row.started_at is not None]
    array.started_at = min(begun, default=None)
    if array.settled:
        array.stopped_at = max((row.stopped_at for row in rows if row.stopped_at is not None), default=array.base_at)
