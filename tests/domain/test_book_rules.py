"""The whole rule book at once: any mix of arrays, dependencies, failures, retries and cancellations keeps every promise of the design."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from spawn.domain import control
from spawn.domain.arrays import ArrayJob
from spawn.domain.book import JobBook
from spawn.domain.dependencies import Dependency, DependencyType, Target
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.outcomes import Outcome
from spawn.domain.quantities import parse_share
from spawn.domain.retries import RetryStrategy
from spawn.domain.states import PARENT_STATUSES, SETTLED, UNDER_WAY, Status
from tests.domain.making import make_job

SIZES = st.one_of(st.none(), st.integers(1, 4))


class Workflow(RuleBasedStateMachine):
    """A user who submits, cancels, terminates and retries, and a provider whose attempts end as it likes."""

    arrays = Bundle("arrays")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.book = JobBook()
        self.known: dict[JobId, ArrayJob] = {}
        self.begun: Counter[AttemptId] = Counter()
        self.succeeded: set[tuple[JobId, int | None]] = set()
        self.now = Instant(1)

    def tick(self) -> Instant:
        self.now = Instant(self.now + 1)
        return self.now

    # --- what users do ------------------------------------------------------------------------------------------------

    @rule(
        target=arrays,
        size=SIZES,
        others=st.lists(arrays, max_size=2),
        kinds=st.lists(st.sampled_from([None, DependencyType.N_TO_N, "child"]), min_size=2, max_size=2),
        sequential=st.booleans(),
        attempts=st.integers(1, 3),
        limit=st.one_of(st.none(), st.integers(0, 2)),
    )
    def submit(self, size: int | None, others: list[ArrayJob], kinds: list[object], sequential: bool, attempts: int, limit: int | None) -> ArrayJob:
        depends_on = []
        for other, kind in zip(others, kinds, strict=False):
            if kind is DependencyType.N_TO_N and size is not None and other.job.is_array and other.size != size:
                kind = None
            if kind == "child":
                depends_on.append(Dependency(job=other.job.id, index=0 if other.job.is_array else None))
            else:
                depends_on.append(Dependency(job=other.job.id, type=kind if isinstance(kind, DependencyType) else None))
        if sequential and size is not None:
            depends_on.append(Dependency(type=DependencyType.SEQUENTIAL))
        targets = [Target(job=other.job.id, status=other.parent_status, indexes=other.job.indexes) for other in others]
        share = None if limit is None else parse_share(str(limit))
        number = len(self.known) + 1
        job = make_job(number, size, depends_on=depends_on, targets=targets, retry=RetryStrategy(attempts=attempts), max_failures=share)
        self.adopt_each(job.waits.each, job.waits.children)
        array = self.book.submit(job, statuses={job: self.known[job].parent_status for job in job.waits.whole}, at=self.tick())
        self.known[job.id] = array
        return array

    def adopt_each(self, each: tuple[JobId, ...], children: tuple[tuple[JobId, int], ...]) -> None:
        for job in {*each, *(job for job, _ in children)}:
            self.book.add(self.known[job])

    @rule(array=arrays, single=st.booleans(), waits=st.booleans())
    def cancel(self, array: ArrayJob, single: bool, waits: bool) -> None:
        self.book.add(array)
        before = {position: array.status_of(position) for position in range(array.size)}
        control.cancel(self.book, array, [0] if single else None, reason="enough", at=self.tick(), pending_waits=waits)
        for position, status in before.items():
            if status in UNDER_WAY | SETTLED:
                assert array.status_of(position) is status, "cancelling has no effect on what runs or is done (spec 2.9)"

    @rule(array=arrays, single=st.booleans())
    def terminate(self, array: ArrayJob, single: bool) -> None:
        self.book.add(array)
        change = control.terminate(self.book, array, [0] if single else None, reason="stop it", at=self.tick())
        for attempt in change.stop:
            assert array.status_of(attempt.position) in UNDER_WAY
        concerned = [0] if single else range(array.size)
        assert all(array.status_of(position) in UNDER_WAY | SETTLED for position in concerned)

    @rule(array=arrays)
    def retry_failed(self, array: ArrayJob) -> None:
        self.book.add(array)
        self.adopt_each(array.job.waits.each, array.job.waits.children)
        made = {position: self.attempts_of(array, position) for position in array.positions(Status.FAILED)}
        statuses = {job: self.known[job].parent_status for job in array.job.waits.whole}
        change = control.retry(self.book, array, made, statuses=statuses, at=self.tick())
        assert all(array.status_of(position) is not Status.SUCCEEDED for position in change.positions)

    def attempts_of(self, array: ArrayJob, position: int) -> int:
        return max((a.attempt for a in self.begun if a.key == array.job.key and a.position == position), default=0)

    # --- what the provider does ---------------------------------------------------------------------------------------

    @rule(target=attempts, array=arrays, count=st.integers(1, 3))
    def claim(self, array: ArrayJob, count: int) -> object:
        if array.job.key not in self.book.by_key:
            return multiple()
        taken = [AttemptId(array.job.key, position, attempt) for position, attempt in self.book.claim(array, count)]
        for attempt in taken:
            self.begun[attempt] += 1
            self.assert_may_run(array, attempt.position)
        return multiple(*taken)

    def assert_may_run(self, array: ArrayJob, position: int) -> None:
        """No child runs before what it waits for has succeeded (it may have been run again since)."""
        waits = array.job.waits
        assert all((job, None) in self.succeeded for job in waits.whole)
        assert all((job, 0) in self.succeeded for job, _ in waits.children)
        assert all((job, position) in self.succeeded for job in waits.each)
        assert not waits.sequential or position == 0 or (array.job.id, position - 1) in self.succeeded

    @rule(attempt=attempts)
    def start(self, attempt: AttemptId) -> None:
        self.book.started(attempt, self.tick())

    @rule(attempt=consumes(attempts), code=st.sampled_from([0, 0, 0, 1, 3]), how=st.sampled_from(["exit", "exit", "lost", "timeout"]))
    def end(self, attempt: AttemptId, code: int, how: str) -> None:
        outcome = {"exit": Outcome.exited(code), "lost": Outcome.lost(attempt.instance_id), "timeout": Outcome.timed_out(None, 9)}[how]
        applied = self.book.ended(attempt, outcome, self.tick())
        assert not self.book.ended(attempt, Outcome.exited(0), self.tick()), "late news loses"
        if applied and outcome.succeeded:
            array = self.book.by_key[attempt.key]
            assert array.status_of(attempt.position) is Status.SUCCEEDED

    @rule(attempt=consumes(attempts))
    def drop(self, attempt: AttemptId) -> None:
        array = self.book.by_key.get(attempt.key)
        under_way = array.under_way.get(attempt.position) if array else None
        if array is None or under_way is None or under_way.started_at is not None:
            return
        final = array.cancelled or array.halted or under_way.stopping or attempt.position in array.cancelled_children
        if self.book.dropped(attempt, self.tick()):
            assert array.status_of(attempt.position) is (Status.FAILED if final else Status.RUNNABLE)

    @rule()
    def evict(self) -> None:
        for array in self.book.evict_settled():
            assert array.settled

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def note_what_has_succeeded(self) -> None:
        for job, array in self.known.items():
            self.succeeded |= {(job, position) for position in array.positions(Status.SUCCEEDED)}
            if array.parent_status is Status.SUCCEEDED:
                self.succeeded.add((job, None))

    @invariant()
    def counters_add_up_to_the_size(self) -> None:
        for array in self.known.values():
            assert sum(array.counts().values()) == array.size
            seen = Counter(array.status_of(position) for position in range(array.size))
            assert all(seen[status] == count for status, count in array.counts().items())

    @invariant()
    def no_attempt_begins_twice(self) -> None:
        assert all(count == 1 for count in self.begun.values())

    @invariant()
    def parents_have_only_the_statuses_of_parents(self) -> None:
        for array in self.known.values():
            assert not array.job.is_array or array.parent_status in PARENT_STATUSES
            if array.settled:
                assert array.stopped_at is not None, "what has settled has an end, also when it never ran (spec 1.3)"

    @invariant()
    def what_is_under_way_is_known_to_be(self) -> None:
        for array in self.known.values():
            assert set(array.under_way) == set(array.positions(*UNDER_WAY))

    @invariant()
    def nothing_waits_for_nothing(self) -> None:
        for array in self.book.by_key.values():
            for position in array.positions(Status.PENDING):
                if array.held:
                    continue
                reasons = [target.status_of(position) for target in array.each]
                if array.job.waits.sequential and position:
                    reasons.append(array.status_of(position - 1))
                assert any(reason not in SETTLED for reason in reasons), f"{array.job.id}:{position} waits for nothing"

    def teardown(self) -> None:
        """Whatever happened, once everything that runs succeeds, every array settles."""
        for _ in range(200):
            moved = False
            for array in list(self.book.by_key.values()):
                for position, under_way in list(array.under_way.items()):
                    self.book.ended(AttemptId(array.job.key, position, under_way.attempt), Outcome.exited(0), self.tick())
                    moved = True
                for position, attempt in self.book.claim(array, 100):
                    self.book.ended(AttemptId(array.job.key, position, attempt), Outcome.exited(0), self.tick())
                    moved = True
            if not moved:
                break
        for array in self.known.values():
            assert array.settled, f"{array.job.id} never settles: {array.counts()}"


Workflow.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorkflow = Workflow.TestCase
