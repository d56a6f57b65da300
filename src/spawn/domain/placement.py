"""What keeps a RUNNABLE job from ever running as things are, in AWS's words with figures after them; and what environments and resources allow."""

from __future__ import annotations

from typing import Final

from spawn.domain.catalog import Catalog
from spawn.domain.consumables import ConsumableResource, Consumption
from spawn.domain.jobs import Job
from spawn.domain.queues import INSUFFICIENT_CAPACITY, MAX_RESOURCE, RESOURCE_REQUIREMENT, ComputeEnvironment, Health, JobQueue, Switch
from spawn.domain.scheduling import Capacity

CANCELED_BY_LIMIT: Final = "Canceled by JobStateTimeLimit action due to reason: "
"""Beginning of the status reason of a job that `jobStateTimeLimitActions` cancelled; the reason follows (spec 2.8)."""

_INVALID: Final = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid"
_TOO_SMALL: Final = (
    f"{RESOURCE_REQUIREMENT} - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue"
)
_CAPPED: Final = f"{MAX_RESOURCE} - CE(s) associated with the job queue cannot meet the CPU requirement of the job"


def obstacle(job: Job, catalog: Catalog, host: Capacity) -> str | None:
    """The status reason of a RUNNABLE job that can never run as things are; None when it only waits for its turn.

    AWS says it of jobs at the head of their queue; here all say it, and since they can never run they hold up nobody. A DISABLED environment takes
    no attempts, so it counts like an INVALID one.
    """
    queue = catalog.queues.get(job.queue)
    if queue is None:
        return f"ACTION_REQUIRED - There is no job queue '{job.queue}' any more"
    open_ones = open_environments(queue, catalog)
    if not open_ones:
        return f"{_INVALID}: {_closed(queue, catalog)}"
    if not host.holds(job.demand):
        needs = f"{_vcpus(job.demand.cpus)} and {job.demand.memory} MiB" if job.demand.memory else _vcpus(job.demand.cpus)
        return f"{_TOO_SMALL}: the job needs {needs}; the host has {_vcpus(host.cpus)} and {host.memory} MiB"
    if not any(allows(one, job.demand.cpus) for one in open_ones):
        caps = ", ".join(f"{one.name} {_number(one.max_cpus or 0)}" for one in open_ones)
        return f"{_CAPPED}: the job needs {_vcpus(job.demand.cpus)}; maxvCpus: {caps}"
    return None


def limited_reason(status_reason: str | None) -> str | None:
    """The reason that `jobStateTimeLimitActions` may name for this status reason; None when there is none, as for invalid environments."""
    code = (status_reason or "").split(" - ")[0]
    return code if code in (INSUFFICIENT_CAPACITY, MAX_RESOURCE, RESOURCE_REQUIREMENT) else None


def open_environments(queue: JobQueue, catalog: Catalog) -> list[ComputeEnvironment]:
    """The compute environments of a queue that take attempts now, in its order."""
    known = (catalog.environments.get(name) for name in queue.environments)
    return [one for one in known if one is not None and one.state is Switch.ENABLED and one.status is Health.VALID]


def allows(environment: ComputeEnvironment, cpus: int) -> bool:
    """Whether a job of so many thousandths of a vCPU is within what an environment may use."""
    return environment.max_cpus is None or cpus <= environment.max_cpus


def queue_capacity(queue: JobQueue, catalog: Catalog, host: Capacity) -> int:
    """How many thousandths of a vCPU a queue can use at most: what its environments allow, and the host has."""
    open_ones = open_environments(queue, catalog)
    caps = (one.max_cpus if one.max_cpus is not None else one.unmanaged_cpus for one in open_ones)
    return min(host.cpus, sum(host.cpus if cap is None else cap for cap in caps))


def available(resource: ConsumableResource | None, taken: int) -> int:
    """How much of a consumable resource jobs can still take when so much is taken now; nothing of one that is gone."""
    if resource is None:
        return 0
    return max(0, resource.total - (taken if resource.consumption is Consumption.REPLENISHABLE else resource.used))


def _closed(queue: JobQueue, catalog: Catalog) -> str:
    """Why each environment of a queue takes nothing."""
    words = []
    for name in queue.environments:
        one = catalog.environments.get(name)
        state = "gone" if one is None else one.status.value if one.status is not Health.VALID else one.state.value
        words.append(f"{name} is {state}")
    return ", ".join(words) or "it has none"


def _vcpus(cpus: int) -> str:
    return f"{_number(cpus)} vCPU{'' if cpus == 1000 else 's'}"


def _number(cpus: int) -> str:
    return f"{cpus / 1000:g}"
