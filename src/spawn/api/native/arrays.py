"""Arrays as the store has them: where they stand, why they failed, why they wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final, NamedTuple

from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.domain.consequences import DEPENDENT_FAILED
from spawn.domain.fleets import Fleet, Market
from spawn.domain.indexes import compress
from spawn.domain.instants import Instant, iso
from spawn.domain.jobs import Job
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.queues import provider_of
from spawn.domain.states import NOT_STARTED, SETTLED, Status
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

_LATELY_MS: Final = 30_000
"""The rate of an array is measured over its last 30 seconds."""

_NOT_ASKED_FOR: Final = (DEPENDENT_FAILED, "Not started: ")
"""How a child's reason begins when it failed without its user asking for it."""

_INSTANCE: Final = re.compile(r"\bi-[0-9a-f]{17}\b")
"""Each instance on EC2 is one child's: what many of them died of would be as many causes."""

Json = dict[str, Any]


def array_object(row: JobRow, *, records: Records, directory: str, now: Instant, notes: Iterable[str] = ()) -> Json:
    """The Array of docs/api.md."""
    job = row.job
    rate, left = _pace(row, records, now)
    return {
        **_submitted(job),
        **({} if job.fleet is None else _on_ec2(job, job.fleet, records)),
        "status": row.status.name,
        "status_reason": _reason(row, records),
        "created_at": iso(job.created_at),
        "started_at": iso(row.started_at),
        "stopped_at": iso(row.stopped_at),
        "counts": {status.name: row.counts[status] for status in Status},
        "instances": _instances(row, records) if job.fleet is None else {},
        "lost": records.read("lost_count", (int(job.key, 16),))[0][0] if row.counts[Status.FAILED] else 0,
        "cancelled": _cancelled(row, records),
        "max_concurrent": row.max_concurrent,
        "directory": directory,
        "rate_per_s": rate,
        "seconds_left": left,
        "notes": list(notes),
    }


def _on_ec2(job: Job, fleet: Fleet, records: Records) -> Json:
    """Where on EC2 it runs, where its logs, outputs and outcomes are, and how many the spot market ended."""
    place = {
        "account": fleet.account,
        "regions": list(dict.fromkeys(offer.region for offer in fleet.offers)),
        "instance_types": list(fleet.options.instance_types),
        "market": (Market.SPOT if fleet.options.spot else Market.ON_DEMAND).value,
        "instances": fleet.options.instances,
        "objects": f"s3://{fleet.bucket}/arrays/{job.id}/",
    }
    return {"interrupted": len(records.ended_positions(job.key, OutcomeKind.INTERRUPTED)), "fleet": place, "remarks": []}


def _submitted(job: Job) -> Json:
    return {
        "schema_version": SCHEMA_VERSION,
        "array_id": job.id,
        "name": job.name,
        "kind": "array" if job.is_array else "job",
        "size": job.size,
        "indexes": None if job.indexes is None else str(job.indexes),
        "provider": provider_of(job.queue),
        "ttl_s": _seconds(job.lifetime.ttl),
        "timeout_s": _seconds(job.timeout),
        "on_complete": "hibernate" if job.fleet is not None and job.fleet.options.hibernate else job.lifetime.on_complete.value,
        "retries": job.retry.attempts - 1,
        "max_failures": None if job.max_failures is None else str(job.max_failures),
        "tags": dict(job.tags),
        "depends_on": [
            {"id": d.job if d.index is None else f"{d.job}:{d.index}", "type": d.type.value if d.type else None} for d in job.depends_on if d.job is not None
        ],
        "sequential": job.waits.sequential,
        "private_tmp": job.work.private_tmp,
        "cpus": job.demand.cpus / 1000,
        "memory_mib": job.demand.memory or None,
        "command": None if job.work.command is None else list(job.work.command),
        "script": job.work.script is not None,
        "env": list(job.work.given),
        "workdir": job.work.workdir or None,
        "cloud": dict(job.cloud),
    }


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _reason(row: JobRow, records: Records) -> str | None:
    """Why a job has its status; a single job says what its one child says."""
    if row.job.is_array or row.reason is not None:
        return row.reason
    found = records.read("members", {"key": int(row.job.key, 16), "low": 0, "high": 0})
    if not found:
        return row.base_reason
    reason: str | None = found[0][3] if found[0][3] is not None else found[0][9]
    return reason


