"""Compute environments: made, changed, described and deleted by clients. Two tags say how spawn runs what is placed there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from spawn.api.aws.batch import service_environments
from spawn.api.aws.batch.paging import described
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain import compute_resources
from spawn.domain.errors import InvalidField
from spawn.domain.queues import LOCAL, PROCESS, PROVIDERS, RUNTIMES, ComputeEnvironment, Machines, Switch
from spawn.engine import catalog_changes
from spawn.engine.tagging import checked_tags

PROVIDER_TAG: Final = "spawn:provider"
"""Names the provider of a compute environment when it is created."""

RUNTIME_TAG: Final = "spawn:runtime"
"""Names the runtime of a compute environment when it is created."""

_CHOICES: Final = {PROVIDER_TAG: PROVIDERS, RUNTIME_TAG: RUNTIMES}
_KEPT: Final = ("serviceRole", "updatePolicy", "context", "ecsSettings")
_UPDATE_POLICY: Final = {"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 30}
_NAMESPACE: Final = uuid.UUID("8f0a52c5-9a7a-4f57-94b1-3d51fb7e62a5")


def operations(door: Door) -> dict[str, Handler]:
    """CreateComputeEnvironment, UpdateComputeEnvironment, DeleteComputeEnvironment, DescribeComputeEnvironments, and those of service environments."""
    return {
        "CreateComputeEnvironment": partial(_create, door),
        "UpdateComputeEnvironment": partial(_update, door),
        "DeleteComputeEnvironment": partial(_delete, door),
        "DescribeComputeEnvironments": partial(_describe, door),
        **service_environments.operations(door),
    }


def _create(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    _refuse_kubernetes(members)
    tags: Mapping[str, str] = members.get("tags", {})
    chosen = _chosen(tags)
    checked_tags({key: value for key, value in tags.items() if key not in _CHOICES})
    resources = members.get("computeResources")
    is_managed = members["type"] == "MANAGED"
    if is_managed != (resources is not None):
        raise InvalidField("computeResources", "a MANAGED compute environment needs them" if is_managed else "they go with type MANAGED, not with UNMANAGED")
    environment = ComputeEnvironment(
        name=members["computeEnvironmentName"],
        provider=chosen.get(PROVIDER_TAG, LOCAL),
        runtime=chosen.get(RUNTIME_TAG, PROCESS),
        machines=None,
        state=Switch(members.get("state", Switch.ENABLED.value)),
        tags=tags,
    )
    environment = _changed(environment if resources is None else replace(environment, machines=Machines(resources["type"])), members)
    door.engine.call(lambda state: catalog_changes.create(state, environment))
    return _reference(caller, environment)


def _update(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    _refuse_kubernetes(members)
    name = name_in(members["computeEnvironment"], "compute-environment", "computeEnvironment")
    how = partial(_changed, members=members)
    return _reference(caller, door.engine.call(lambda state: catalog_changes.change(state, ComputeEnvironment, name, how)))


def _delete(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = name_in(members["computeEnvironment"], "compute-environment", "computeEnvironment")
    door.engine.call(lambda state: catalog_changes.delete(state, ComputeEnvironment, name))
    return {}


def _describe(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    known = door.records.catalog().environments
    operation, field = "DescribeComputeEnvironments", "computeEnvironments"
    environments, token = described(operation, known, members, kind="compute-environment", field=field)
    whole = None
    if any(one.machines is not None and one.max_cpus is None for one in environments):
        whole = door.engine.provider.capacity().cpus
    return {"computeEnvironments": [_shown(caller, one, whole) for one in environments], "nextToken": token}


def _reference(caller: Caller, environment: ComputeEnvironment) -> dict[str, Any]:
    return {
        "computeEnvironmentName": environment.name,
        "computeEnvironmentArn": caller.arn(f"compute-environment/{environment.name}"),
    }


def _refuse_kubernetes(members: Mapping[str, Any]) -> None:
    if "eksConfiguration" in members:
        raise InvalidField("eksConfiguration", "jobs do not run on Kubernetes here: leave it out")


def _chosen(tags: Mapping[str, str]) -> dict[str, str]:
    """What the tags choose; InvalidField, with what is known, for anything that is not."""
    chosen = {}
    for key, value in tags.items():
        if key in _CHOICES:
            if value not in _CHOICES[key]:
                what = key.partition(":")[2]
                raise InvalidField(f"tags.{key}", f"there is no {what} '{value[:60]}' here: known are {', '.join(_CHOICES[key])}")
            chosen[key] = value
    return chosen


def _changed(environment: ComputeEnvironment, members: Mapping[str, Any]) -> ComputeEnvironment:
    """The environment with what the members of a request say of it."""
    shown = {**environment.shown, **{name: members[name] for name in _KEPT if name in members}}
    changes: dict[str, Any] = {"shown": shown}
    if "state" in members:
        changes["state"] = Switch(members["state"])
    if "unmanagedvCpus" in members:
        if environment.machines is not None:
            raise InvalidField("unmanagedvCpus", "it goes with type UNMANAGED, not with MANAGED")
        changes["unmanaged_cpus"] = members["unmanagedvCpus"] * 1000
    if "computeResources" in members:
        changes |= _resources_changed(environment, members["computeResources"])
        shown["computeResources"] = changes.pop("resources")
    return replace(environment, **changes)


def _resources_changed(environment: ComputeEnvironment, asked: Mapping[str, Any]) -> dict[str, Any]:
    if environment.machines is None:
        raise InvalidField("computeResources", "they go with type MANAGED, not with UNMANAGED")
    machines = Machines(asked.get("type", environment.machines.value))
    max_cpus = asked["maxvCpus"] * 1000 if "maxvCpus" in asked else environment.max_cpus
    rest = {name: value for name, value in asked.items() if name not in ("type", "maxvCpus")}
    resources = compute_resources.updated(machines, _resources(environment), rest)
    compute_resources.check(machines, None if max_cpus is None else max_cpus // 1000, resources)
    return {"machines": machines, "max_cpus": max_cpus, "resources": resources}


def _resources(environment: ComputeEnvironment) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", environment.shown.get("computeResources", {}))


def _shown(caller: Caller, environment: ComputeEnvironment, whole: int | None) -> dict[str, Any]:
    """What is described. `whole`: thousandths of a vCPU that the provider has, for those that may use all of it."""
    unique = uuid.uuid5(_NAMESPACE, environment.name)
    cpus = whole if environment.max_cpus is None else environment.max_cpus
    machines, unmanaged = environment.machines, environment.unmanaged_cpus
    kept = {name: environment.shown.get(name) for name in _KEPT}
    role = f"arn:{caller.partition}:iam::{caller.account}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
    return _reference(caller, environment) | {
        "unmanagedvCpus": None if unmanaged is None else unmanaged // 1000,
        "ecsClusterArn": caller.arn(f"cluster/AWSBatch-{environment.name}-{unique}", service="ecs"),
        "tags": dict(environment.tags),
        "type": environment.management.value,
        "state": environment.state.value,
        "status": environment.status.value,
        "statusReason": environment.reason,
        "computeResources": None if machines is None else compute_resources.shown(machines, -(-(cpus or 0) // 1000), _resources(environment)),
        "containerOrchestrationType": "ECS",
        "uuid": str(unique),
        **kept,
        "serviceRole": kept["serviceRole"] or role,
        "updatePolicy": None if machines is None else {**_UPDATE_POLICY, **cast("Mapping[str, Any]", kept["updatePolicy"] or {})},
    }
