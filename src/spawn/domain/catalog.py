"""The catalog: every queue, compute environment, scheduling policy and so on that there is, as one value, and the rules between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypeVar, cast

from spawn.domain.consumables import ConsumableResource
from spawn.domain.errors import Conflict, InvalidField, NotFound
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import (
    DEFAULT_QUEUE,
    GONE,
    LOCAL_ENVIRONMENT,
    ComputeEnvironment,
    Health,
    JobQueue,
    Machines,
    Switch,
    default_queue,
    local_environment,
    may_attach,
    may_delete_environment,
    may_delete_queue,
)
from spawn.domain.services import MAX_QUOTA_SHARES, QuotaShare, ServiceEnvironment

Resource = JobQueue | ComputeEnvironment | SchedulingPolicy | ConsumableResource | ServiceEnvironment | QuotaShare
R = TypeVar("R", JobQueue, ComputeEnvironment, SchedulingPolicy, ConsumableResource, ServiceEnvironment, QuotaShare)

_SHELVES: Final[Mapping[type[Resource], str]] = {
    JobQueue: "queues",
    ComputeEnvironment: "environments",
    SchedulingPolicy: "policies",
    ConsumableResource: "consumables",
    ServiceEnvironment: "service_environments",
    QuotaShare: "quota_shares",
}
_WORDS: Final[Mapping[type[Resource], str]] = {
    JobQueue: "job queue",
    ComputeEnvironment: "compute environment",
    SchedulingPolicy: "scheduling policy",
    ConsumableResource: "consumable resource",
    ServiceEnvironment: "service environment",
    QuotaShare: "quota share",
}
_MOST: Final[Mapping[type[Resource], int]] = {
    # AWS Batch service quotas; it names none for scheduling policies, and quota shares are counted by queue
    JobQueue: 50,
    ComputeEnvironment: 50,
    SchedulingPolicy: 500,
    ConsumableResource: 50_000,
    ServiceEnvironment: 50,
    QuotaShare: 50 * MAX_QUOTA_SHARES,
}
_ALWAYS_THERE: Final[Mapping[type[Resource], str]] = {JobQueue: DEFAULT_QUEUE, ComputeEnvironment: LOCAL_ENVIRONMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All of them by name. The queue `default` and the environment `local` are always there."""

    queues: Mapping[str, JobQueue] = field(default_factory=lambda: {DEFAULT_QUEUE: default_queue()})
    environments: Mapping[str, ComputeEnvironment] = field(default_factory=lambda: {LOCAL_ENVIRONMENT: local_environment()})
    policies: Mapping[str, SchedulingPolicy] = field(default_factory=dict)
    consumables: Mapping[str, ConsumableResource] = field(default_factory=dict)
    service_environments: Mapping[str, ServiceEnvironment] = field(default_factory=dict)
    quota_shares: Mapping[str, QuotaShare] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Self:
        """The catalog of these, and of what is there without being created."""
        empty = cls()
        shelves: dict[str, dict[str, Resource]] = {shelf: dict(getattr(empty, shelf)) for shelf in _SHELVES.values()}
        for resource in resources:
            shelves[_SHELVES[type(resource)]][resource.name] = resource
        return cls(**cast("dict[str, Any]", shelves))

    def with_(self, resource: Resource) -> Self:
        """The catalog with this one in the place of the one of its name."""
        shelf = _SHELVES[type(resource)]
        return replace(self, **{shelf: {**getattr(self, shelf), resource.name: resource}})

    def without(self, resource: Resource) -> Self:
        """The catalog without the one of this name."""
        shelf = _SHELVES[type(resource)]
        return replace(self, **{shelf: {name: other for name, other in getattr(self, shelf).items() if name != resource.name}})

    def all(self, kind: type[R]) -> Mapping[str, R]:
        """Everything of a kind, by name."""
        return cast("Mapping[str, R]", getattr(self, _SHELVES[kind]))

    def find(self, kind: type[R], name: str) -> R:
        """The one of a kind and name, or NotFound."""
        found = self.all(kind).get(name)
        if found is None:
            raise NotFound(f"There is no {_WORDS[kind]} '{name[:200]}'")
        return found

    def environment(self, name: str) -> ComputeEnvironment:
        """The environment of a name. Of one that was deleted nobody knows how attempts run in it: those that have not begun are refused."""
        return self.environments.get(name) or replace(local_environment(), name=name, runtime=GONE)


