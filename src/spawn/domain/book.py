"""The book of live jobs: what the news of one child means for its array and for all that depends on it.

All rules of spec 2.2 to 2.10 that need more than one value at a time are here, in `consequences` and in `control`. The book changes array jobs in memory and
leaves in each what has to be written down (`changed`, `dirty`); it never waits, never asks, and never tells a provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from spawn.domain.arrays import ArrayJob
from spawn.domain.children import UnderWay
from spawn.domain.consequences import DEPENDENT_FAILED, Consequences, child_status
from spawn.domain.ids import MAX_ATTEMPTS, ArrayKey, AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.outcomes import Outcome, OutcomeKind
from spawn.domain.queues import LOCAL_ENVIRONMENT
from spawn.domain.states import Status


class JobBook(Consequences):
    """Every array job that is not settled, and those that a live one still asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.by_key: dict[ArrayKey, ArrayJob] = {}
        self.by_id: dict[JobId, ArrayJob] = {}
        self.touched: dict[ArrayKey, ArrayJob] = {}  #: what has come or changed since `written`
        self._done: dict[ArrayKey, ArrayJob] = {}  #: settled, and kept for those that wait for it
        self.halted: list[ArrayJob] = []  #: arrays halted since someone looked: what waits at a provider has to be called back

    # --- coming and going ---------------------------------------------------------------------------------------------

    def add(self, array: ArrayJob) -> None:
        """Put an array into the book without moving anything; `link` follows when all it depends on is there."""
        self.by_key[array.job.key] = array
        self.by_id[array.job.id] = array
        array.attach(self.touched)

    def unwritten(self) -> list[ArrayJob]:
        """The arrays of which something is to be written down."""
        return [array for array in self.touched.values() if array.dirty or array.changed]

    def written(self) -> None:
        """All that has changed so far has been written down."""
        for array in self.touched.values():
            array.dirty = False
            array.changed.clear()
            if array.settled:
                self._done[array.job.key] = array
        self.touched.clear()

    def submit(self, job: Job, *, statuses: Mapping[JobId, Status], at: Instant, max_concurrent: int | None = None) -> ArrayJob:
        """Take a new job. `statuses` tells of the jobs it waits for as wholes that are not in the book."""
        array = ArrayJob(job, max_concurrent=max_concurrent)
        self.add(array)
        self.admit(array, statuses=statuses, at=at)
        return array

    def admit(self, array: ArrayJob, *, statuses: Mapping[JobId, Status], at: Instant, resumed: bool = False) -> None:
        """Look up what an array waits for and move its waiting children accordingly. Again: changes nothing more.

        `resumed`: it has been free to run before, so that a dependency that has failed since, when it was run again, changes nothing.
        """
        failed = self.link(array, statuses=statuses)
        if failed and not resumed:
            array.reason = DEPENDENT_FAILED
            self.fail_waiting(array, DEPENDENT_FAILED, at)
        elif array.held:
            if array.base is Status.SUBMITTED:
                array.move_unmoved(Status.PENDING, at=at)
        else:
            self._release(array, at)
        self.settle_news(at)

    def link(self, array: ArrayJob, *, statuses: Mapping[JobId, Status]) -> bool:
        """Note what an array still waits for; True when one of those has failed already.

        An array that is not in the book although single children of it are waited for has succeeded as a whole, or was forgotten: it holds nobody.
        """
        waits = array.job.waits
        failed = False
        for job in waits.whole:
            status = self.by_id[job].parent_status if job in self.by_id else statuses[job]
            failed |= status is Status.FAILED
            if status not in (Status.SUCCEEDED, Status.FAILED):
                array.open_jobs.add(job)
                self._dependents[job].append(array)
        for job, index in waits.children:
            status = child_status(self.by_id[job], index) if job in self.by_id else Status.SUCCEEDED
            failed |= status is Status.FAILED
            if status not in (Status.SUCCEEDED, Status.FAILED):
                array.open_children.add((job, index))
                self._dependents[job].append(array)
        for job in waits.each:
            target = self.by_id.get(job)
            if target is not None and target not in array.each:
                array.each.append(target)
                self._dependents[job].append(array)
        return failed

    def unlink(self, array: ArrayJob) -> None:
        """Forget what an array waits for, before it is linked again."""
        for job in {*array.job.waits.whole, *array.job.waits.each, *(job for job, _ in array.job.waits.children)}:
            if array in self._dependents.get(job, ()):
                self._dependents[job] = [other for other in self._dependents[job] if other is not array]
        array.open_jobs.clear()
        array.open_children.clear()
        array.each.clear()

    def evict_settled(self) -> list[ArrayJob]:
        """Let go of settled arrays that nobody in the book waits for, and return them; they are read back when asked for."""
        candidates = {**self._done, **self.touched}
        self._done = {key: array for key, array in candidates.items() if array.settled and key in self.by_key}
        gone = [array for array in self._done.values() if not array.under_way and not self.is_awaited(array)]
        for array in gone:
            self.forget(array)
        return gone

    def forget(self, array: ArrayJob) -> None:
        """Take a settled array out of the book. Again: nothing."""
        self.unlink(array)
        self._dependents.pop(array.job.id, None)
        self.by_key.pop(array.job.key, None)
        self.by_id.pop(array.job.id, None)
        array.attach({})
        self.touched.pop(array.job.key, None)
        self._done.pop(array.job.key, None)

    def is_awaited(self, array: ArrayJob) -> bool:
        """Whether an array that has not settled waits for this one."""
        return any(not dependent.settled for dependent in self._dependents.get(array.job.id, ()))

    # --- what attempts do ---------------------------------------------------------------------------------------------

    def claim(self, array: ArrayJob, count: int, environment: str = LOCAL_ENVIRONMENT) -> list[tuple[int, int]]:
        """Move up to `count` RUNNABLE children to STARTING in a compute environment, lowest index first; return (position, attempt) of each."""
        taken: list[tuple[int, int]] = []
        while len(taken) < count and (next_one := array.take_runnable(environment)) is not None:
            taken.append(next_one)
        return taken

    def find(self, attempt: AttemptId) -> tuple[ArrayJob, UnderWay] | None:
        """The array of an attempt and what is known of the attempt, while it is the one under way; None for any other (late news)."""
        array = self.by_key.get(attempt.key)
        under_way = array.under_way.get(attempt.position) if array is not None else None
        if array is None or under_way is None or under_way.attempt != attempt.attempt:
            return None
        return array, under_way

    def started(self, attempt: AttemptId, at: Instant) -> bool:
        """The attempt has begun. False, and no change, when it is not the one under way (late news loses)."""
        found = self.find(attempt)
        if found is None or found[1].started_at is not None:
            return False
        found[0].mark_started(attempt.position, at)
        return True

    def launched(self, attempt: AttemptId, instance_id: str) -> bool:
        """An instance was launched for the attempt. False, and no change, when it is not the one under way."""
        found = self.find(attempt)
        if found is None or found[1].instance_id == instance_id:
            return False
        found[0].mark(attempt.position, instance_id=instance_id)
        return True

    def ended(self, attempt: AttemptId, outcome: Outcome, at: Instant) -> bool:
        """The attempt has ended: settle its child, or give it another attempt. False when it is not the one under way.

        What the spot market took is started again in a budget of its own, and costs no retry.
        """
        found = self.find(attempt)
        if found is None:
            return False
        array, under_way = found
        array.close_attempt(attempt.position)
        ends_at = under_way.ends_at
        called_off = array.cancelled_children.pop(attempt.position, None)
        final = array.halted or array.cancelled or under_way.stopping is not None or called_off is not None
        may_go_on = not outcome.succeeded and not final and attempt.attempt < MAX_ATTEMPTS
        spared = may_go_on and outcome.kind is OutcomeKind.INTERRUPTED and array.losses.get(attempt.position, 0) < array.job.spot_retries
        if spared:
            array.losses[attempt.position] = array.losses.get(attempt.position, 0) + 1
        again = spared or (may_go_on and array.job.retry.decide(outcome, made=under_way.made))
        status = Status.SUCCEEDED if outcome.succeeded else Status.RUNNABLE if again else Status.FAILED
        array.move(
            attempt.position,
            status,
            attempt=under_way.attempt,
            round_start=under_way.round_start + spared,
            reason=None,
            started_at=under_way.started_at,
            stopped_at=None if again else at,
            ends_at=ends_at,
            environment=under_way.environment,
            instance_id=under_way.instance_id,
        )
        if status is not Status.RUNNABLE:
            self._news.append((array, attempt.position))
        if status is Status.FAILED:
            self._count_failure(array, at)
        self.settle_news(at)
        return True

    def dropped(self, attempt: AttemptId, at: Instant) -> bool:
        """The attempt was handed over and never began. Its number is used up, but it costs no retry. False when it is not the one under way."""
        found = self.find(attempt)
        if found is None:
            return False
        array, under_way = found
        array.close_attempt(attempt.position)
        reason = under_way.stopping or array.cancelled_children.pop(attempt.position, None) or self._no_more(array)
        array.move(
            attempt.position,
            Status.RUNNABLE if reason is None else Status.FAILED,
            attempt=under_way.attempt,
            round_start=under_way.round_start + 1,
            reason=reason,
            stopped_at=None if reason is None else at,
        )
        if reason is not None:
            self._news.append((array, attempt.position))
        self.settle_news(at)
        return True

    def _no_more(self, array: ArrayJob) -> str | None:
        """Why nothing more of an array is to start."""
        if array.cancelled:
            return array.reason
        return f"Not started: {array.failed_attempts} children failed, and the limit is {array.job.max_failures}" if array.halted else None

    def _count_failure(self, array: ArrayJob, at: Instant) -> None:
        array.failed_attempts += 1
        limit = array.job.max_failures
        if limit is not None and not array.halted and limit.exceeded(array.failed_attempts, array.size):
            array.halted = True
            self.fail_waiting(array, self._no_more(array) or "", at)
            self.halted.append(array)
