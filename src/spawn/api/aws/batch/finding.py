"""Finding the jobs that Batch clients name: `ID`, `PARENT:INDEX`, or the ARN of either (spec 2.1)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from spawn.api.aws.batch.standing import Attempt, Child, Standing, child_standing, parent_standing
from spawn.api.aws.callers import name_in
from spawn.domain.errors import InvalidField
from spawn.domain.ids import JobId
from spawn.domain.states import Status
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

_LONGEST_INDEX: Final = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """A job by its id, or a child by its parent's and its index."""

    job: JobId
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A job that was asked for. `position`: of a child, None for the parent of an array; a single job is its own child 0."""

    row: JobRow
    position: int | None
    child: Child | None
    attempts: tuple[Attempt, ...]  #: those that have ended, the first one first

    @property
    def id(self) -> str:
        """As clients write it."""
        return self.row.job.id if self.position is None else self.row.job.child_id(self.position)

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        if self.position is None:
            return parent_standing(self.row)
        return child_standing(self.row, self.child, self.latest, single=not self.row.job.is_array)

    @property
    def latest(self) -> Attempt | None:
        """The latest attempt, if it has ended."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and self.child is not None and last.number == self.child.attempt else None


def read_reference(text: str, field: str) -> Reference:
    """What an id or ARN names; the ARN of something else is refused (InvalidField)."""
    name = name_in(text, "job", field)
    job, colon, index = name.rpartition(":")
    if colon and index.isascii() and index.isdigit() and len(index) <= _LONGEST_INDEX and str(int(index)) == index:
        return Reference(JobId(job), int(index))
    return Reference(JobId(name), None)


def find(records: Records, references: Iterable[str]) -> list[Found]:
    """The jobs of these ids and ARNs in this order, each once; what is unknown is left out. Three reads of the store, however many are asked for."""
    asked = [reference for text in references if (reference := _reference(text)) is not None]
    rows = {row.job.id: row for row in records.jobs("jobs_by_ids", (json.dumps(sorted({reference.job for reference in asked})),))}
    places: dict[tuple[JobId, int | None], None] = {}
    for reference in asked:
        row = rows.get(reference.job)
        if row is not None and (place := _place(row, reference.index)) is not None:
            places[row.job.id, place[0]] = None
    return _read(records, rows, list(places))


def _reference(text: str) -> Reference | None:
    try:
        return read_reference(text, "jobs")
    except InvalidField:
        return None


def _place(row: JobRow, index: int | None) -> tuple[int | None] | None:
    """The position, in a tuple of its own, of what an index names in a job; None: nothing."""
    if index is None:
        return (None,) if row.job.is_array else (0,)
    position = row.job.indexes.position_of(index) if row.job.indexes is not None else None
    return None if position is None else (position,)


def _read(records: Records, rows: Mapping[JobId, JobRow], places: list[tuple[JobId, int | None]]) -> list[Found]:
    keys = [(int(rows[job].job.key, 16), position) for job, position in places]
    single = json.dumps([place for place in keys if place[1] is not None])
    children = {(row[0], row[1]): Child(Status(row[2]), *row[3:]) for row in records.read("children_at", (single,))}
    attempts: defaultdict[tuple[int, int], list[Attempt]] = defaultdict(list)
    moved = json.dumps([place for place, child in children.items() if child.attempt])
    for row in records.read("attempts_at", (moved,)):
        # an attempt may have ended since its child was read
        child = children[row[0], row[1]]
        if row[2] < child.attempt or (row[2] == child.attempt and child.status not in (Status.STARTING, Status.RUNNING)):
            attempts[row[0], row[1]].append(Attempt(*row[2:]))
    found = []
    for (job, position), (key, _) in zip(places, keys, strict=True):
        place = (key, -1 if position is None else position)
        found.append(Found(row=rows[job], position=position, child=children.get(place), attempts=tuple(attempts.get(place, ()))))
    return found
