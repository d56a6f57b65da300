"""The seams of the engine: what it asks of a store, a provider and a clock. Each method says what the second call does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Catalog
from spawn.domain.children import ChildRecord
from spawn.domain.definitions import JobDefinition
from spawn.domain.dependencies import Target
from spawn.domain.hindrances import Hindrance
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.queues import ComputeEnvironment
from spawn.domain.scheduling import Capacity
from spawn.domain.states import Status
from spawn.engine.news import News
from spawn.engine.records import Batch, Head, JobRow, KeptInstance


class Provider(Protocol):
    """Makes attempts run in a compute environment. `capacity` and `features` may be asked from any thread; all else is called
    from the engine's thread only, after the commit. No call waits for an attempt."""

    name: str

    def connect(self, wake: Callable[[], None]) -> bool:
        """See that the other side is there; `wake` is called from any thread when there may be news. True when the other side
        is new or was away: everything STARTING has then to be handed over again. Again: False while the connection holds."""

    def holds_back(self) -> str | None:
        """Why nothing is to be placed for now, and the way out, though it will be later; None: nothing is in the way."""

    def capacity(self) -> Capacity:
        """What it has in all."""

    def features(self) -> Mapping[str, str | None]:
        """`private_tmp` and `memory_limit`: None when it can, a sentence why not otherwise."""

    def news(self, place: str | None) -> News:
        """What happened after a place (None: the beginning), as much as fits in one turn. The same place gives the same events."""

    def acknowledge(self, place: str) -> None:
        """Everything up to a place is in the store and will not be asked for again. Again: nothing."""

    def start(self, array: ArrayJob, attempts: Sequence[tuple[int, int]], environment: ComputeEnvironment) -> None:
        """Run these (position, attempt) of an array in a compute environment, in this order. An attempt that it was given before is passed over."""

    def stop(self, attempts: Collection[AttemptId], *, grace_s: float) -> None:
        """Stop every attempt that still runs and drop those that wait. Stopping a finished one does nothing."""

    def drop(self, attempts: Collection[AttemptId]) -> None:
        """Forget those of these attempts that have not begun; each is then told of as Dropped. Any other: nothing."""

    def release(self, job: Job, attempts: Collection[tuple[int, int]], *, keep_files: bool) -> None:
        """End the instances of these (position, attempt). Again: nothing."""

    def extend(self, attempts: Collection[AttemptId], ends_at: Instant) -> None:
        """Let the instances of attempts under way end at another time. Finished ones: nothing."""

    def limit(self, key: ArrayKey, max_concurrent: int | None) -> None:
        """Run at most so many of an array at once from now on."""

    def forget(self, key: ArrayKey) -> None:
        """No more of this array will be started."""

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Delete a forgotten array's files in the background and call `done` from any thread. What is gone already counts as deleted."""

    def directory(self, job: Job) -> str:
        """Where the files of a job are on this machine."""

    def owns(self, directory: str) -> bool:
        """Whether a directory is one of its jobs'."""

    def why(self, key: ArrayKey) -> Mapping[Hindrance, int]:
        """Why attempts that it was handed have not begun, and of how many that is so. Any thread."""

    def close(self, *, terminate: bool, grace_s: float) -> None:
        """Let go of the other side; with `terminate` stop what runs there, and it."""