def _instances(row: JobRow, records: Records) -> dict[str, int]:
    """By state, of a job on this machine, where each child is an instance; those on EC2 are counted by who launched them."""
    counts = {"running": row.counts[Status.RUNNING], "pending": sum(row.counts[status] for status in (*NOT_STARTED, Status.STARTING))}
    settled = row.counts[Status.SUCCEEDED] + row.counts[Status.FAILED]
    if settled:
        for state, count in records.read("instance_counts", (int(row.job.key, 16),)):
            counts[state] = counts.get(state, 0) + count
            settled -= count
        counts["terminated"] = counts.get("terminated", 0) + settled
    return {state: count for state, count in counts.items() if count}


def _cancelled(row: JobRow, records: Records) -> int:
    if not row.counts[Status.FAILED]:
        return 0
    moved: int = records.read("cancelled_count", (int(row.job.key, 16),))[0][0]
    if row.base is Status.FAILED and row.base_reason is not None and not row.base_reason.startswith(_NOT_ASKED_FOR):
        moved += row.job.size - records.read("moved_count", (int(row.job.key, 16),))[0][0]
    return moved


def _pace(row: JobRow, records: Records, now: Instant) -> tuple[float | None, float | None]:
    """Settled children per second lately, and the seconds that the rest takes at that pace; None where nothing tells."""
    left = row.job.size - row.counts[Status.SUCCEEDED] - row.counts[Status.FAILED]
    if row.status in SETTLED or row.started_at is None:
        return None, None
    since = max(now - _LATELY_MS, row.started_at)
    count = records.read("finished_lately", {"key": int(row.job.key, 16), "since": since})[0][0]
    if not count or now <= since:
        return None, None
    rate = count * 1000 / (now - since)
    return round(rate, 3), round(left / rate, 1)


class FailureGroup(NamedTuple):
    """Children that failed in the same way, by position and attempt (0: none)."""

    exit_code: int | None
    signal: int | None
    status_reason: str | None
    reason: str | None
    members: list[tuple[int, int]]

    @property
    def example(self) -> tuple[int, int]:
        """The one whose log is shown."""
        return self.members[0]


def failure_groups(row: JobRow, records: Records) -> list[FailureGroup]:
    """Failed children grouped by how they failed, the largest group first."""
    groups: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for position, attempt, why, kind, exit_code, signal, status_reason, reason, message in records.read("failures", (int(row.job.key, 16),)):
        if row.job.fleet is not None and status_reason is not None:
            status_reason = _INSTANCE.sub("i-…", status_reason)
        cause = (None, None, why, None) if why is not None or kind is None else (exit_code, signal, status_reason, message or reason)
        groups.setdefault(cause, []).append((position, attempt if why is None else 0))
    if row.base is Status.FAILED:
        moved = {position for position, _ in records.rows(row.job.key)}
        rest = [(position, 0) for position in range(row.job.size) if position not in moved]
        if rest:
            groups.setdefault((None, None, row.base_reason, None), []).extend(rest)
    ordered = sorted(groups.items(), key=lambda entry: (-len(entry[1]), entry[1][0]))
    return [FailureGroup(code, signal, said, reason, members) for (code, signal, said, reason), members in ordered]


def group_object(job: Job, group: FailureGroup, tail: Callable[[Job, int, int], list[str]]) -> Json:
    """The FailureGroup of docs/api.md; `tail` gives the end of the log of its example."""
    position, attempt = group.example
    return {
        "count": len(group.members),
        "indexes": None if job.indexes is None else compress(job.index_at(position) for position, _ in group.members),
        "exit_code": group.exit_code,
        "signal": group.signal,
        "status_reason": group.status_reason,
        "reason": group.reason,
        "example": {
            "index": job.index_at(position) if job.is_array else None,
            "attempt": attempt,
            "log_tail": tail(job, position, attempt) if attempt else [],
        },
    }
