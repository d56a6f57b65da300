"""Changing children that there are: cancel, terminate, run again, extend, forget; and the Change of docs/api.md, which each of these answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spawn.api.native.references import References
from spawn.api.native.shapes import SCHEMA_VERSION, Asked
from spawn.domain.errors import UsageError
from spawn.domain.indexes import compress
from spawn.domain.jobs import Job
from spawn.engine import commands
from spawn.engine.loop import Engine
from spawn.engine.ports import Records

Json = dict[str, Any]


def indexes_of(job: Job, positions: Sequence[int]) -> str | None:
    """The indexes at these positions as text; None for none, and for a single job."""
    return None if job.indexes is None or not positions else compress(map(job.index_at, positions))


def change_object(job: Job, positions: Sequence[int], skipped: Mapping[str, Sequence[int]]) -> Json:
    """These were (or would be) changed, and those left alone, by reason."""
    return {
        "schema_version": SCHEMA_VERSION,
        "array_id": job.id,
        "indexes": indexes_of(job, positions),
        "count": len(positions),
        "skipped": [{"indexes": indexes_of(job, left) or "", "reason": why} for why, left in skipped.items()],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Each goes through the engine's thread, and is answered after the commit."""

    engine: Engine
    records: Records

    @property
    def _references(self) -> References:
        return References(self.records)

    def _changed(self, changed: commands.Changed) -> Json:
        return change_object(changed.job, changed.positions, changed.skipped)

    def cancel(self, ref: str, asked: Asked) -> Json:
        """Fail what has not started."""
        row = self._references.job(ref)
        positions = self._references.positions(row, asked.indexes)
        reason = asked.reason or "Cancelled by its user"
        return self._changed(self.engine.call(lambda state: commands.cancel(state, row.job.id, positions, reason=reason, dry_run=asked.dry_run)))

    def terminate(self, ref: str, asked: Asked) -> Json:
        """Stop what runs, too, and end the instances."""
        row = self._references.job(ref)
        positions = self._references.positions(row, asked.indexes)
        reason, grace = asked.reason or "Terminated by its user", asked.grace_s
        return self._changed(
            self.engine.call(lambda state: commands.terminate(state, row.job.id, positions, reason=reason, grace_s=grace, dry_run=asked.dry_run))
        )

    def retry(self, ref: str, asked: Asked) -> Json:
        """Run members again: those named, or all that failed."""
        row = self._references.job(ref)
        positions = self._references.positions(row, asked.indexes or ("@failed" if row.job.is_array else None))
        chosen = [0] if positions is None else positions
        return self._changed(self.engine.call(lambda state: commands.retry(state, row.job.id, chosen, dry_run=asked.dry_run)))

    def extend(self, ref: str, asked: Asked) -> Json:
        """Let instances end later, or earlier."""
        row = self._references.job(ref)
        positions = self._references.positions(row, asked.indexes)
        if asked.ttl_s is None:
            raise UsageError("ttl_s is missing: say for how long from now")
        ttl_s = asked.ttl_s
        return self._changed(self.engine.call(lambda state: commands.extend(state, row.job.id, positions, ttl_s=ttl_s, dry_run=asked.dry_run)))

    def remove(self, ref: str, *, dry_run: bool) -> Json:
        """Forget an array."""
        job = self._references.job_id(ref)
        return self._changed(self.engine.call(lambda state: commands.remove(state, job, dry_run=dry_run)))
