"""The rows of ListJobs: jobs of a queue and children of an array as JobSummary shows them (spec 2.4 and 2.5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from spawn.api.aws.batch.standing import LAUNCHED, Attempt, Child, Standing, child_standing, parent_standing
from spawn.api.aws.callers import Caller
from spawn.domain.ids import child_id
from spawn.domain.instants import Instant
from spawn.domain.listing import Listed, child_properties, parent_properties
from spawn.domain.states import Status
from spawn.engine.ports import Records
from spawn.engine.records import JobRow

Json = dict[str, Any]

QUEUE_ROWS: Final = 5000
"""How many jobs a filter looks at for one page."""


_CHILD_ROWS: Final = 5000


class _Facts(NamedTuple):
    """What a job's own row says."""

    base: Status
    base_reason: str | None
    base_at: Instant | None
    status: Status
    reason: str | None
    cancelled: bool
    terminated_at: Instant | None
    started_at: Instant | None
    stopped_at: Instant | None


def listed_of(caller: Caller, row: Any) -> Listed:
    """What filters look at in a row of `listed_jobs`."""
    return Listed(
        name=row["name"],
        status=Status(row["status"]),
        created_at=row["created_at"],
        definition_arn=caller.arn(f"job-definition/{row['definition'] or LAUNCHED}"),
        share_identifier=row["share"],
    )


def summary_of_job(caller: Caller, row: Any, *, now: Instant, obstacle: str | None) -> Json:
    """The JobSummary of a row of `listed_jobs`: of a single job, or the parent of an array. `obstacle`: what keeps it from ever running."""
    facts = _Facts(
        base=Status(row["base"]),
        base_reason=row["base_reason"],
        base_at=row["base_at"],
        status=Status(row["status"]),
        reason=row["reason"],
        cancelled=bool(row["cancelled"]),
        terminated_at=row["terminated_at"],
        started_at=row["started_at"],
        stopped_at=row["stopped_at"],
    )
    child, ended = None, None
    if row["child_status"] is not None:
        child = Child(Status(row["child_status"]), row["attempt"], row["child_reason"], row["child_started_at"], row["child_stopped_at"], None)
        ended = _ended(row)
    properties = None
    if row["is_array"]:
        counts = dict(zip(Status, json.loads(row["counts"]), strict=True))
        properties = parent_properties(counts, updated_at=row["stopped_at"] or now)
    standing = parent_standing(facts) if row["is_array"] else child_standing(facts, child, ended, single=True)
    shown = _shown(caller.arn("job/"), row["id"], standing, ended, obstacle)
    definition = caller.arn(f"job-definition/{row['definition'] or LAUNCHED}")
    common = {"jobName": row["name"], "createdAt": row["created_at"], "jobDefinition": definition, "shareIdentifier": row["share"]}
    return {**shown, **common, "arrayProperties": properties}


class Member(NamedTuple):
    """A child of an array that is to be listed, and its own row, if it has one."""

    position: int
    child: Child | None
    ended: Attempt | None


@dataclass(frozen=True, slots=True)
class ChildFinder:
    """Finds the children of an array that are in one status, by position. Those without a row of their own are in the status that the array's says."""

    records: Records
    row: JobRow
    status: Status

    def after(self, position: int, *, most: int) -> tuple[list[Member], bool]:
        """The first `most` after a position, and whether there are more."""
        if self.row.base is not self.status:
            found = self._moved(position + 1, self.row.job.size - 1, most + 1)
        else:
            places = list(islice(self._places(position), most + 1))
            moved = {member.position: member for member in self._moved(places[0], places[-1], most + 1)} if places else {}
            found = [moved.get(place) or Member(place, None, None) for place in places]
        return found[:most], len(found) > most

    def _moved(self, low: int, high: int, most: int) -> list[Member]:
        parameters: dict[str, object] = {"key": int(self.row.job.key, 16), "status": self.status, "low": low, "high": high, "most": most}
        return [
            Member(row[0], Child(self.status, row[2], row[3], row[4], row[5], None), _ended(row)) for row in self.records.read("listed_children", parameters)
        ]

    def _places(self, after: int) -> Iterator[int]:
        """The positions after one of the children that have not moved, and of those that have and are in the status all the same."""
        expected = after + 1
        more = True
        while more:
            parameters: dict[str, object] = {"key": int(self.row.job.key, 16), "after": expected - 1, "most": _CHILD_ROWS}
            moved = self.records.read("child_positions", parameters)
            for position, status in moved:
                yield from range(expected, position)
                if status == self.status:
                    yield position
                expected = position + 1
            more = len(moved) == _CHILD_ROWS
        yield from range(expected, self.row.job.size)


def summaries_of_children(caller: Caller, row: JobRow, members: Iterable[Member], *, obstacle: str | None) -> list[Json]:
    """The JobSummary of each of these children of an array."""
    job = row.job
    arn = caller.arn("job/")
    common = {
        "jobName": job.name,
        "createdAt": job.created_at,
        "jobDefinition": caller.arn(f"job-definition/{job.batch.definition if job.batch is not None else LAUNCHED}"),
        "shareIdentifier": job.batch.share if job.batch is not None else None,
    }
    summaries = []
    for member in members:
        index = job.index_at(member.position)
        standing = child_standing(row, member.child, member.ended, single=False)
        shown = _shown(arn, child_id(job.id, index), standing, member.ended, obstacle)
        summaries.append({**shown, **common, "arrayProperties": child_properties(index, listed=True)})
    return summaries


def _ended(row: Any) -> Attempt | None:
    if row["ended"] is None:
        return None
    return Attempt(row["ended"], row["began_at"], row["ended_at"], row["kind"], row["exit_code"], row["status_reason"], row["container_reason"], None)


def _shown(arn: str, job: str, standing: Standing, ended: Attempt | None, obstacle: str | None) -> Json:
    """The members that say where a job stands. `isCancelled` and `isTerminated` are there when they are true (spec 2.5)."""
    container = {} if ended is None else {"exitCode": ended.exit_code, "reason": ended.reason}
    return {
        "jobArn": arn + job,
        "jobId": job,
        "status": standing.status.name,
        "statusReason": standing.reason or (obstacle if standing.status is Status.RUNNABLE else None),
        "startedAt": standing.started_at,
        "stoppedAt": standing.stopped_at,
        "container": container if any(value is not None for value in container.values()) else None,
        "isCancelled": standing.cancelled or None,
        "isTerminated": standing.terminated or None,
    }
