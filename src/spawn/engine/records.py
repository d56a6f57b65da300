"""What is written to a store and read back from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import NamedTuple

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Resource
from spawn.domain.definitions import JobDefinition
from spawn.domain.fairshare import ShareUse
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.outcomes import Outcome
from spawn.domain.queues import LOCAL_ENVIRONMENT
from spawn.domain.states import InstanceState, Status
from spawn.engine.news import Usage


class AttemptRecord(NamedTuple):
    """One attempt that has ended, as kept for ever."""

    key: ArrayKey
    position: int
    attempt: int
    started_at: Instant | None
    stopped_at: Instant
    outcome: Outcome
    cpu_s: float | None
    max_rss_kib: int | None
    instance: InstanceState
    instance_ends_at: Instant | None
    environment: str = LOCAL_ENVIRONMENT
    instance_id: str | None = None  #: where instances have names of their own


class LateExit(NamedTuple):
    """The exit of a process after its attempt had been settled by `spored complete`: recorded, changing nothing else."""

    attempt: AttemptId
    code: int | None
    signal: int | None
    usage: Usage


class InstanceEnd(NamedTuple):
    """An instance that was kept after its attempt: its new state, or its new end."""

    attempt: AttemptId
    state: InstanceState
    ends_at: Instant | None


class Head(NamedTuple):
    """The child at the head of a queue that stays RUNNABLE for a reason that `jobStateTimeLimitActions` may name, and since when."""

    key: ArrayKey
    position: int
    reason: str
    since: Instant


@dataclass(slots=True)
class Batch:
    """Everything one turn of the loop writes down, committed as one."""

    jobs: list[ArrayJob]
    arrays: list[ArrayJob]
    attempts: list[AttemptRecord]
    late: list[LateExit]
    instances: list[InstanceEnd]
    removed: list[tuple[ArrayJob, str]]  #: forgotten arrays, and the directories of their files
    places: dict[str, str]  #: up to where the news of a provider is written down, by its name
    definitions: list[JobDefinition] = field(default_factory=list)  #: revisions registered, or changed since
    resources: list[Resource] = field(default_factory=list)  #: queues, environments and so on that are new or changed
    resources_removed: list[Resource] = field(default_factory=list)
    retagged: list[Job] = field(default_factory=list)  #: jobs whose tags were changed
    uses: dict[tuple[str, str], ShareUse | None] = field(default_factory=dict)  #: what shares of queues have used; None: to be forgotten
    heads: dict[str, Head | None] = field(default_factory=dict)  #: who is at the head of a queue and cannot run; None: nobody any more

    @classmethod
    def empty(cls) -> Batch:
        """Nothing to write."""
        return cls([], [], [], [], [], [], {})

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not any(getattr(self, part.name) for part in fields(self))


class KeptInstance(NamedTuple):
    """An instance that lives on after its attempt."""

    key: ArrayKey
    position: int
    attempt: int
    ends_at: Instant | None
    state: InstanceState


class JobRow(NamedTuple):
    """A job and where it stands, as the store has it."""

    job: Job
    base: Status
    base_reason: str | None
    base_at: Instant | None
    counts: tuple[int, ...]  #: children by status
    status: Status
    reason: str | None
    cancelled: bool
    terminated_at: Instant | None
    started_at: Instant | None
    stopped_at: Instant | None
    max_concurrent: int | None
