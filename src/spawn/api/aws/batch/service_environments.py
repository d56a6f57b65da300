"""Service environments: kept and shown, as AWS Batch does; service jobs do not run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from spawn.api.aws.batch.paging import described
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.errors import InvalidField
from spawn.domain.queues import Switch
from spawn.domain.services import CapacityLimit, ServiceEnvironment, ServiceType
from spawn.engine import catalog_changes
from spawn.engine.tagging import checked_tags


def operations(door: Door) -> dict[str, Handler]:
    """CreateServiceEnvironment, UpdateServiceEnvironment, DeleteServiceEnvironment and DescribeServiceEnvironments."""
    return {
        "CreateServiceEnvironment": partial(_create, door),
        "UpdateServiceEnvironment": partial(_update, door),
        "DeleteServiceEnvironment": partial(_delete, door),
        "DescribeServiceEnvironments": partial(_describe, door),
    }


def capacity_limits(limits: Sequence[Mapping[str, Any]]) -> tuple[CapacityLimit, ...]:
    """Read capacityLimits; InvalidField for one that lacks a half."""
    for limit in limits:
        if missing := [name for name in ("maxCapacity", "capacityUnit") if name not in limit]:
            raise InvalidField(f"capacityLimits.{missing[0]}", "is required, and missing")
    return tuple(CapacityLimit(maximum=limit["maxCapacity"], unit=limit["capacityUnit"]) for limit in limits)


def shown_limits(limits: Sequence[CapacityLimit]) -> list[dict[str, Any]]:
    """Show capacityLimits."""
    return [{"maxCapacity": limit.maximum, "capacityUnit": limit.unit} for limit in limits]


def read_changes(members: Mapping[str, Any]) -> dict[str, Any]:
    """What an update says of the state and the limits, as fields of the value."""
    changes: dict[str, Any] = {}
    if "state" in members:
        changes["state"] = Switch(members["state"])
    if "capacityLimits" in members:
        changes["limits"] = capacity_limits(members["capacityLimits"])
    return changes


def _create(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    environment = ServiceEnvironment(
        name=members["serviceEnvironmentName"],
        type=ServiceType(members["serviceEnvironmentType"]),
        limits=capacity_limits(members["capacityLimits"]),
        state=Switch(members.get("state", Switch.ENABLED.value)),
        tags=checked_tags(members.get("tags", {})),
    )
    door.engine.call(lambda state: catalog_changes.create(state, environment))
    return _reference(caller, environment)


def _update(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    changes = read_changes(members)
    name = _name(members)
    changed = door.engine.call(lambda state: catalog_changes.change(state, ServiceEnvironment, name, lambda one: replace(one, **changes)))
    return _reference(caller, changed)


def _delete(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _name(members)
    door.engine.call(lambda state: catalog_changes.delete(state, ServiceEnvironment, name))
    return {}


def _describe(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    known = door.records.catalog().service_environments
    operation, field = "DescribeServiceEnvironments", "serviceEnvironments"
    environments, token = described(operation, known, members, kind="service-environment", field=field)
    return {"serviceEnvironments": [_shown(caller, one) for one in environments], "nextToken": token}


def _name(members: Mapping[str, Any]) -> str:
    return name_in(members["serviceEnvironment"], "service-environment", "serviceEnvironment")


def _reference(caller: Caller, environment: ServiceEnvironment) -> dict[str, Any]:
    return {
        "serviceEnvironmentName": environment.name,
        "serviceEnvironmentArn": caller.arn(f"service-environment/{environment.name}"),
    }


def _shown(caller: Caller, environment: ServiceEnvironment) -> dict[str, Any]:
    return _reference(caller, environment) | {
        "serviceEnvironmentType": environment.type.value,
        "state": environment.state.value,
        "status": environment.status.value,
        "capacityLimits": shown_limits(environment.limits),
        "tags": dict(environment.tags),
    }
