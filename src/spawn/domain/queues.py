"""Job queues and compute environments: where jobs wait, and where they run (spec 2.11 and 2.12)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from spawn.domain.errors import Conflict, InvalidField, NotFound
from spawn.domain.scheduling import Capacity

MAX_ENVIRONMENTS: Final = 3
"""Most compute environments of a queue (AWS Batch service quotas)."""

DEFAULT_QUEUE: Final = "default"
"""The queue of jobs that name none."""

LOCAL_ENVIRONMENT: Final = "local"
"""The compute environment that is this machine."""

PROCESS: Final = "process"
"""The runtime of compute environments that name none: commands run on this host."""

QUEUE_DELETED: Final = "JobQueue deleted"
"""Status reason of jobs whose queue was deleted under them (spec 2.8)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeEnvironment:
    """Where attempts run: a provider, and how much of it may be used at once."""

    name: str
    provider: str
    capacity: Capacity | None = None  #: None: what the provider has
    management: Management = Management.MANAGED
    state: Switch = Switch.ENABLED
    status: Health = Health.VALID
    reason: str = "ComputeEnvironment Healthy"
    runtime: str = PROCESS  #: how attempts run: as processes of this host, or in containers of `docker` or `podman`
    tags: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, object] = field(default_factory=dict)  #: further members as they were given, to be shown again (computeResources, ...)

    def __post_init__(self) -> None:
        _check_name("computeEnvironmentName", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLimit:
    """What happens to a job at the head of its queue that has been RUNNABLE for a reason for too long: it is cancelled (`jobStateTimeLimitActions`)."""

    reason: str
    limit: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueue:
    """Where jobs wait: in turn, or by the shares of a policy; for the first of its environments, in order, that has room."""

    name: str
    priority: int = 1  #: queues of higher priority are served first
    environments: tuple[str, ...]
    policy: str | None = None  #: the fair-share scheduling policy; None: first come, first served
    state: Switch = Switch.ENABLED
    status: Health = Health.VALID
    reason: str = "JobQueue Healthy"
    tags: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[StateLimit, ...] = ()

    def __post_init__(self) -> None:
        _check_name("jobQueueName", self.name)
        if self.priority < 0:
            raise InvalidField("priority", f"{self.priority} is below 0")
        if not 1 <= len(self.environments) <= MAX_ENVIRONMENTS:
            raise InvalidField("computeEnvironmentOrder", f"{len(self.environments)} compute environments: a queue has 1 to {MAX_ENVIRONMENTS}")
        if len(set(self.environments)) < len(self.environments):
            raise InvalidField("computeEnvironmentOrder", "a compute environment is named twice")

    def with_policy(self, policy: str | None) -> JobQueue:
        """The same queue under another policy. A FIFO queue cannot get one, and a fair-share queue cannot lose its own: Conflict."""
        if (policy is None) != (self.policy is None):
            change = "has no scheduling policy and cannot get one" if self.policy is None else "cannot lose its scheduling policy"
            raise Conflict(f"Job queue '{self.name}' {change}: create another queue")
        return replace(self, policy=policy)


def default_queue() -> JobQueue:
    """The queue that is there without being created: first come, first served, on this machine."""
    return JobQueue(name=DEFAULT_QUEUE, environments=(LOCAL_ENVIRONMENT,))


def local_environment() -> ComputeEnvironment:
    """The compute environment that is there without being created: this machine, as much as it has."""
    return ComputeEnvironment(name=LOCAL_ENVIRONMENT, provider="local")


def name_of(reference: str) -> str:
    """The name of a queue or compute environment that is given by name or ARN."""
    match = _ARN.fullmatch(reference)
    return reference if match is None else match[2]


def find_queue(queues: Iterable[JobQueue], reference: str) -> JobQueue:
    """The queue of a name or ARN, or NotFound."""
    found = next((queue for queue in queues if queue.name == name_of(reference)), None)
    if found is None:
        raise NotFound(f"There is no job queue '{reference}'")
    return found


def may_submit(queue: JobQueue) -> None:
    """Refuse a queue that takes no jobs now: one that is not ENABLED and VALID (Conflict)."""
    if queue.state is not Switch.ENABLED:
        raise Conflict(f"Job queue '{queue.name}' is {queue.state.value}: enable it, or submit to another one")
    if queue.status is not Health.VALID:
        raise Conflict(f"Job queue '{queue.name}' is {queue.status.value}: {queue.reason}")


def may_attach(queue: JobQueue, environments: Iterable[ComputeEnvironment]) -> None:
    """Refuse a queue whose compute environments do not all exist (NotFound) and are VALID (Conflict)."""
    known = {environment.name: environment for environment in environments}
    for name in queue.environments:
        if name not in known:
            raise NotFound(f"There is no compute environment '{name}'")
        if known[name].status is not Health.VALID:
            raise Conflict(f"Compute environment '{name}' is {known[name].status.value}: {known[name].reason}")


def may_delete_queue(queue: JobQueue) -> None:
    """Refuse to delete a queue that is not DISABLED (Conflict). Its jobs are then terminated, as `JobQueue deleted`."""
    if queue.state is not Switch.DISABLED:
        raise Conflict(f"Job queue '{queue.name}' is {queue.state.value}: disable it first")


def may_delete_environment(environment: ComputeEnvironment, queues: Iterable[JobQueue]) -> None:
    """Refuse to delete a compute environment that is not DISABLED, or that a queue still uses (Conflict)."""
    if environment.state is not Switch.DISABLED:
        raise Conflict(f"Compute environment '{environment.name}' is {environment.state.value}: disable it first")
    if users := sorted(queue.name for queue in queues if environment.name in queue.environments and queue.status is not Health.DELETED):
        raise Conflict(f"Compute environment '{environment.name}' is used by job queue {', '.join(users)}: take it out there first")


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidField(field, f"'{name[:140]}' is not a name: 1 to 128 letters, digits, hyphens and underscores, a letter or digit first")
