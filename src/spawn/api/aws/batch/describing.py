"""DescribeJobs (spec 2.3 to 2.8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from spawn.api.aws.batch.details import job_detail
from spawn.api.aws.batch.finding import find
from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.doors import Door
from spawn.domain.jobs import Job
from spawn.domain.listing import check_describe
from spawn.domain.placement import obstacle
from spawn.domain.queues import provider_of


def operations(door: Door) -> dict[str, Handler]:
    """The operations that show jobs one by one."""
    return {"DescribeJobs": lambda caller, asked: describe_jobs(door, caller, asked)}


def describe_jobs(door: Door, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Jobs in the order in which they were asked for, each once, without those that are unknown."""
    check_describe(asked["jobs"])
    now, obstacle_of = door.clock.now(), obstacles(door)
    return {"jobs": [job_detail(caller, found, now=now, obstacle=obstacle_of) for found in find(door.records, asked["jobs"])]}


def obstacles(door: Door) -> Callable[[Job], str | None]:
    """What keeps a RUNNABLE job from ever running, as things are now; the catalog is read at most once."""
    catalog = cache(door.records.catalog)
    return lambda job: obstacle(job, catalog(), door.engine.providers[provider_of(job.queue)].capacity())
