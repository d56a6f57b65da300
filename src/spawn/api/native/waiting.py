"""Why the children of an array that do not run do not run (wish 13)."""

from __future__ import annotations

from typing import Any, NamedTuple

from spawn.domain.catalog import Catalog
from spawn.domain.indexes import compress
from spawn.domain.jobs import Job
from spawn.domain.placement import available, obstacle, open_environments
from spawn.domain.queues import LOCAL_ENVIRONMENT, JobQueue
from spawn.domain.scheduling import Capacity
from spawn.domain.states import NOT_STARTED, SETTLED, Status
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

Json = dict[str, Any]


class _Around(NamedTuple):
    """What a RUNNABLE child may be waiting for."""

    catalog: Catalog
    host: Capacity
    taken: dict[str, int]  #: units of consumable resources
    used: dict[str, int]  #: thousandths of a vCPU by compute environment


def waiting_reasons(row: JobRow, records: Records, capacity: Capacity, held_back: str | None = None) -> list[Json]:
    """The children that have not begun, grouped by the reason why; of those on EC2, the ones that were handed over explain themselves (`remarks`).

    `held_back`: why none may begin for now.
    """
    statuses = {position: Status(record.status) for position, record in records.rows(row.job.key)}
    groups: dict[str, list[int]] = {}
    reasons: dict[Status, str] = {}
    local = row.job.fleet is None
    for position in range(row.job.size):
        status = statuses.get(position, row.base)
        if status in NOT_STARTED or (status is Status.STARTING and local):
            if status not in reasons:
                reasons[status] = _held_back(status, held_back) or _why(row, status, records, capacity)
            groups.setdefault(reasons[status], []).append(position)
    return [
        {"indexes": None if row.job.indexes is None else compress(row.job.index_at(p) for p in positions), "count": len(positions), "reason": reason}
        for reason, positions in groups.items()
    ]


def _held_back(status: Status, held_back: str | None) -> str | None:
    return held_back if status in (Status.RUNNABLE, Status.STARTING) else None


def _why(row: JobRow, status: Status, records: Records, capacity: Capacity) -> str:
    if status is Status.STARTING:
        return "has been handed to the runner and starts as soon as a slot is free"
    if status is Status.RUNNABLE:
        taken = dict(records.read("consumption"))
        used = {name or LOCAL_ENVIRONMENT: cpus for name, cpus in records.read("environment_use")}
        return _why_runnable(row, _Around(records.catalog(), capacity, taken, used))
    if held := _held_by(row, records):
        return f"waits for {', '.join(held)} to succeed"
    if row.job.waits.each:
        return f"waits for its own index of {', '.join(row.job.waits.each)} to succeed"
    return "waits for the index before it to succeed"


def _held_by(row: JobRow, records: Records) -> list[str]:
    waits = row.job.waits
    others = [job for job in waits.whole if (found := records.job(job)) is not None and found.status not in SETTLED]
    return [*others, *(f"{job}:{index}" for job, index in waits.children)]


def _why_runnable(row: JobRow, around: _Around) -> str:
    job = row.job
    if (never := obstacle(job, around.catalog, around.host)) is not None:
        return never
    under_way = row.counts[Status.STARTING] + row.counts[Status.RUNNING]
    if row.max_concurrent is not None and under_way >= row.max_concurrent:
        return f"the array's own limit: at most {row.max_concurrent} at once (`spawn limit` changes it)"
    if (missing := _missing(job, around)) is not None:
        return missing
    if job.fleet is not None:
        return "is handed to EC2 in its turn"
    queue = around.catalog.queues.get(job.queue)
    if queue is not None and (full := _full(job, queue, around)) is not None:
        return full
    memory = f" and {job.demand.memory} MiB" if job.demand.memory else ""
    room = f"each takes {job.demand.cpus / 1000:g} vCPU{memory}, this machine has {around.host.cpus / 1000:g} and {around.host.memory} MiB"
    if queue is not None and queue.policy is not None and job.batch is not None:
        return f"waits for the turn of share '{job.batch.share or ''}' in queue '{queue.name}' (policy '{queue.policy}'), or for capacity: {room}"
    return f"waits for capacity: {room}"


def _missing(job: Job, around: _Around) -> str | None:
    """The first consumable resource of which there is not enough."""
    for name, quantity in (job.batch.consumables if job.batch is not None else {}).items():
        resource, taken = around.catalog.consumables.get(name), around.taken.get(name, 0)
        if resource is None:
            return f"waits for the consumable resource '{name}', which does not exist"
        left = available(resource, taken)
        if left < quantity:
            total = resource.remaining
            return f"waits for the consumable resource '{name}': each takes {quantity}, and {total - left} of {total} are in use"
    return None


def _full(job: Job, queue: JobQueue, around: _Around) -> str | None:
    """Which compute environments are used up to their limits, when that is so of all that could take the job."""
    words = []
    for one in open_environments(queue, around.catalog):
        used = around.used.get(one.name, 0)
        if one.max_cpus is None or used + job.demand.cpus <= one.max_cpus:
            return None
        words.append(f"{one.name} ({used / 1000:g} of {one.max_cpus / 1000:g} vCPUs in use)")
    return f"waits for room in a compute environment: each takes {job.demand.cpus / 1000:g} vCPU, {', '.join(words)}"
