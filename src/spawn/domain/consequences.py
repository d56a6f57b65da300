"""What follows when a child settles: for its own array, and for the arrays that wait for it (spec 2.3, 2.9 and 2.10)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final

from spawn.domain.arrays import ArrayJob
from spawn.domain.errors import Conflict
from spawn.domain.ids import JobId
from spawn.domain.instants import Instant
from spawn.domain.states import Status

DEPENDENT_FAILED: Final = "Dependent Job failed"
"""Status reason of a job that never ran because a dependency failed (spec 2.8)."""

CHILD_FAILED: Final = "Array Child Job failed"
"""Status reason of an array's parent when a child failed (spec 2.8)."""

_WAITING: Final = (Status.SUBMITTED, Status.PENDING, Status.RUNNABLE)


class Consequences:
    """Who waits for whom, and the news of settled children that has not been carried on yet."""

    def __init__(self) -> None:
        self._dependents: defaultdict[JobId, list[ArrayJob]] = defaultdict(list)
        self._news: deque[tuple[ArrayJob, int | None]] = deque()

    def fail_waiting(self, array: ArrayJob, reason: str, at: Instant, positions: Iterable[int] | None = None) -> int:
        """Fail the children that have not started (all, or those named); return how many. `settle_news` must follow.

        One that was cancelled while it waited keeps the reason that was given then (spec 2.9).
        """
        if positions is None:
            count = array.move_unmoved(Status.FAILED, at=at, reason=reason) if array.base in _WAITING else 0
            if count:
                self._news.append((array, None))
            positions = list(array.positions(*_WAITING)) if any(array.count(status) for status in _WAITING) else ()
        else:
            count = 0
        for position in positions:
            attempt, round_start = array.attempts_made(position)
            why = array.cancelled_children.pop(position, None) or reason
            array.move(position, Status.FAILED, attempt=attempt, round_start=round_start, reason=why, stopped_at=at)
            self._news.append((array, position))
            count += 1
        return count

    def settle_news(self, at: Instant) -> None:
        """Carry every settled child's news to its array and to whatever waits for it, until nothing more follows."""
        while self._news:
            array, position = self._news.popleft()
            if array.job.waits.sequential:
                self._go_on_in_sequence(array, position, at)
            for dependent in tuple(self._dependents.get(array.job.id, ())):
                self._tell(dependent, array, position, at)
            if array.settled and array.stopped_at is None:
                self._close(array, at)

    def _close(self, array: ArrayJob, at: Instant) -> None:
        array.stopped_at = at
        array.dirty = True
        failed = array.count(Status.FAILED) > 0
        if not failed:
            array.reason = None
        elif array.reason is None and array.job.is_array:
            array.reason = CHILD_FAILED
        for dependent in tuple(self._dependents.get(array.job.id, ())):
            if array.job.id not in dependent.open_jobs:
                continue
            dependent.open_jobs.discard(array.job.id)
            if failed:
                self._fail_as_dependent(dependent, at)
            elif not dependent.held:
                self._release(dependent, at)

    def _tell(self, dependent: ArrayJob, array: ArrayJob, position: int | None, at: Instant) -> None:
        if dependent.open_children:
            for job, index in [entry for entry in dependent.open_children if entry[0] == array.job.id]:
                status = child_status(array, index)
                if status is Status.FAILED:
                    dependent.open_children.discard((job, index))
                    self._fail_as_dependent(dependent, at)
                elif status is Status.SUCCEEDED:
                    dependent.open_children.discard((job, index))
                    if not dependent.held:
                        self._release(dependent, at)
        if array in dependent.each:
            if position is not None:
                self._judge(dependent, position, at)
            else:
                self._judge_all(dependent, at)

    def _go_on_in_sequence(self, array: ArrayJob, position: int | None, at: Instant) -> None:
        if position is None or position + 1 >= array.size or array.status_of(position + 1) is not Status.PENDING:
            return
        failed = array.status_of(position) is Status.FAILED
        if failed and not array.cancelled and array.unmoved == array.size - position - 1 and not array.has_moved(position + 1):
            self.fail_waiting(array, DEPENDENT_FAILED, at)
        else:
            self._judge(array, position + 1, at)

    def _fail_as_dependent(self, array: ArrayJob, at: Instant) -> None:
        if not array.settled:
            reason = array.reason if array.cancelled and array.reason else DEPENDENT_FAILED
            array.reason = reason
            self.fail_waiting(array, reason, at)

    def release_waiting(self, array: ArrayJob, at: Instant) -> None:
        """Let the PENDING children of an array go as far as their dependencies allow."""
        if not array.held:
            self._release(array, at)
        self.settle_news(at)

    def _release(self, array: ArrayJob, at: Instant) -> None:
        """Nothing holds the array as a whole any more: each child goes as far as its own dependencies let it."""
        if array.cancelled and not array.each and not array.job.waits.sequential:
            self.fail_waiting(array, array.reason or DEPENDENT_FAILED, at)
            return
        if not array.each and not array.job.waits.sequential:
            if array.base in (Status.SUBMITTED, Status.PENDING) and not array.cancelled_children:
                array.move_unmoved(Status.RUNNABLE, at=at)
        elif array.base is Status.SUBMITTED:
            array.move_unmoved(Status.PENDING, at=at)
        self._judge_all(array, at)

    def _judge_all(self, array: ArrayJob, at: Instant) -> None:
        if array.held or not array.count(Status.PENDING):
            return
        if array.job.waits.sequential and not array.each and array.unmoved == array.size:
            self._judge(array, 0, at)
            return
        if self._all_failed_alike(array):
            self.fail_waiting(array, DEPENDENT_FAILED, at)
            return
        for position in list(array.positions(Status.PENDING)):
            self._judge(array, position, at)

    def _all_failed_alike(self, array: ArrayJob) -> bool:
        """Whether a whole array's failure can be passed on as one: an array of a million must not become a million rows."""
        return not array.cancelled and array.unmoved == array.size and any(target.count(Status.FAILED) == target.size for target in array.each)

    def _judge(self, array: ArrayJob, position: int, at: Instant) -> None:
        """Move one PENDING child on when all that it waits for has been decided."""
        if array.held or array.status_of(position) is not Status.PENDING:
            return
        wanted = [target.status_of(position) for target in array.each]
        if array.job.waits.sequential and position > 0:
            wanted.append(array.status_of(position - 1))
        cancelled = array.cancelled_children.get(position, array.reason if array.cancelled else None)
        if Status.FAILED in wanted:
            self.fail_waiting(array, cancelled or DEPENDENT_FAILED, at, [position])
        elif any(status is not Status.SUCCEEDED for status in wanted):
            return
        elif cancelled is not None:
            self.fail_waiting(array, cancelled, at, [position])
        else:
            attempt, round_start = array.attempts_made(position)
            array.move(position, Status.RUNNABLE, attempt=attempt, round_start=round_start)


def child_status(array: ArrayJob, index: int) -> Status:
    position = 0 if array.job.indexes is None else array.job.indexes.position_of(index)
    if position is None:
        raise Conflict(f"{array.job.id} has no index {index}")
    return array.status_of(position)
