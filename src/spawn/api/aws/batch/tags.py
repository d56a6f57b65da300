"""Tags of jobs, job definitions, queues and whatever else has an ARN."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.catalog import Catalog
from spawn.domain.consumables import ConsumableResource
from spawn.domain.definitions import JobDefinition, is_gone
from spawn.domain.errors import InvalidField, NotFound
from spawn.domain.ids import JobId
from spawn.domain.jobs import Job
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.domain.services import QuotaShare, ServiceEnvironment
from spawn.engine import tagging
from spawn.engine.state import EngineState
from spawn.engine.tagging import Tagged

_FIELD: Final = "resourceArn"
_KIND = re.compile(r"arn:[^:]*:batch:[^:]*:[^:]*:([a-z-]+)/.*", re.DOTALL)
_REVISION = re.compile(r"(.+):([0-9]{1,9})")
_PARTS_OF_JOBS: Final = {":": "child jobs of arrays", "#": "nodes of multi-node jobs"}


def operations(door: Door) -> dict[str, Handler]:
    """TagResource, UntagResource and ListTagsForResource."""
    return {
        "TagResource": partial(_tag, door),
        "UntagResource": partial(_untag, door),
        "ListTagsForResource": partial(_list, door),
    }


def _tag(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    door.engine.call(lambda state: tagging.tag(state, _found_in(state, members[_FIELD]), members["tags"]))
    return {}


def _untag(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    door.engine.call(lambda state: tagging.untag(state, _found_in(state, members[_FIELD]), members["tagKeys"]))
    return {}


def _list(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _found(members[_FIELD], door.records.catalog(), partial(_job_read, door), partial(_revision_read, door))
    return {"tags": dict(found.tags)}


def _found_in(state: EngineState, arn: str) -> Tagged:
    return _found(arn, state.catalog, partial(tagging.find_job, state), partial(tagging.find_revision, state))


def _found(arn: str, catalog: Catalog, job: Callable[[JobId], Job], revision: Callable[[str, int], JobDefinition]) -> Tagged:
    """What an ARN stands for; InvalidField for what cannot have tags, NotFound for what is not there."""
    match = _KIND.fullmatch(arn)
    if match is None:
        raise InvalidField(_FIELD, f"'{arn[:200]}' is not an ARN of AWS Batch")
    kind = match[1]
    name = name_in(arn, kind, _FIELD)
    match kind:
        case "job":
            return job(_whole_job(name))
        case "job-definition":
            return revision(*_revision(name))
        case "job-queue":
            return catalog.find(QuotaShare, name) if "/" in name else catalog.find(JobQueue, name)
        case "compute-environment":
            return catalog.find(ComputeEnvironment, name)
        case "scheduling-policy":
            return catalog.find(SchedulingPolicy, name)
        case "consumable-resource":
            return catalog.find(ConsumableResource, name)
        case "service-environment":
            return catalog.find(ServiceEnvironment, name)
        case _:
            raise InvalidField(_FIELD, f"'{arn[:200]}' names a {kind[:60]}, of which there are none here")


def _whole_job(name: str) -> JobId:
    for mark, what in _PARTS_OF_JOBS.items():
        if mark in name:
            raise InvalidField(_FIELD, f"'{name[:200]}' is a part of a job: ARNs of {what} aren't supported; name the job itself")
    return JobId(name)


def _revision(name: str) -> tuple[str, int]:
    match = _REVISION.fullmatch(name)
    if match is None:
        raise InvalidField(_FIELD, f"'{name[:200]}' names no revision of a job definition: write job-definition/NAME:REVISION")
    return match[1], int(match[2])


def _job_read(door: Door, job: JobId) -> Job:
    row = door.records.job(job)
    if row is None:
        raise NotFound(f"There is no job '{job[:200]}'")
    return row.job


def _revision_read(door: Door, name: str, revision: int) -> JobDefinition:
    now = door.clock.now()
    found = next((one for one in door.records.revisions(name) if one.revision == revision and not is_gone(one, now)), None)
    if found is None:
        raise NotFound(f"There is no job definition '{name[:140]}:{revision}'")
    return found
