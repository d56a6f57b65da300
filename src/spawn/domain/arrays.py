"""An array job in memory: one byte a child. The only value that changes in place, and only through legal moves (ADR 0001)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from spawn.domain.children import ChildRecord, UnderWay
from spawn.domain.errors import IllegalMove
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import LOCAL_ENVIRONMENT
from spawn.domain.states import MOVES, NOT_STARTED, UNDER_WAY, Status

_MOVED: Final = 0x80
"""Set in the byte of a child that has moved by itself: it has a row of its own in the store."""

_LEGAL: Final = frozenset((int(was), int(to)) for was, targets in MOVES.items() for to in targets)
_RUNNABLE: Final = int(Status.RUNNABLE)
_NOT_STARTED: Final = frozenset(int(status) for status in NOT_STARTED)


class ArrayJob:
    """All children of one job: a status byte each, counters that always add up to the size, and the few that are under way."""

    __slots__ = (
        "_bytes",
        "_counts",
        "_dirty",
        "_first_moved",
        "_first_unmoved",
        "_touched",
        "_waiting",
        "base",
        "base_at",
        "base_reason",
        "cancelled",
        "cancelled_children",
        "changed",
        "each",
        "failed_attempts",
        "halted",
        "job",
        "losses",
        "max_concurrent",
        "open_children",
        "open_jobs",
        "placed",
        "reason",
        "started_at",
        "stopped_at",
        "terminated_at",
        "under_way",
        "unmoved",
    )

    def __init__(self, job: Job, *, max_concurrent: int | None = None) -> None:
        self.job = job
        self.max_concurrent = max_concurrent
        self.base = Status.SUBMITTED  #: the status of every child that has not moved by itself
        self.base_reason: str | None = None
        self.base_at: Instant | None = None  #: when they took that status
        self.unmoved = job.size
        self.reason: str | None = None  #: why the parent settled, or why it was cancelled or terminated
        self.cancelled = False  #: cancelled or terminated as a whole: children that would become RUNNABLE fail instead
        self.terminated_at: Instant | None = None  #: when it was terminated as a whole
        self.cancelled_children: dict[int, str] = {}  #: PENDING children cancelled one by one, and why
        self.halted = False  #: more children failed than max_failures allows: nothing more starts
        self.failed_attempts = 0  #: children that failed by an attempt of their own
        self.started_at: Instant | None = None
        self.stopped_at: Instant | None = None
        self.open_jobs: set[str] = set()  #: jobs that have to succeed before any child may run
        self.open_children: set[tuple[str, int]] = set()  #: children (job, index) likewise
        self.each: list[ArrayJob] = []  #: arrays whose child at the same position has to succeed first (N_TO_N)
        self.under_way: dict[int, UnderWay] = {}
        self.placed: dict[str, int] = {}  #: how many of those are in each compute environment
        self.losses: dict[int, int] = {}  #: how many attempts of a child the spot market took
        self.changed: dict[int, ChildRecord] = {}  #: rows to write at the next commit
        self._dirty = True
        self._touched: dict[ArrayKey, ArrayJob] = {}
        self._bytes = bytearray(job.size)
        self._counts = [0] * len(Status)
        self._counts[Status.SUBMITTED] = job.size
        self._waiting: dict[int, tuple[int, int]] = {}
        self._first_unmoved = 0
        self._first_moved = job.size

    # --- what it tells ------------------------------------------------------------------------------------------------

    def attach(self, touched: dict[ArrayKey, ArrayJob]) -> None:
        """Put itself into this table whenever something of it changes, and now: it is new there."""
        self._touched = touched
        touched[self.job.key] = self

    @property
    def dirty(self) -> bool:
        """Whether the array's own row is to be written at the next commit."""
        return self._dirty

    @dirty.setter
    def dirty(self, dirty: bool) -> None:
        self._dirty = dirty
        if dirty:
            self._touched[self.job.key] = self

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The number of children."""
        return len(self._bytes)

    def status_of(self, position: int) -> Status:
        """Where the child at a position is."""
        return Status(self._bytes[position] & ~_MOVED)

    def count(self, status: Status) -> int:
        """How many children have this status."""
        return self._counts[status]

    def counts(self) -> dict[Status, int]:
        """How many children have each status; the values always add up to the size."""
        return {status: self._counts[status] for status in Status}

    @property
    def settled(self) -> bool:
        """Whether every child has SUCCEEDED or FAILED."""
        return self._counts[Status.SUCCEEDED] + self._counts[Status.FAILED] == len(self._bytes)

    @property
    def parent_status(self) -> Status:
        """The status the job itself shows: a parent's is only SUBMITTED, PENDING, SUCCEEDED or FAILED (spec 2.3); a single job's is its child's."""
        if not self.job.is_array:
            return self.status_of(0)
        if not self.settled:
            return Status.SUBMITTED if self._counts[Status.SUBMITTED] == len(self._bytes) else Status.PENDING
        return Status.FAILED if self._counts[Status.FAILED] else Status.SUCCEEDED

    @property
    def held(self) -> bool:
        """Whether something other than its own children keeps every child from running."""
        return bool(self.open_jobs or self.open_children)

    def positions(self, *statuses: Status) -> Iterator[int]:
        """The positions of all children that have one of these statuses, ascending."""
        wanted = {int(status) for status in statuses}
        return (position for position, byte in enumerate(self._bytes) if byte & ~_MOVED in wanted)

    def has_moved(self, position: int) -> bool:
        """Whether the child has moved by itself and so has a row."""
        return bool(self._bytes[position] & _MOVED)

    def attempts_made(self, position: int) -> tuple[int, int]:
        """The latest attempt of a child that waits or runs, and how many came before its round; (0, 0) before the first."""
        under_way = self.under_way.get(position)
        return self._waiting.get(position, (0, 0)) if under_way is None else (under_way.attempt, under_way.round_start)

    # --- how it changes -----------------------------------------------------------------------------------------------

    def move(
        self,
        position: int,
        to: Status,
        *,
        attempt: int = 0,
        round_start: int = 0,
        reason: str | None = None,
        started_at: Instant | None = None,
        stopped_at: Instant | None = None,
        ends_at: Instant | None = None,
        environment: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        """Move one child, or raise IllegalMove. All that its row says is replaced by what is given here."""
        byte = self._bytes[position]
        was = byte & ~_MOVED
        if (was, to) not in _LEGAL:
            raise IllegalMove(f"{self.job.child_id(position)} cannot move from {Status(was).name} to {to.name}")
        if not byte & _MOVED:
            self.unmoved -= 1
        self._bytes[position] = to | _MOVED
        self._counts[was] -= 1
        self._counts[to] += 1
        if to == _RUNNABLE and position < self._first_moved:
            self._first_moved = position
        self._waiting.pop(position, None)
        if attempt and to in _NOT_STARTED:
            self._waiting[position] = (attempt, round_start)
        if not self._dirty:  # setting it costs more than looking, and most moves follow another one
            self.dirty = True
        losses = self.losses.get(position, 0) if self.losses else 0
        self.changed[position] = ChildRecord(to, attempt, round_start, reason, started_at, stopped_at, ends_at, environment, losses, instance_id)

    def move_unmoved(self, to: Status, *, at: Instant, reason: str | None = None) -> int:
        """Move every child that has not moved by itself, as one; return how many. They share one row, the array's."""
        if not self.unmoved:
            return 0
        if (self.base, to) not in _LEGAL:
            raise IllegalMove(f"the children of {self.job.id} cannot move from {self.base.name} to {to.name}")
        table = bytearray(range(256))
        table[self.base] = to
        self._bytes = self._bytes.translate(table)
        self._counts[self.base] -= self.unmoved
        self._counts[to] += self.unmoved
        self.base, self.base_reason, self.base_at = to, reason, at
        self._first_unmoved = 0
        self.dirty = True
        return self.unmoved

    def take_runnable(self, environment: str = LOCAL_ENVIRONMENT) -> tuple[int, int] | None:
        """Move the RUNNABLE child with the lowest position to STARTING in a compute environment; return its position and attempt, or None."""
        position = self._lowest_runnable()
        if position is None:
            return None
        made, round_start = self._waiting.get(position, (0, 0))
        self.move(position, Status.STARTING, attempt=made + 1, round_start=round_start, environment=environment)
        self.under_way[position] = UnderWay(made + 1, round_start, environment=environment)
        self.placed[environment] = self.placed.get(environment, 0) + 1
        return position, made + 1

    def close_attempt(self, position: int) -> UnderWay:
        """Take out the attempt under way of a child that is to be moved on."""
        under_way = self.under_way.pop(position)
        left = self.placed[under_way.environment] - 1
        if left:
            self.placed[under_way.environment] = left
        else:
            del self.placed[under_way.environment]
        return under_way

    def _lowest_runnable(self) -> int | None:
        unmoved = self._bytes.find(_RUNNABLE, self._first_unmoved) if self.base is Status.RUNNABLE else -1
        moved = self._bytes.find(_RUNNABLE | _MOVED, self._first_moved)
        self._first_unmoved = unmoved if unmoved >= 0 else self.size
        self._first_moved = moved if moved >= 0 else self.size
        found = min(self._first_unmoved, self._first_moved)
        return None if found == self.size else found

    def mark_started(self, position: int, at: Instant) -> None:
        """Note that the attempt under way has begun: STARTING becomes RUNNING."""
        under_way = replace(self.under_way[position], started_at=at)
        self.under_way[position] = under_way
        self.move(
            position,
            Status.RUNNING,
            attempt=under_way.attempt,
            round_start=under_way.round_start,
            started_at=at,
            ends_at=under_way.ends_at,
            reason=under_way.stopping,
            environment=under_way.environment,
            instance_id=under_way.instance_id,
        )
        if self.started_at is None or at < self.started_at:
            self.started_at = at

    def mark(self, position: int, *, stopping: str | None = None, ends_at: Instant | None = None, instance_id: str | None = None) -> None:
        """Note of the attempt under way that it is being stopped, that its instance ends at another time, or which instance it has."""
        was = self.under_way[position]
        now = replace(was, stopping=stopping or was.stopping, ends_at=ends_at or was.ends_at, instance_id=instance_id or was.instance_id)
        self.under_way[position] = now
        self._touched[self.job.key] = self
        self.changed[position] = ChildRecord(
            self._bytes[position] & ~_MOVED,
            now.attempt,
            now.round_start,
            now.stopping,
            now.started_at,
            None,
            now.ends_at,
            now.environment,
            self.losses.get(position, 0),
            now.instance_id,
        )

    def mark_cancelled(self, position: int, reason: str) -> None:
        """Note of a PENDING child that it was cancelled: it fails once what it waits for has been decided (spec 2.9)."""
        if not self._bytes[position] & _MOVED:
            self._bytes[position] |= _MOVED
            self.unmoved -= 1
        self.cancelled_children[position] = reason
        attempt, round_start = self._waiting.get(position, (0, 0))
        self.changed[position] = ChildRecord(self._bytes[position] & ~_MOVED, attempt, round_start, reason, None, None, None)
        self.dirty = True

    def load(self, *, base: Status, rows: Iterator[tuple[int, ChildRecord]]) -> None:
        """Take over what the store has: the status of the unmoved children, and the row of each that has moved."""
        size = self.size
        image = bytearray([base]) * size
        counts = [0] * len(Status)
        for position, row in rows:
            image[position] = row.status | _MOVED
            if row.losses:
                self.losses[position] = row.losses
            counts[row.status] += 1
            self.unmoved -= 1
            if row.status in UNDER_WAY:
                environment = row.environment or LOCAL_ENVIRONMENT
                self.under_way[position] = UnderWay(row.attempt, row.round_start, row.started_at, row.ends_at, row.reason, environment, row.instance_id)
                self.placed[environment] = self.placed.get(environment, 0) + 1
            elif row.status in _NOT_STARTED:
                if row.attempt:
                    self._waiting[position] = (row.attempt, row.round_start)
                if row.reason is not None:
                    self.cancelled_children[position] = row.reason
        counts[base] += self.unmoved
        self._bytes, self._counts, self.base = image, counts, base
        self._first_unmoved = self._first_moved = 0
        self.dirty = False
