"""GetJobQueueSnapshot: who comes next in a queue, and how much of it is in use by whom."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.queues import JobQueue
from spawn.engine.placement import Waiting
from spawn.engine.state import EngineState

_FRONT: Final = 100
"""How many jobs are named from the front of a queue (AWS Batch)."""

_TOP: Final = 20
"""How many shares are named, those that use the most first (AWS Batch)."""


def operations(door: Door) -> dict[str, Handler]:
    """GetJobQueueSnapshot."""
    return {"GetJobQueueSnapshot": partial(_snapshot, door)}


def _snapshot(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = name_in(members["jobQueue"], "job-queue", "jobQueue")

    def look(state: EngineState) -> tuple[JobQueue, list[Waiting], dict[str, int]]:
        queue = state.catalog.find(JobQueue, name)
        load = state.scheduler.load_of(state.catalog, state.provider.capacity())
        used = {share: cpus for (owner, share), cpus in load.by_share.items() if owner == name and cpus}
        return queue, state.scheduler.front(queue, state.catalog, state.now, _FRONT), used

    queue, front, used = door.engine.call(look)
    now = door.clock.now()
    jobs = [{"jobArn": caller.arn(f"job/{one.job.child_id(one.position)}"), "earliestTimeAtPosition": one.since} for one in front]
    utilization: dict[str, Any] = {"totalCapacityUsage": _vcpus(sum(used.values())), "lastUpdatedAt": now}
    if queue.policy is not None:
        top = sorted(used.items(), key=lambda entry: (-entry[1], entry[0]))[:_TOP]
        utilization["fairshareUtilization"] = {
            "activeShareCount": len(used),
            "topCapacityUtilization": [{"shareIdentifier": share, "capacityUsage": _vcpus(cpus)} for share, cpus in top],
        }
    return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": now}, "queueUtilization": utilization}


def _vcpus(cpus: int) -> list[dict[str, Any]]:
    return [{"capacityUnit": "VCPU", "quantity": cpus / 1000}]
