"""Job queues and compute environments: where jobs wait, and where they run (spec 2.11 and 2.12)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from spawn.domain.errors import Conflict, InvalidField, NotFound
from spawn.domain.names import check_name

MAX_ENVIRONMENTS: Final = 3
"""Most compute environments of a queue (AWS Batch service quotas)."""

DEFAULT_QUEUE: Final = "default"
"""The queue of jobs that name none."""

LOCAL_ENVIRONMENT: Final = "local"
"""The compute environment that is this machine."""

LOCAL: Final = "local"
"""The provider of compute environments that name none: this machine."""

EC2: Final = "ec2"
"""The provider of arrays that were launched with `--provider ec2`."""

EC2_PLACE: Final = "spawn-ec2"
"""The queue of such arrays, and its compute environment: made with the first of them. What each array needs of EC2 stands in its fleet."""

PROVIDERS: Final = (LOCAL,)
"""Providers that a compute environment can be tagged with."""

PROCESS: Final = "process"
"""The runtime of compute environments that name none: commands run on this host."""

RUNTIMES: Final = (PROCESS, "docker", "podman")
"""Runtimes that a compute environment can be tagged with."""

GONE: Final = "gone"
"""The runtime of compute environments that were deleted while attempts were placed in them: no runner knows it."""

QUEUE_DELETED: Final = "JobQueue deleted"
"""Status reason of jobs whose queue was deleted under them (spec 2.8)."""

INSUFFICIENT_CAPACITY: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
"""Why a job at the head of its queue stays RUNNABLE: there is no room in any of its compute environments (AWS Batch, jobs stuck in RUNNABLE)."""

MAX_RESOURCE: Final = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
"""Likewise: it needs more vCPUs than the maxvCpus of any of its compute environments."""

RESOURCE_REQUIREMENT: Final = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
"""Likewise: it needs more than any machine of its compute environments has."""

REASONS: Final = (INSUFFICIENT_CAPACITY, MAX_RESOURCE, RESOURCE_REQUIREMENT)
"""The reasons that `jobStateTimeLimitActions` may name."""

SERVICE_REASONS: Final = (INSUFFICIENT_CAPACITY, "MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE", "MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED")
"""Likewise, of a queue for service jobs."""

_SHORTEST: Final = timedelta(minutes=10)
_LONGEST: Final = timedelta(hours=24)
_ARN = re.compile(r"arn:[a-z-]+:batch:[a-z0-9-]*:[0-9]*:(job-queue|compute-environment)/(.+)")


class Switch(Enum):
    """Whether something takes new work; its user decides."""

    ENABLED = "ENABLED"  #: takes new work
    DISABLED = "DISABLED"  #: finishes what it has, and may be deleted


class Health(Enum):
    """Whether something can be used; the service decides."""

    CREATING = "CREATING"  #: being made
    UPDATING = "UPDATING"  #: being changed
    DELETING = "DELETING"  #: being deleted
    DELETED = "DELETED"  #: gone, shown for a while
    VALID = "VALID"  #: can be used
    INVALID = "INVALID"  #: cannot be used; its reason says why


class Management(Enum):
    """Who starts the machines of a compute environment."""

    MANAGED = "MANAGED"  #: the service
    UNMANAGED = "UNMANAGED"  #: its user


class Family(Enum):
    """What the compute environments of one queue have in common; jobs name it in `platformCapabilities`."""

    EC2 = "EC2"
    FARGATE = "FARGATE"
    MANAGED_INSTANCES = "MANAGED_INSTANCES"


class Machines(Enum):
    """What a managed compute environment says that it consists of (`computeResources.type`). Whatever it is, its provider runs the jobs."""

    EC2 = "EC2"
    SPOT = "SPOT"
    FARGATE = "FARGATE"
    FARGATE_SPOT = "FARGATE_SPOT"
    ECS_MANAGED_INSTANCES = "ECS_MANAGED_INSTANCES"

    @property
    def family(self) -> Family:
        """What these can stand in one queue with."""
        return _FAMILIES.get(self, Family.EC2)


_FAMILIES: Final = {
    Machines.FARGATE: Family.FARGATE,
    Machines.FARGATE_SPOT: Family.FARGATE,
    Machines.ECS_MANAGED_INSTANCES: Family.MANAGED_INSTANCES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeEnvironment:
    """Where attempts run: a provider, and how much of it may be used at once."""

    name: str
    provider: str
    machines: Machines | None = Machines.EC2  #: None: UNMANAGED
    max_cpus: int | None = None  #: thousandths of a vCPU (`maxvCpus`); None: what the provider has
    unmanaged_cpus: int | None = None  #: thousandths of a vCPU expected of an UNMANAGED one: what its fair-share reservation is a part of
    state: Switch = Switch.ENABLED
    status: Health = Health.VALID
    reason: str = "ComputeEnvironment Healthy"
    runtime: str = PROCESS  #: how attempts run: as processes of this host, or in containers of `docker` or `podman`
    tags: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, object] = field(default_factory=dict)  #: further members as they were given, to be shown again (computeResources, ...)

    def __post_init__(self) -> None:
        check_name("computeEnvironmentName", self.name)
        if self.unmanaged_cpus is not None and self.unmanaged_cpus < 0:
            raise InvalidField("unmanagedvCpus", f"{self.unmanaged_cpus // 1000} is below 0")

    @property
    def management(self) -> Management:
        """Who starts its machines."""
        return Management.UNMANAGED if self.machines is None else Management.MANAGED

    @property
    def family(self) -> Family:
        """What it can stand in one queue with, and what jobs must be able to run on; unmanaged ones are of EC2."""
        return Family.EC2 if self.machines is None else self.machines.family


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLimit:
    """What happens to a job at the head of its queue that has been RUNNABLE for a reason for too long: it is cancelled (`jobStateTimeLimitActions`)."""

    reason: str
    limit: timedelta

    def __post_init__(self) -> None:
        if not _SHORTEST <= self.limit <= _LONGEST:
            raise InvalidField("jobStateTimeLimitActions.maxTimeSeconds", f"{self.limit.total_seconds():.0f} is not between 600 and 86400")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueue:
    """Where jobs wait: in turn, or by the shares of a policy; for the first of its environments, in order, that has room."""

    name: str
    priority: int = 1  #: queues of higher priority are served first
    environments: tuple[str, ...] = ()  #: in order; none: a queue for service jobs
    service_environments: tuple[str, ...] = ()
    orders: tuple[int, ...] = ()  #: the order numbers of its environments, ascending; none: they count from 1
    policy: str | None = None  #: the fair-share scheduling policy; None: first come, first served
    state: Switch = Switch.ENABLED
    status: Health = Health.VALID
    reason: str = "JobQueue Healthy"
    tags: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[StateLimit, ...] = ()

    def __post_init__(self) -> None:
        check_name("jobQueueName", self.name)
        if self.priority < 0:
            raise InvalidField("priority", f"{self.priority} is below 0")
        self._check_environments()
        known = SERVICE_REASONS if self.is_service else REASONS
        for limit in self.limits:
            if limit.reason not in known:
                raise InvalidField("jobStateTimeLimitActions.reason", f"'{limit.reason[:100]}' is not one of {', '.join(known)}")

    def _check_environments(self) -> None:
        if self.environments and self.service_environments:
            raise InvalidField("serviceEnvironmentOrder", "a job queue has compute environments or service environments, not both")
        if len(self.service_environments) > 1:
            raise InvalidField("serviceEnvironmentOrder", f"{len(self.service_environments)} service environments: a queue has one")
        if not self.service_environments and not 1 <= len(self.environments) <= MAX_ENVIRONMENTS:
            raise InvalidField("computeEnvironmentOrder", f"{len(self.environments)} compute environments: a queue has 1 to {MAX_ENVIRONMENTS}")
        if len(set(self.environments)) < len(self.environments):
            raise InvalidField("computeEnvironmentOrder", "a compute environment is named twice")
        if self.orders and any(later <= earlier for earlier, later in zip(self.orders, self.orders[1:], strict=False)):
            raise InvalidField("computeEnvironmentOrder", f"the order numbers {', '.join(map(str, self.orders))} do not tell which comes first")

    @property
    def is_service(self) -> bool:
        """Whether it takes service jobs, which do not run here."""
        return bool(self.service_environments)

    def with_policy(self, policy: str | None) -> JobQueue:
        """The same queue under another policy. A FIFO queue cannot get one, and a fair-share queue cannot lose its own: Conflict."""
        if (policy is None) != (self.policy is None):
            change = "has no scheduling policy and cannot get one" if self.policy is None else "cannot lose its scheduling policy"
            raise Conflict(f"Job queue '{self.name}' {change}: create another queue")
        return replace(self, policy=policy)


def ec2_queue() -> JobQueue:
    """The queue of arrays on EC2."""
    return JobQueue(name=EC2_PLACE, environments=(EC2_PLACE,), reason="Takes what `spawn launch --provider ec2` launches")


def ec2_environment() -> ComputeEnvironment:
    """The compute environment of arrays on EC2: as much as the account may have."""
    return ComputeEnvironment(name=EC2_PLACE, provider=EC2)


def provider_of(queue: str) -> str:
    """The provider of the jobs in a queue."""
    return EC2 if queue == EC2_PLACE else LOCAL


def default_queue() -> JobQueue:
    """The queue that is there without being created: first come, first served, on this machine."""
    return JobQueue(name=DEFAULT_QUEUE, environments=(LOCAL_ENVIRONMENT,))


def local_environment() -> ComputeEnvironment:
    """The compute environment that is there without being created: this machine, as much as it has."""
    return ComputeEnvironment(name=LOCAL_ENVIRONMENT, provider=LOCAL)


def may_submit(queue: JobQueue) -> None:
    """Refuse a queue that takes no jobs now: one that is not ENABLED and VALID, and one for service jobs (Conflict)."""
    if queue.state is not Switch.ENABLED:
        raise Conflict(f"Job queue '{queue.name}' is {queue.state.value} and takes no jobs: enable it (UpdateJobQueue), or submit to another one")
    if queue.status is not Health.VALID:
        raise Conflict(f"Job queue '{queue.name}' is {queue.status.value}: {queue.reason}")
    if queue.name == EC2_PLACE:
        raise Conflict(f"Job queue '{queue.name}' takes only what `spawn launch --provider ec2` launches: submit to another one")
    if queue.is_service:
        raise Conflict(f"Job queue '{queue.name}' takes service jobs only: submit to one that has compute environments")


def may_attach(queue: JobQueue, environments: Iterable[ComputeEnvironment]) -> None:
    """Refuse a queue whose compute environments do not all exist (NotFound), are VALID (Conflict) and go together: EC2 and Fargate do not."""
    known = {environment.name: environment for environment in environments}
    for name in queue.environments:
        if name not in known:
            raise NotFound(f"There is no compute environment '{name}'")
        if known[name].status is not Health.VALID:
            raise Conflict(f"Compute environment '{name}' is {known[name].status.value}: {known[name].reason}")
        if known[name].provider != provider_of(queue.name):
            raise InvalidField("computeEnvironmentOrder", f"'{name}' is of the provider {known[name].provider}: '{EC2_PLACE}' alone takes what runs on EC2")
    if len({known[name].family for name in queue.environments}) > 1:
        mixed = ", ".join(f"'{name}' ({known[name].family.value})" for name in queue.environments)
        raise InvalidField("computeEnvironmentOrder", f"EC2 and Fargate compute environments cannot be mixed in one queue: {mixed}")


def may_delete_queue(queue: JobQueue) -> None:
    """Refuse to delete a queue that is not DISABLED, and the one that is always there (Conflict). Its jobs are then terminated, as `JobQueue deleted`."""
    if queue.name == DEFAULT_QUEUE:
        raise Conflict(f"Job queue '{queue.name}' is always there and cannot be deleted: disable it if it is to take no jobs")
    if queue.state is not Switch.DISABLED:
        raise Conflict(f"Job queue '{queue.name}' is {queue.state.value}: disable it first")


def may_delete_environment(environment: ComputeEnvironment, queues: Iterable[JobQueue]) -> None:
    """Refuse to delete a compute environment that is not DISABLED, that a queue still uses, or that is always there (Conflict)."""
    if environment.name == LOCAL_ENVIRONMENT:
        raise Conflict(f"Compute environment '{environment.name}' is always there and cannot be deleted: disable it if nothing is to run in it")
    if environment.state is not Switch.DISABLED:
        raise Conflict(f"Compute environment '{environment.name}' is {environment.state.value}: disable it first")
    if users := sorted(queue.name for queue in queues if environment.name in queue.environments and queue.status is not Health.DELETED):
        # the first half is AWS's, and clients look for it
        raise Conflict(f"Cannot delete, found existing JobQueue relationship: '{environment.name}' is used by job queue {', '.join(users)}")
