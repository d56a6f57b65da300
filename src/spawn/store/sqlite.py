"""The store in SQLite: one file in WAL mode, written by the engine's thread alone, read by any number of threads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Catalog
from spawn.domain.children import ChildRecord
from spawn.domain.definitions import JobDefinition
from spawn.domain.dependencies import Target
from spawn.domain.errors import StoreUnavailable
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import InstanceState, Status
from spawn.engine.encoding import decode_job, encode
from spawn.engine.records import Batch, Head, JobRow, KeptInstance
from spawn.store.codec import (
    attempt_key,
    attempt_row,
    decode_definition,
    decode_resource,
    definition_row,
    key_number,
    key_text,
    kind_of,
    standing,
    submitted,
)
from spawn.store.named import queries
from spawn.store.opening import Readers, connect, explain, migrate, require_room

_PLACE: Final = "place:"


class SqliteStore:
    """Keeps every job, child and attempt in one file. `commit` belongs to one thread; everything else may be called from any."""

    def __init__(self, path: Path) -> None:
        """Open or make the store, and bring it to this version's schema.

        Raises ConfigurationError when a newer version wrote it, StoreUnavailable when it cannot be opened or is damaged.
        """
        self.path = path
        self._q = queries()
        self._readers = Readers(path)
        with self._failures():
            self._writer = connect(path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=FULL")
            migrate(self._writer, path)
        self._inode = path.stat().st_ino

    def read(self, query: str, parameters: Sequence[object] | dict[str, object] = ()) -> list[Any]:
        """All rows of a named query; raises StoreUnavailable when the store cannot be read."""
        with self._failures(), self._readers.one() as connection:
            return connection.execute(self._q[query], parameters).fetchall()

    def is_in_place(self) -> bool:
        """Whether the file is still where it was opened: what is written to one without a name would be lost."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Close every connection."""
        self._readers.close()
        self._writer.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(explain(error, self.path)) from error

    # --- writing ------------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Write a turn of the loop, all or nothing; raises StoreUnavailable, and then nothing is written."""
        with self._failures():
            require_room(self.path.parent)
            if not self.is_in_place():
                raise StoreUnavailable(f"the store {self.path} was removed or replaced while the engine ran: `spawn engine stop`, then try again")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._write(batch)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _write(self, batch: Batch) -> None:
        q, run, many = self._q, self._writer.execute, self._writer.executemany
        for array in batch.jobs:
            run(q["insert_job"], submitted(array))
        for array in batch.arrays:
            run(q["update_job"], standing(array))
            if array.changed:
                key = key_number(array.job.key)
                many(q["save_child"], [(key, position, *row) for position, row in array.changed.items()])
        if batch.attempts:
            many(q["insert_attempt"], map(attempt_row, batch.attempts))
        for late in batch.late:
            facts = {"exit_code": late.code, "signal": late.signal, "cpu_s": late.usage.cpu_s, "max_rss_kib": late.usage.max_rss_kib}
            run(q["record_late_exit"], facts | attempt_key(late.attempt))
        for attempt, state, ends_at in batch.instances:
            run(q["update_instance"], (state.value, ends_at, key_number(attempt.key), attempt.position, attempt.attempt))
        for array, directory in batch.removed:
            self._remove(key_number(array.job.key), directory)
        for definition in batch.definitions:
            run(q["save_definition"], definition_row(definition))
        for resource in batch.resources:
            run(q["save_resource"], (kind_of(resource), resource.name, encode(resource)))
        for resource in batch.resources_removed:
            run(q["delete_resource"], (kind_of(resource), resource.name))
        for job in batch.retagged:
            run(q["update_body"], (encode(job), key_number(job.key)))
        for owner, use in batch.uses.items():
            run(q["forget_share_use"], owner) if use is None else run(q["save_share_use"], (*owner, use.amount, use.at))
        for queue, head in batch.heads.items():
            run(q["forget_head"], (queue,)) if head is None else run(q["save_head"], (queue, key_number(head.key), *head[1:]))
        for provider, place in batch.places.items():
            run(q["set_meta"], (_PLACE + provider, place))

    def _remove(self, key: int, directory: str) -> None:
        for query in ("delete_attempts", "delete_children", "delete_job"):
            self._writer.execute(self._q[query], (key,))
        self._writer.execute(self._q["throw_away"], (directory,))

    def forget_trash(self, path: str) -> None:
        """A directory has been deleted. Again: nothing. Called by the engine's thread."""
        with self._failures():
            self._writer.execute(self._q["thrown_away"], (path,))

    # --- reading ------------------------------------------------------------------------------------------------------

    def trash(self) -> list[str]:
        """Directories of forgotten arrays that are still to be deleted."""
        return [path for (path,) in self.read("trash")]

    def places(self) -> dict[str, str]:
        """Up to where the news of each provider is in the store, by the provider's name."""
        return {name.removeprefix(_PLACE): place for name, place in self.read("metas", {"prefix": f"{_PLACE}%"})}

    def active(self) -> list[ArrayJob]:
        """All arrays that have not settled, loaded, oldest first."""
        return [self._load(row) for row in self.read("active_jobs")]

    def array(self, job: JobId) -> ArrayJob | None:
        """One array, settled or not, loaded anew from the store."""
        found = self.read("job_by_id", (job,))
        return self._load(found[0]) if found else None

    def array_by_key(self, key: ArrayKey) -> ArrayJob | None:
        """One array by the key in its instance ids, loaded anew from the store."""
        found = self.read("job_by_key", (key_number(key),))
        return self._load(found[0]) if found else None

    def _load(self, row: sqlite3.Row) -> ArrayJob:
        array = ArrayJob(decode_job(row["body"]), max_concurrent=row["max_concurrent"])
        array.load(base=Status(row["base"]), rows=self.rows(array.job.key))
        array.base_reason, array.base_at, array.reason = row["base_reason"], row["base_at"], row["reason"]
        array.cancelled, array.terminated_at, array.halted = bool(row["cancelled"]), row["terminated_at"], bool(row["halted"])
        array.failed_attempts, array.started_at, array.stopped_at = row["failed_attempts"], row["started_at"], row["stopped_at"]
        return array

    def rows(self, key: ArrayKey) -> Iterator[tuple[int, ChildRecord]]:
        """The rows of the children that have moved by themselves, by position."""
        with self._failures(), self._readers.one() as connection:
            for row in connection.execute(self._q["children"], (key_number(key),)):
                yield row[0], ChildRecord(*row[1:])

    def target(self, job: JobId) -> Target | None:
        """What has to be known of a job that another one wants to wait for; its children are not loaded."""
        row = self.job(job)
        return None if row is None else Target(job=job, status=row.status, indexes=row.job.indexes)

    def statuses(self, jobs: Collection[JobId]) -> dict[JobId, Status]:
        """The statuses of these jobs' parents, without those that are unknown."""
        found = {job: self.read("job_by_id", (job,)) for job in jobs}
        return {job: Status(rows[0]["status"]) for job, rows in found.items() if rows}

    def attempts_made(self, key: ArrayKey) -> dict[int, int]:
        """How many attempts each child has had, without those that have had none."""
        return {position: attempt for position, attempt in self.read("latest_attempts", (key_number(key),)) if attempt}

    def catalog(self) -> Catalog:
        """Every queue, compute environment, scheduling policy and consumable resource."""
        return Catalog.of(decode_resource(kind, body) for kind, body in self.read("resources"))

    def revisions(self, name: str) -> list[JobDefinition]:
        """All revisions of a job definition, the newest first."""
        return self.definitions("revisions", (name,))

    def definitions(self, query: str, parameters: Sequence[object] | dict[str, object]) -> list[JobDefinition]:
        """The revisions of job definitions that a named query finds, in its order."""
        return [decode_definition(body) for (body,) in self.read(query, parameters)]

    def share_uses(self) -> dict[tuple[str, str], tuple[float, Instant]]:
        """What the shares of queues had used, in decayed vCPU-seconds, and up to when."""
        return {(queue, share): (amount, at) for queue, share, amount, at in self.read("share_uses")}

    def heads(self) -> dict[str, Head]:
        """Who has been at the head of a queue and cannot run."""
        return {queue: Head(key_text(key), position, reason, since) for queue, key, position, reason, since in self.read("heads")}

    # --- for the doors ------------------------------------------------------------------------------------------------

    def job(self, job: JobId) -> JobRow | None:
        """One job and where it stands."""
        return _first(self.read("job_by_id", (job,)))

    def jobs(self, query: str, parameters: Sequence[object] | dict[str, object]) -> list[JobRow]:
        """The jobs that a named query finds, in its order."""
        return [_job_row(row) for row in self.read(query, parameters)]

    def last_job(self) -> JobRow | None:
        """The newest job."""
        return _first(self.read("last_job"))

    def jobs_named(self, name: str) -> list[JobId]:
        """Jobs of this name: those that have not settled first, the newest first."""
        return [row["id"] for row in self.read("jobs_named", (name,))]

    def ids_like(self, prefix: str) -> list[JobId]:
        """All ids that begin so, at most a hundred."""
        return [row["id"] for row in self.read("ids_like", {"low": prefix, "high": prefix + "\U0010ffff"})]

    def jobs_between(self, low: ArrayKey, high: ArrayKey) -> list[JobRow]:
        """Jobs whose keys are in this range, at most two."""
        return [_job_row(row) for row in self.read("jobs_between", (key_number(low), key_number(high)))]

    def all_jobs(self, tags: Mapping[str, str]) -> Iterator[JobRow]:
        """Every job that carries all these tags, oldest first."""
        for row in self.read("all_jobs"):
            job = _job_row(row)
            if all(job.job.tags.get(name) == value for name, value in tags.items()):
                yield job

    def ended_positions(self, key: ArrayKey, kind: OutcomeKind) -> list[int]:
        """Failed children whose latest attempt ended in this way."""
        return [position for (position,) in self.read("ended_positions", (key_number(key), kind.value))]

    def by_instance(self, instance_id: str) -> list[AttemptId]:
        """The attempts that ran on an instance with a name of its own."""
        return [AttemptId(key_text(key), position, attempt) for key, position, attempt in self.read("by_instance", {"id": instance_id})]

    # --- instances ----------------------------------------------------------------------------------------------------

    def kept_instances(self, *, key: ArrayKey | None = None, due: Instant | None = None) -> list[KeptInstance]:
        """Instances that live on after their attempts: all of one array, or at most 2,000 whose end has come."""
        rows = self.read("kept_due", (due,)) if key is None else self.read("kept_of", (key_number(key),))
        return [KeptInstance(key_text(row[0]), row[1], row[2], row[3], InstanceState(row[4])) for row in rows]

    def keeps_without_end(self) -> bool:
        """Whether an instance lives on of whose end somebody else takes care."""
        return bool(self.read("kept_without_end"))

    def next_instance_end(self) -> Instant | None:
        """The earliest end of an instance that lives on."""
        end: Instant | None = self.read("next_end")[0][0]
        return end

    def counts(self) -> tuple[int, int]:
        """How many arrays have not settled, and how many there are."""
        active, total = self.read("job_counts")[0]
        return active, total


def _first(rows: Sequence[sqlite3.Row]) -> JobRow | None:
    return _job_row(rows[0]) if rows else None


def _job_row(row: sqlite3.Row) -> JobRow:
    return JobRow(
        job=decode_job(row["body"]),
        base=Status(row["base"]),
        base_reason=row["base_reason"],
        base_at=row["base_at"],
        counts=tuple(json.loads(row["counts"])),
        status=Status(row["status"]),
        reason=row["reason"],
        cancelled=bool(row["cancelled"]),
        terminated_at=row["terminated_at"],
        started_at=row["started_at"],
        stopped_at=row["stopped_at"],
        max_concurrent=row["max_concurrent"],
    )
