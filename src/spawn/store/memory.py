"""The store in memory, for tests: keeps what was committed and nothing else, by the same contract as the file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Catalog
from spawn.domain.children import ChildRecord
from spawn.domain.definitions import JobDefinition
from spawn.domain.dependencies import Target
from spawn.domain.errors import StoreUnavailable
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState, Status
from spawn.engine.records import AttemptRecord, Batch, Head, KeptInstance

_KEPT = (InstanceState.RUNNING, InstanceState.STOPPED)


@dataclass(slots=True)
class _Kept:
    """What a job's row holds, beside its children."""

    job: Job
    base: Status
    base_reason: str | None
    base_at: Instant | None
    status: Status
    reason: str | None
    settled: bool
    cancelled: bool
    terminated_at: Instant | None
    halted: bool
    failed_attempts: int
    started_at: Instant | None
    stopped_at: Instant | None
    max_concurrent: int | None
    children: dict[int, ChildRecord] = field(default_factory=dict)


class MemoryStore:
    """`broken` makes every commit fail, as a full disk does."""

    def __init__(self) -> None:
        self.broken: str | None = None
        self.attempts: dict[tuple[ArrayKey, int, int], AttemptRecord] = {}
        self._jobs: dict[ArrayKey, _Kept] = {}
        self._trash: set[str] = set()
        self._places: dict[str, str] = {}
        self._catalog = Catalog()
        self._definitions: dict[tuple[str, int], JobDefinition] = {}
        self._uses: dict[tuple[str, str], tuple[float, Instant]] = {}
        self._heads: dict[str, Head] = {}

    def commit(self, batch: Batch) -> None:
        """Keep all of it, or raise StoreUnavailable and keep nothing."""
        if self.broken is not None:
            raise StoreUnavailable(self.broken)
        for array in [*batch.jobs, *batch.arrays]:
            self._keep(array)
        for record in batch.attempts:
            self.attempts.setdefault((record.key, record.position, record.attempt), record)
        for late in batch.late:
            self._note_late(late.attempt.key, late.attempt.position, late.attempt.attempt, late.code, late.signal)
        for attempt, state, ends_at in batch.instances:
            place = (attempt.key, attempt.position, attempt.attempt)
            if place not in self.attempts:
                continue
            self.attempts[place] = self.attempts[place]._replace(instance=state, instance_ends_at=ends_at)
        for array, directory in batch.removed:
            self._remove(array.job.key, directory)
        for definition in batch.definitions:
            self._definitions[definition.name, definition.revision] = definition
        for resource in batch.resources:
            self._catalog = self._catalog.with_(resource)
        for resource in batch.resources_removed:
            self._catalog = self._catalog.without(resource)
        for job in batch.retagged:
            self._jobs[job.key].job = job
        for owner, use in batch.uses.items():
            if use is None:
                self._uses.pop(owner, None)
            else:
                self._uses[owner] = (use.amount, use.at)
        for queue, head in batch.heads.items():
            if head is None:
                self._heads.pop(queue, None)
            else:
                self._heads[queue] = head
        self._places.update(batch.places)

    def _keep(self, array: ArrayJob) -> None:
        before = self._jobs.get(array.job.key)
        self._jobs[array.job.key] = _Kept(
            array.job,
            array.base,
            array.base_reason,
            array.base_at,
            array.parent_status,
            array.reason,
            array.settled,
            array.cancelled,
            array.terminated_at,
            array.halted,
            array.failed_attempts,
            array.started_at,
            array.stopped_at,
            array.max_concurrent,
            (before.children if before else {}) | array.changed,
        )

    def _note_late(self, key: ArrayKey, position: int, attempt: int, code: int | None, signal: int | None) -> None:
        record = self.attempts.get((key, position, attempt))
        if record is not None and record.outcome.exit_code is None:
            from dataclasses import replace

            self.attempts[key, position, attempt] = record._replace(outcome=replace(record.outcome, exit_code=code, signal=signal))

    def _remove(self, key: ArrayKey, directory: str) -> None:
        self._jobs.pop(key, None)
        self.attempts = {place: record for place, record in self.attempts.items() if place[0] != key}
        self._trash.add(directory)

    def catalog(self) -> Catalog:
        """Every queue, compute environment, scheduling policy and consumable resource."""
        return self._catalog

    def revisions(self, name: str) -> list[JobDefinition]:
        """All revisions of a job definition, the newest first."""
        return [one for _, one in sorted(self._definitions.items(), reverse=True) if one.name == name]

    def share_uses(self) -> dict[tuple[str, str], tuple[float, Instant]]:
        """What the shares of queues had used, and up to when."""
        return dict(self._uses)

    def heads(self) -> dict[str, Head]:
        """Who has been at the head of a queue and cannot run."""
        return dict(self._heads)

    def forget_trash(self, path: str) -> None:
        """A directory has been deleted. Again: nothing."""
        self._trash.discard(path)

    def trash(self) -> list[str]:
        """Directories of forgotten arrays that are still to be deleted."""
        return sorted(self._trash)

    def places(self) -> dict[str, str]:
        """Up to where the news of each provider is in the store, by the provider's name."""
        return dict(self._places)

    def active(self) -> list[ArrayJob]:
        """All arrays that have not settled, loaded, oldest first."""
        open_ones = sorted((kept for kept in self._jobs.values() if not kept.settled), key=lambda kept: kept.job.created_at)
        return [_loaded(kept) for kept in open_ones]

    def array(self, job: JobId) -> ArrayJob | None:
        """One array, settled or not, loaded anew."""
        return next((_loaded(kept) for kept in self._jobs.values() if kept.job.id == job), None)

    def array_by_key(self, key: ArrayKey) -> ArrayJob | None:
        """One array by the key in its instance ids, loaded anew."""
        return _loaded(self._jobs[key]) if key in self._jobs else None

    def target(self, job: JobId) -> Target | None:
        """What has to be known of a job that another one wants to wait for."""
        found = self.array(job)
        return None if found is None else Target(job=job, status=found.parent_status, indexes=found.job.indexes)

    def statuses(self, jobs: Collection[JobId]) -> dict[JobId, Status]:
        """The statuses of these jobs' parents, without those that are unknown."""
        return {kept.job.id: kept.status for kept in self._jobs.values() if kept.job.id in jobs}

    def attempts_made(self, key: ArrayKey) -> dict[int, int]:
        """How many attempts each child has had, without those that have had none."""
        kept = self._jobs.get(key)
        return {position: row.attempt for position, row in kept.children.items() if row.attempt} if kept else {}

    def kept_instances(self, *, key: ArrayKey | None = None, due: Instant | None = None) -> list[KeptInstance]:
        """Instances that live on after their attempts: of one array, or those whose end has come."""
        live = [record for record in self.attempts.values() if record.instance in _KEPT]
        if key is not None:
            live = [record for record in live if record.key == key]
        else:
            live = [r for r in live if due is not None and r.instance_ends_at is not None and r.instance_ends_at <= due][:2000]
        return [KeptInstance(record.key, record.position, record.attempt, record.instance_ends_at, record.instance) for record in live]

    def keeps_without_end(self) -> bool:
        """Whether an instance lives on of whose end somebody else takes care."""
        return any(r.instance in _KEPT and r.instance_ends_at is None for r in self.attempts.values())

    def next_instance_end(self) -> Instant | None:
        """The earliest end of an instance that lives on."""
        return min((r.instance_ends_at for r in self.attempts.values() if r.instance in _KEPT and r.instance_ends_at is not None), default=None)

    def counts(self) -> tuple[int, int]:
        """How many arrays have not settled, and how many there are."""
        return sum(not kept.settled for kept in self._jobs.values()), len(self._jobs)


def _loaded(kept: _Kept) -> ArrayJob:
    array = ArrayJob(kept.job, max_concurrent=kept.max_concurrent)
    array.load(base=kept.base, rows=iter(sorted(kept.children.items())))
    array.base_reason, array.base_at, array.reason = kept.base_reason, kept.base_at, kept.reason
    array.cancelled, array.terminated_at, array.halted, array.failed_attempts = kept.cancelled, kept.terminated_at, kept.halted, kept.failed_attempts
    array.started_at, array.stopped_at = kept.started_at, kept.stopped_at
    return array