class Store(Protocol):
    """Keeps all of it. `commit` is called by the engine's thread alone; the rest from any thread."""

    def commit(self, batch: Batch) -> None:
        """Write all or nothing; raise StoreUnavailable with the reason, and then nothing is written."""

    def places(self) -> dict[str, str]:
        """Up to where the news of each provider is in the store, by the provider's name."""

    def active(self) -> list[ArrayJob]:
        """All arrays that have not settled, loaded, oldest first; not yet linked to what they depend on."""

    def array(self, job: JobId) -> ArrayJob | None:
        """One array, settled or not, loaded anew from the store."""

    def attempts_made(self, key: ArrayKey) -> dict[int, int]:
        """How many attempts each child has had, without those that have had none."""

    def array_by_key(self, key: ArrayKey) -> ArrayJob | None:
        """One array, settled or not, loaded anew from the store."""

    def target(self, job: JobId) -> Target | None:
        """What has to be known of a job that another one wants to wait for; its children are not loaded."""

    def statuses(self, jobs: Collection[JobId]) -> dict[JobId, Status]:
        """The statuses of these jobs' parents, without those that are unknown."""

    def catalog(self) -> Catalog:
        """Every queue, compute environment, scheduling policy and consumable resource."""

    def revisions(self, name: str) -> list[JobDefinition]:
        """All revisions of a job definition, the newest first."""

    def share_uses(self) -> dict[tuple[str, str], tuple[float, Instant]]:
        """What the shares of queues had used, in decayed vCPU-seconds, and up to when, by queue and share."""

    def heads(self) -> dict[str, Head]:
        """Who has been at the head of a queue and cannot run, by queue."""

    def trash(self) -> list[str]:
        """Directories of forgotten arrays that are still to be deleted."""

    def forget_trash(self, path: str) -> None:
        """A directory has been deleted. Again: nothing."""

    def kept_instances(self, *, key: ArrayKey | None = None, due: Instant | None = None) -> list[KeptInstance]:
        """Instances that live on: of one array, or those whose end has come."""

    def keeps_without_end(self) -> bool:
        """Whether an instance lives on of whose end somebody else takes care."""

    def next_instance_end(self) -> Instant | None:
        """The earliest end of an instance that lives on."""

    def counts(self) -> tuple[int, int]:
        """How many arrays have not settled, and how many there are."""


class Records(Protocol):
    """What the doors read of the store: what has been committed, and nothing else. Any thread; nothing here writes."""

    def job(self, job: JobId) -> JobRow | None:
        """One job."""

    def jobs(self, query: str, parameters: Sequence[object] | dict[str, object]) -> list[JobRow]:
        """The jobs that a query named in store/queries.sql finds, in its order."""

    def last_job(self) -> JobRow | None:
        """The newest job."""

    def jobs_named(self, name: str) -> list[JobId]:
        """Jobs of this name: those that have not settled first, the newest first."""

    def ids_like(self, prefix: str) -> list[JobId]:
        """All ids that begin so, at most a hundred."""

    def jobs_between(self, low: ArrayKey, high: ArrayKey) -> list[JobRow]:
        """Jobs whose keys are in this range, at most two."""

    def all_jobs(self, tags: Mapping[str, str]) -> Iterator[JobRow]:
        """Every job that carries all these tags, oldest first."""

    def catalog(self) -> Catalog:
        """Every queue, compute environment, scheduling policy and consumable resource."""

    def revisions(self, name: str) -> list[JobDefinition]:
        """All revisions of a job definition, the newest first."""

    def definitions(self, query: str, parameters: Sequence[object] | dict[str, object]) -> list[JobDefinition]:
        """The revisions of job definitions that a query named in store/queries.sql finds, in its order."""

    def rows(self, key: ArrayKey) -> Iterator[tuple[int, ChildRecord]]:
        """The rows of the children that have moved by themselves, by position."""

    def ended_positions(self, key: ArrayKey, kind: OutcomeKind) -> list[int]:
        """Failed children whose latest attempt ended in this way."""

    def by_instance(self, instance_id: str) -> list[AttemptId]:
        """The attempts that ran on an instance with a name of its own, under way or ended."""

    def read(self, query: str, parameters: Sequence[object] | dict[str, object] = ()) -> list[Any]:
        """All rows of a query named in store/queries.sql."""

    def counts(self) -> tuple[int, int]:
        """How many arrays have not settled, and how many there are."""


class AttemptFiles(Protocol):
    """Where the files of attempts are, for the doors. Names only; nothing here reads, writes or waits."""

    def directory(self, job: Job) -> Path:
        """Everything of one job."""

    def log(self, job: Job, position: int, attempt: int) -> Path:
        """Standard output and error of an attempt, together."""

    def output(self, job: Job, position: int, attempt: int) -> Path:
        """The attempt's TASK_OUTPUT_DIR."""

    def runner_directory(self, job: Job) -> str:
        """The directory of the runner that makes the attempts of a job."""

    def session_spec(self, job: Job) -> Mapping[str, object]:
        """What `spored enter` has to know of the array (docs/wire.md, "spec")."""


class Clock(Protocol):
    """What time it is."""

    def now(self) -> Instant:
        """The present instant."""
