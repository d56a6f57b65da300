"""Where a job stands, as Batch clients see it: its status, why, since when, and whether its user ended it (spec 2.3, 2.8, 2.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from spawn.domain.consequences import DEPENDENT_FAILED
from spawn.domain.instants import Instant
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import SETTLED, UNDER_WAY, Status

LAUNCHED: Final = "launch:1"
"""The job definition that jobs of `spawn launch` show, which have none."""

_NOT_ASKED_FOR: Final = (DEPENDENT_FAILED, "Not started: ")
_SINCE_RUNNING: Final = frozenset({Status.RUNNING}) | SETTLED


class Attempt(NamedTuple):
    """An attempt that has ended."""

    number: int
    started_at: Instant | None  #: None: its process never began
    stopped_at: Instant
    kind: str
    exit_code: int | None
    status_reason: str
    reason: str | None
    environment: str | None


class Child(NamedTuple):
    """The row of a child, or of a single job, that has moved by itself."""

    status: Status
    attempt: int
    reason: str | None
    started_at: Instant | None
    stopped_at: Instant | None
    environment: str | None


class JobFacts(Protocol):
    """What a job's own row says."""

    @property
    def base(self) -> Status: ...

    @property
    def base_reason(self) -> str | None: ...

    @property
    def base_at(self) -> Instant | None: ...

    @property
    def status(self) -> Status: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def cancelled(self) -> bool: ...

    @property
    def terminated_at(self) -> Instant | None: ...

    @property
    def started_at(self) -> Instant | None: ...

    @property
    def stopped_at(self) -> Instant | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A job's status and what belongs to it."""

    status: Status
    reason: str | None
    started_at: Instant | None  #: None until it runs
    stopped_at: Instant | None  #: never None for a job that has ended
    cancelled: bool
    terminated: bool


def parent_standing(job: JobFacts) -> Standing:
    """Where the parent of an array stands."""
    ended_well = job.status is Status.SUCCEEDED
    return Standing(
        status=job.status,
        reason=None if ended_well else job.reason,
        started_at=job.started_at,
        stopped_at=job.stopped_at if job.status in SETTLED else None,
        cancelled=job.cancelled and job.terminated_at is None and not ended_well,
        terminated=job.terminated_at is not None and not ended_well,
    )


def child_standing(job: JobFacts, child: Child | None, latest: Attempt | None, *, single: bool) -> Standing:
    """Where a child stands, or a single job: by its own row, or as all that have none. `latest`: the attempt of its row, if that has ended."""
    status = job.base if child is None else child.status
    settled = status in SETTLED
    cancelled, terminated = _ended_by_user(job, child, latest, status)
    if child is None:
        stopped_at = job.base_at or job.stopped_at
    else:
        stopped_at = child.stopped_at or (latest.stopped_at if latest is not None else job.stopped_at)
    return Standing(
        status=status,
        reason=_reason(job, child, latest, status, single=single),
        started_at=child.started_at if child is not None and status in _SINCE_RUNNING else None,
        stopped_at=stopped_at if settled else None,
        cancelled=cancelled,
        terminated=terminated,
    )


def _reason(job: JobFacts, child: Child | None, latest: Attempt | None, status: Status, *, single: bool) -> str | None:
    own = job.base_reason if child is None else child.reason
    if own is not None and status is not Status.SUCCEEDED:
        return own
    if status in SETTLED and latest is not None:
        return latest.status_reason
    waits_in_vain = job.cancelled and status is Status.PENDING
    return job.reason if waits_in_vain or (single and status is Status.FAILED) else None


def _ended_by_user(job: JobFacts, child: Child | None, latest: Attempt | None, status: Status) -> tuple[bool, bool]:
    """Whether it was cancelled, and whether it was terminated. One that was terminated alone before it started counts as cancelled, as AWS says it."""
    if status is Status.SUCCEEDED:
        return False, False
    if status in UNDER_WAY:
        return False, child is not None and child.reason is not None
    if child is None or status is Status.PENDING:
        asked = job.cancelled and status in (Status.PENDING, Status.FAILED)
        asked = asked or (child is not None and child.reason is not None)
    elif child.reason is not None:
        asked = status is Status.FAILED and not child.reason.startswith(_NOT_ASKED_FOR)
    else:
        stopped = latest is not None and status is Status.FAILED and latest.kind == OutcomeKind.STOPPED.value
        return False, stopped
    at = job.base_at if child is None else child.stopped_at
    # what was cancelled before the whole was terminated stays cancelled
    terminated = job.terminated_at is not None and (at is None or at >= job.terminated_at)
    return asked and not terminated, asked and terminated
