"""Containers as AWS Batch writes them: read from definitions and overrides, and shown as DescribeJobs shows them (spec 2.6 and 2.11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spawn.domain.definitions import Container, Merged, Requirements, ResourceType
from spawn.domain.errors import InvalidField
from spawn.domain.submission_rules import check_environment

_DEPRECATED: Final = {"vcpus": ResourceType.VCPU, "memory": ResourceType.MEMORY}
_LISTS: Final = ("command", "volumes", "environment", "mountPoints", "ulimits", "resourceRequirements", "secrets")
"""Members that AWS shows as empty lists when they were not given."""


def read_container(properties: Mapping[str, Any]) -> Container:
    """What can be overridden of a container's properties."""
    return Container(
        command=tuple(properties.get("command", ())),
        environment=read_environment(properties.get("environment", ())),
        requirements=read_requirements(properties),
    )


def read_environment(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The variables of an `environment`, a later one of the same name winning; names that AWS Batch keeps for itself are refused."""
    variables = {entry.get("name", ""): entry.get("value", "") for entry in entries}
    check_environment(variables)
    return variables


def read_requirements(members: Mapping[str, Any]) -> Requirements:
    """The resources of `resourceRequirements`, and of the deprecated `vcpus` and `memory` where the former say nothing of them."""
    amounts: dict[ResourceType, str] = {}
    for entry in members.get("resourceRequirements", ()):
        kind = ResourceType(entry["type"])
        if kind in amounts:
            raise InvalidField("resourceRequirements", f"{kind.value} is required twice")
        amounts[kind] = entry["value"]
    deprecated = {kind: str(members[name]) for name, kind in _DEPRECATED.items() if name in members and kind not in amounts}
    return Requirements(amounts={**amounts, **deprecated}, deprecated=frozenset(deprecated))


def show_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Container properties as DescribeJobDefinitions shows them: as they were given, with empty lists for those that were not."""
    return {**{name: [] for name in _LISTS}, **properties}


def show_container(properties: Mapping[str, Any], merged: Merged, **overridden: Any) -> dict[str, object]:
    """The `container` of DescribeJobs before anything ran: the definition's properties with what the submission made of them."""
    shown = show_properties(properties) | overridden
    shown["command"] = list(merged.command)
    shown["environment"] = show_environment(merged.environment)
    shown["resourceRequirements"] = show_requirements(merged.requirements)
    for name, kind in _DEPRECATED.items():
        if kind in merged.requirements.deprecated:
            shown[name] = int(merged.requirements.amounts[kind])
        else:
            shown.pop(name, None)
    shown["networkInterfaces"] = []
    return shown


def show_environment(variables: Mapping[str, str]) -> list[dict[str, str]]:
    """The `environment` of an answer."""
    return [{"name": name, "value": value} for name, value in variables.items()]


def show_requirements(requirements: Requirements) -> list[dict[str, str]]:
    """The `resourceRequirements` of an answer, without those that were given by deprecated members."""
    return [{"type": kind.value, "value": amount} for kind, amount in requirements.amounts.items() if kind not in requirements.deprecated]
