"""What a reference means: an array, a member, a set of indexes (docs/api.md, "References")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from spawn.domain.errors import NotFound, UsageError
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.indexes import STATE_WORDS, IndexSet
from spawn.domain.jobs import Job
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import Status
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

LAST: Final = "last"
_SHOWN: Final = 3
_SHORTEST_INSTANCE: Final = len("i-") + 6

_WORDS: Final = {
    "@failed": (Status.FAILED,),
    "@running": (Status.STARTING, Status.RUNNING),
    "@succeeded": (Status.SUCCEEDED,),
    "@pending": (Status.SUBMITTED, Status.PENDING, Status.RUNNABLE),
}

_ENDS: Final = {"@lost": OutcomeKind.LOST, "@interrupted": OutcomeKind.INTERRUPTED}


class Member(NamedTuple):
    """One child of one job."""

    row: JobRow
    position: int


@dataclass(frozen=True, slots=True)
class References:
    """Reads references against what the store knows."""

    records: Records

    def job_id(self, text: str) -> JobId:
        """The id that an array's reference names; NotFound when there is none, UsageError when several begin so."""
        return self.job(text).job.id

    def job(self, text: str) -> JobRow:
        """The array or job that a reference names."""
        row = self._exact(text) or self._named(text) or self._prefixed(text)
        if row is None:
            raise NotFound(f"there is no array or job '{text}'" if text != LAST else "there is no array yet")
        return row

    def _exact(self, text: str) -> JobRow | None:
        if text == LAST:
            return self.records.last_job()
        return self.records.job(JobId(text))

    def _named(self, text: str) -> JobRow | None:
        """The newest of this name that has not settled, otherwise the newest."""
        found = self.records.jobs_named(text)
        return self.records.job(found[0]) if found else None

    def _prefixed(self, text: str) -> JobRow | None:
        ids = self.records.ids_like(text) if text else []
        if len(ids) > 1:
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            raise UsageError(f"'{text}' is the beginning of {', '.join(ids[:_SHOWN])}{more}: give more of the id")
        return self.records.job(ids[0]) if ids else None

    def member(self, text: str) -> Member:
        """The child that a member's reference names. What is the id or name of a job as it stands is never taken apart."""
        if text.startswith("i-"):
            return self._of_instance(text)
        row = self._exact(text) or self._named(text)
        if row is None or row.job.is_array:
            member = self._index_of(text)
            if member is not None:
                return member
            row = row or self.job(text)
        if row.job.is_array:
            raise UsageError(f"'{text}' is an array of {row.job.size}: name one of its members, such as {row.job.child_id(row.job.size - 1)}")
        return Member(row, 0)

    def _index_of(self, text: str) -> Member | None:
        """ARRAY:INDEX, ARRAY/INDEX and ARRAY_INDEX, where the array may be given by any reference; NAME-INDEX, by its whole name or id."""
        for mark in ":/_-":
            head, found, tail = text.rpartition(mark)
            if not found or not tail.replace("_", "").isdecimal():
                continue
            row = self._exact(head) or self._named(head) or (self._prefixed(head) if mark != "-" else None)
            if row is not None and row.job.is_array:
                return Member(row, self._position(row, int(tail)))
        return None

    def _position(self, row: JobRow, index: int) -> int:
        indexes = row.job.indexes
        position = indexes.position_of(index) if indexes is not None else None
        if position is None:
            raise NotFound(f"{row.job.id} has no index {index}: it has {indexes}")
        return position

    def _of_instance(self, text: str) -> Member:
        """An instance on EC2 by the name that it has there, one on this machine by the attempt in its name."""
        if len(text) < _SHORTEST_INSTANCE:
            raise UsageError(f"'{text}' is too short for an instance id: give at least 6 digits after i-")
        digits = text[2:]
        named = [name for (name,) in self.records.read("instances_between", {"low": text, "high": text + "g"})]
        low, high = (AttemptId.of_instance("i-" + digits.ljust(17, fill)[:17]) for fill in "0f")
        rows = [row for row in self.records.jobs_between(low.key, high.key) if row.job.fleet is None and len(digits) <= 17]
        if len(named) + len(rows) > 1 or (rows and len(digits) < 15 and rows[0].job.size > 1):
            raise UsageError(f"several instances begin with '{text}': give more of the id")
        if named:
            return self._working_on(named[0])
        position = low.position if len(digits) >= 15 else 0
        if not rows or position >= rows[0].job.size:
            raise NotFound(f"there is no instance '{text}'")
        return Member(rows[0], position)

    def _working_on(self, instance_id: str) -> Member:
        """The child that an instance on EC2 works on, or was the last to."""
        attempts = self.records.by_instance(instance_id)
        rows = self.records.jobs_between(attempts[0].key, attempts[0].key)
        if not rows:
            raise NotFound(f"there is no instance '{instance_id}'")
        statuses = {position: Status(record.status) for position, record in self.records.rows(rows[0].job.key)} if len(attempts) > 1 else {}
        working = [attempt for attempt in attempts if statuses.get(attempt.position) is Status.RUNNING]
        return Member(rows[0], (working or attempts[-1:])[0].position)

    def positions(self, row: JobRow, text: str | None) -> list[int] | None:
        """The positions that an index set or a state word names, ascending; None (all) for None."""
        if text is None:
            return None
        if text.startswith("@"):
            return self._in_state(row, text)
        chosen = IndexSet.selection(text)
        if row.job.indexes is None:
            raise UsageError(f"{row.job.id} is a single job and has no indexes: leave '{text}' out")
        return [self._inside(row.job, index) for index in chosen]

    def _inside(self, job: Job, index: int) -> int:
        position = job.indexes.position_of(index) if job.indexes is not None else None
        if position is None:
            raise UsageError(f"index {index} is outside {job.id}, which has {job.indexes}")
        return position

    def _in_state(self, row: JobRow, word: str) -> list[int]:
        if word in _ENDS:
            return self.records.ended_positions(row.job.key, _ENDS[word])
        statuses = _WORDS.get(word)
        if statuses is None:
            raise UsageError(f"'{word}' is not a state word: use one of {', '.join(sorted(STATE_WORDS))}")
        rows = {position: record.status for position, record in self.records.rows(row.job.key)}
        base = row.base in statuses
        return [position for position in range(row.job.size) if (rows[position] in statuses if position in rows else base)]