def check_new(catalog: Catalog, resource: Resource) -> None:
    """Refuse a name that is taken, more of a kind than there may be (Conflict), and what does not fit in with the rest (as `check_fit`)."""
    kind = type(resource)
    shelf: Mapping[str, Resource] = getattr(catalog, _SHELVES[kind])
    if resource.name in shelf:
        # the first half is AWS's, and clients look for it
        raise Conflict(f"Object already exists: there is a {_WORDS[kind]} '{resource.name}' already")
    if sum(name != _ALWAYS_THERE.get(kind) for name in shelf) >= _MOST[kind]:
        raise Conflict(f"There are {_MOST[kind]} already, the most there can be: delete a {_WORDS[kind]} first")
    if isinstance(resource, QuotaShare) and sum(one.queue == resource.queue for one in catalog.quota_shares.values()) >= MAX_QUOTA_SHARES:
        raise Conflict(f"Job queue '{resource.queue}' has {MAX_QUOTA_SHARES} quota shares already, the most there can be: delete one first")
    check_fit(catalog, resource)


def check_change(catalog: Catalog, before: Resource, after: Resource) -> None:
    """Refuse a change that makes something another thing than it was created as (Conflict), and what does not fit in with the rest."""
    match before, after:
        case JobQueue(), JobQueue():
            if before.is_service != after.is_service:
                raise Conflict(f"Job queue '{before.name}' cannot change between compute environments and service environments: create another queue")
            before.with_policy(after.policy)
        case SchedulingPolicy(), SchedulingPolicy():
            if (before.quota is None) != (after.quota is None):
                raise Conflict(f"Scheduling policy '{before.name}' cannot change between fair shares and quota shares: create another one")
        case ComputeEnvironment(), ComputeEnvironment():
            if (before.machines is Machines.ECS_MANAGED_INSTANCES) != (after.machines is Machines.ECS_MANAGED_INSTANCES):
                raise Conflict(f"Compute environment '{before.name}' cannot change its type to or from ECS_MANAGED_INSTANCES: create another one")
    check_fit(catalog, after)


def check_fit(catalog: Catalog, resource: Resource) -> None:
    """Refuse what names something that is not there (NotFound) or not of the right kind (Conflict, InvalidField)."""
    match resource:
        case JobQueue():
            may_attach(resource, catalog.environments.values())
            _check_policy(catalog, resource)
            for name in resource.service_environments:
                catalog.find(ServiceEnvironment, name)
        case ComputeEnvironment():
            environments = catalog.with_(resource).environments.values()
            for queue in catalog.queues.values():
                if resource.name in queue.environments:
                    may_attach(queue, environments)
        case QuotaShare():
            _check_quota_queue(catalog, resource)


def check_deletion(catalog: Catalog, resource: Resource) -> None:
    """Refuse to delete what is still used, and what has to be disabled first (Conflict). Consumable resources may be deleted at any time, as on AWS."""
    match resource:
        case JobQueue():
            may_delete_queue(resource)
            if shares := sorted(one.share for one in catalog.quota_shares.values() if one.queue == resource.name):
                raise Conflict(f"Job queue '{resource.name}' has quota shares: delete {', '.join(shares)} first")
        case ComputeEnvironment():
            may_delete_environment(resource, catalog.queues.values())
        case SchedulingPolicy():
            if users := sorted(queue.name for queue in catalog.queues.values() if queue.policy == resource.name):
                raise Conflict(f"Scheduling policy '{resource.name}' is used by job queue {', '.join(users)}: replace it there, or delete the queue first")
        case ServiceEnvironment():
            _check_disabled(resource, resource.name)
            if users := sorted(queue.name for queue in catalog.queues.values() if resource.name in queue.service_environments):
                raise Conflict(f"Service environment '{resource.name}' is used by job queue {', '.join(users)}: take it out there first")
        case QuotaShare():
            _check_disabled(resource, resource.share)


def _check_policy(catalog: Catalog, queue: JobQueue) -> None:
    if queue.policy is None:
        return
    policy = catalog.find(SchedulingPolicy, queue.policy)
    if policy.quota is not None and not queue.is_service:
        raise InvalidField("schedulingPolicyArn", f"'{policy.name}' is a policy for quota shares, which only queues with a service environment have")
    used_with = any(share.queue == queue.name for share in catalog.quota_shares.values())
    if policy.quota is None and used_with:
        raise Conflict(f"Job queue '{queue.name}' has quota shares: its policy '{policy.name}' must be one for quota shares")


def _check_quota_queue(catalog: Catalog, share: QuotaShare) -> None:
    queue = catalog.find(JobQueue, share.queue)
    if queue.status is not Health.VALID:
        raise Conflict(f"Job queue '{queue.name}' is {queue.status.value}: {queue.reason}")
    if queue.policy is None or catalog.find(SchedulingPolicy, queue.policy).quota is None:
        problem = f"job queue '{queue.name}' has no scheduling policy with a quotaSharePolicy: quota shares belong to queues of service jobs that have one"
        raise InvalidField("jobQueue", problem)


def _check_disabled(resource: ServiceEnvironment | QuotaShare, name: str) -> None:
    if resource.state is not Switch.DISABLED:
        words = _WORDS[type(resource)]
        raise Conflict(f"{words.capitalize()} '{name}' is {resource.state.value}: disable it first")
