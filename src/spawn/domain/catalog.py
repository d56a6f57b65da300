"""The catalog: every queue, compute environment, scheduling policy and consumable resource there is, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from spawn.domain.consumables import ConsumableResource
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import DEFAULT_QUEUE, LOCAL_ENVIRONMENT, ComputeEnvironment, JobQueue, default_queue, local_environment

Resource = JobQueue | ComputeEnvironment | SchedulingPolicy | ConsumableResource


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All of them by name. The queue `default` and the environment `local` are always there."""

    queues: Mapping[str, JobQueue] = field(default_factory=lambda: {DEFAULT_QUEUE: default_queue()})
    environments: Mapping[str, ComputeEnvironment] = field(default_factory=lambda: {LOCAL_ENVIRONMENT: local_environment()})
    policies: Mapping[str, SchedulingPolicy] = field(default_factory=dict)
    consumables: Mapping[str, ConsumableResource] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Self:
        """The catalog of these, and of what is there without being created."""
        catalog = cls()
        for resource in resources:
            catalog = catalog.with_(resource)
        return catalog

    def with_(self, resource: Resource) -> Self:
        """The catalog with this one in the place of the one of its name."""
        shelf = _shelf(resource)
        return replace(self, **{shelf: {**getattr(self, shelf), resource.name: resource}})

    def without(self, resource: Resource) -> Self:
        """The catalog without the one of this name."""
        shelf = _shelf(resource)
        return replace(self, **{shelf: {name: other for name, other in getattr(self, shelf).items() if name != resource.name}})

    def environment(self, name: str) -> ComputeEnvironment:
        """The environment of a name; one that was deleted while attempts ran in it counts as this machine under that name."""
        return self.environments.get(name) or replace(local_environment(), name=name)


def _shelf(resource: Resource) -> str:
    match resource:
        case JobQueue():
            return "queues"
        case ComputeEnvironment():
            return "environments"
        case SchedulingPolicy():
            return "policies"
        case ConsumableResource():
            return "consumables"
