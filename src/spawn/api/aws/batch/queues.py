"""Job queues: made, changed, described and deleted by clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from spawn.api.aws.batch import quota_shares
from spawn.api.aws.batch.paging import described
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.catalog import Catalog
from spawn.domain.errors import InvalidField
from spawn.domain.queues import Family, JobQueue, StateLimit, Switch
from spawn.engine import catalog_changes
from spawn.engine.state import EngineState
from spawn.engine.tagging import checked_tags

_TYPES: Final = {Family.EC2: "ECS", Family.FARGATE: "ECS_FARGATE", Family.MANAGED_INSTANCES: "ECS_MANAGED_INSTANCES"}
_SERVICE_TYPE: Final = "SAGEMAKER_TRAINING"


def operations(door: Door) -> dict[str, Handler]:
    """CreateJobQueue, UpdateJobQueue, DeleteJobQueue, DescribeJobQueues, and those of the quota shares that queues have."""
    return {
        "CreateJobQueue": partial(_create, door),
        "UpdateJobQueue": partial(_update, door),
        "DeleteJobQueue": partial(_delete, door),
        "DescribeJobQueues": partial(_describe, door),
        **quota_shares.operations(door),
    }


def _create(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    queue = JobQueue(
        name=members["jobQueueName"],
        priority=members["priority"],
        **_environments(members),
        policy=_policy(members),
        state=Switch(members.get("state", Switch.ENABLED.value)),
        limits=_limits(members.get("jobStateTimeLimitActions", ()), is_service=bool(members.get("serviceEnvironmentOrder"))),
        tags=checked_tags(members.get("tags", {})),
    )

    def make(state: EngineState) -> None:
        _check_type(state.catalog, queue, members.get("jobQueueType"))
        catalog_changes.create(state, queue)

    door.engine.call(make)
    return _reference(caller, queue)


def _update(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    def how(queue: JobQueue) -> JobQueue:
        changes: dict[str, Any] = {}
        if "computeEnvironmentOrder" in members or "serviceEnvironmentOrder" in members:
            changes |= _environments(members)
        if "priority" in members:
            changes["priority"] = members["priority"]
        if "state" in members:
            changes["state"] = Switch(members["state"])
        if "schedulingPolicyArn" in members:
            changes["policy"] = _policy(members)
        if "jobStateTimeLimitActions" in members:
            changes["limits"] = _limits(members["jobStateTimeLimitActions"], is_service=queue.is_service)
        return replace(queue, **changes)

    name = name_in(members["jobQueue"], "job-queue", "jobQueue")
    return _reference(caller, door.engine.call(lambda state: catalog_changes.change(state, JobQueue, name, how)))


def _delete(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = name_in(members["jobQueue"], "job-queue", "jobQueue")
    door.engine.call(lambda state: catalog_changes.delete(state, JobQueue, name))
    return {}


def _describe(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    catalog = door.records.catalog()
    queues, token = described("DescribeJobQueues", catalog.queues, members, kind="job-queue", field="jobQueues")
    return {"jobQueues": [_shown(caller, queue, catalog) for queue in queues], "nextToken": token}


def _reference(caller: Caller, queue: JobQueue) -> dict[str, Any]:
    return {"jobQueueName": queue.name, "jobQueueArn": caller.arn(f"job-queue/{queue.name}")}


def _environments(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a queue that say where its jobs go, in ascending order of their numbers."""
    compute = sorted(members.get("computeEnvironmentOrder", ()), key=lambda entry: entry["order"])
    service = sorted(members.get("serviceEnvironmentOrder", ()), key=lambda entry: entry["order"])
    field = "computeEnvironmentOrder.computeEnvironment"
    return {
        "environments": tuple(name_in(entry["computeEnvironment"], "compute-environment", field) for entry in compute),
        "service_environments": tuple(name_in(entry["serviceEnvironment"], "service-environment", "serviceEnvironmentOrder") for entry in service),
        "orders": tuple(entry["order"] for entry in compute or service),
    }


def _policy(members: Mapping[str, Any]) -> str | None:
    arn = members.get("schedulingPolicyArn")
    if not arn:
        return None
    if not arn.startswith("arn:"):
        raise InvalidField("schedulingPolicyArn", f"'{arn[:200]}' is not the ARN of a scheduling policy")
    return name_in(arn, "scheduling-policy", "schedulingPolicyArn")


def _limits(actions: Sequence[Mapping[str, Any]], *, is_service: bool) -> tuple[StateLimit, ...]:
    for action in actions:
        if action["action"] != _action(is_service):
            of = "service" if is_service else "compute"
            problem = f"'{action['action']}' is not {_action(is_service)}, the only action of a queue with {of} environments"
            raise InvalidField("jobStateTimeLimitActions.action", problem)
    return tuple(StateLimit(reason=action["reason"], limit=timedelta(seconds=action["maxTimeSeconds"])) for action in actions)


def _action(is_service: bool) -> str:
    return "TERMINATE" if is_service else "CANCEL"


def _type_of(catalog: Catalog, queue: JobQueue) -> str:
    return _SERVICE_TYPE if queue.is_service else _TYPES[catalog.environment(queue.environments[0]).family]


def _check_type(catalog: Catalog, queue: JobQueue, wanted: str | None) -> None:
    if wanted is not None and wanted != _type_of(catalog, queue):
        raise InvalidField("jobQueueType", f"{wanted} does not go with the environments of this queue, which make it {_type_of(catalog, queue)}")


def _shown(caller: Caller, queue: JobQueue, catalog: Catalog) -> dict[str, Any]:
    orders = queue.orders or range(1, len(queue.environments) + 1)
    places = {
        f"{kind}EnvironmentOrder": [
            {"order": order, f"{kind}Environment": caller.arn(f"{kind}-environment/{name}")} for order, name in zip(orders, names, strict=False)
        ]
        for kind, names in (("compute", queue.environments), ("service", queue.service_environments))
    }
    return _reference(caller, queue) | {
        "state": queue.state.value,
        "schedulingPolicyArn": None if queue.policy is None else caller.arn(f"scheduling-policy/{queue.policy}"),
        "status": queue.status.value,
        "statusReason": queue.reason,
        "priority": queue.priority,
        "computeEnvironmentOrder": places["computeEnvironmentOrder"],
        "serviceEnvironmentOrder": places["serviceEnvironmentOrder"] if queue.is_service else None,
        "jobQueueType": _type_of(catalog, queue),
        "tags": dict(queue.tags),
        "jobStateTimeLimitActions": [
            {"reason": one.reason, "state": "RUNNABLE", "maxTimeSeconds": round(one.limit.total_seconds()), "action": _action(queue.is_service)}
            for one in queue.limits
        ],
    }
