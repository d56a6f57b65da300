"""Definitions by `ecsProperties`: a task of containers, of which one is essential and is run as a definition's only container is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spawn.api.aws.batch.containers import show_environment, show_requirements
from spawn.domain.definitions import Merged
from spawn.domain.errors import InvalidField, UsageError

_OF_CONTAINER: Final = (
    "command",
    "environment",
    "image",
    "linuxParameters",
    "logConfiguration",
    "mountPoints",
    "privileged",
    "readonlyRootFilesystem",
    "repositoryCredentials",
    "resourceRequirements",
    "secrets",
    "ulimits",
    "user",
)
_OF_TASK: Final = ("ephemeralStorage", "executionRoleArn", "networkConfiguration", "runtimePlatform", "volumes", "enableExecuteCommand")


def essential_container(properties: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The container of a task that decides over it: its only one, or its only essential one; None when there are several."""
    containers: Sequence[Mapping[str, Any]] = _task(properties)["containers"]
    essential = containers if len(containers) == 1 else [one for one in containers if one.get("essential", True)]
    return essential[0] if len(essential) == 1 else None


def container_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The essential container and what its task says for it, as the `containerProperties` that mean the same; empty when there is no such container."""
    container = essential_container(properties)
    if container is None:
        return {}
    task = _task(properties)
    flat = {name: container[name] for name in _OF_CONTAINER if name in container} | {name: task[name] for name in _OF_TASK if name in task}
    if "taskRoleArn" in task:
        flat["jobRoleArn"] = task["taskRoleArn"]
    if "platformVersion" in task:
        flat["fargatePlatformConfiguration"] = {"platformVersion": task["platformVersion"]}
    return flat


def container_overrides(properties: Mapping[str, Any], override: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an `ecsPropertiesOverride` says of the essential container. One for a container that the task does not have is refused."""
    tasks = override.get("taskProperties", ())
    if len(tasks) > 1:
        raise InvalidField("ecsPropertiesOverride.taskProperties", f"{len(tasks)} tasks, and a job has one")
    overrides: Sequence[Mapping[str, Any]] = tasks[0].get("containers", ()) if tasks else ()
    names = {container.get("name") for container in _task(properties)["containers"]}
    essential = essential_container(properties)
    found: Mapping[str, Any] = {}
    for one in overrides:
        name = one.get("name")
        if name not in names and len(names) > 1:
            raise UsageError(f"ecsPropertiesOverride: the job definition has no container '{name}'")
        if essential is not None and (name == essential.get("name") or len(names) == 1):
            found = one
    return found


def show_task(properties: Mapping[str, Any], merged: Merged) -> dict[str, Any]:
    """The `ecsProperties` of DescribeJobs before anything ran: the definition's, with what the submission made of its essential container."""
    task = _task(properties)
    essential = essential_container(properties) or {}
    run = {
        "command": list(merged.command),
        "environment": show_environment(merged.environment),
        "resourceRequirements": show_requirements(merged.requirements),
    }
    containers = [{**one, **run} if one is essential else one for one in task["containers"]]
    return {"taskProperties": [{**task, "containers": containers}]}


def check_task(properties: Mapping[str, Any]) -> None:
    """Refuse `ecsProperties` of none or several tasks, or of a task without containers."""
    tasks = properties["taskProperties"]
    if len(tasks) != 1:
        raise InvalidField("ecsProperties.taskProperties", f"{len(tasks)} tasks, and a job definition has one")
    if not tasks[0]["containers"]:
        raise InvalidField("ecsProperties.taskProperties.containers", "a task has one container at least")


def _task(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    task: Mapping[str, Any] = properties["taskProperties"][0]
    return task
