"""ListJobs (spec 2.4 and 2.5)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from spawn.api.aws.batch.describing import obstacles
from spawn.api.aws.batch.paging import asked_page, token_of
from spawn.api.aws.batch.rows import QUEUE_ROWS, ChildFinder, listed_of, summaries_of_children, summary_of_job
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.errors import InvalidField, NotFound
from spawn.domain.ids import JobId
from spawn.domain.listing import FilterName, JobListing, Scope, read_filter, read_listing
from spawn.domain.states import Status

_OPERATION: Final = "ListJobs"
_LAST: Final = 2**62


def operations(door: Door) -> dict[str, Handler]:
    """The operations that list jobs."""
    return {_OPERATION: lambda caller, asked: list_jobs(door, caller, asked)}


def list_jobs(door: Door, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """One page of jobs, and the token that the next one begins with.

    A token stands for a place in the order of the list, not for a count: nothing is shown twice or left out because something else came or went.
    """
    filters = [read_filter(entry.get("name", ""), entry.get("values", ())) for entry in asked.get("filters", ())]
    targets = {scope: asked.get(scope.value) for scope in Scope}
    listing = read_listing(targets, status=asked.get("jobStatus"), filters=filters, max_results=asked.get("maxResults"))
    if listing.scope is Scope.MULTI_NODE:
        return {"jobSummaryList": []}
    place = _read_place(listing, asked.get("nextToken"))
    page = _page_of_queue if listing.scope is Scope.QUEUE else _page_of_array
    jobs, last = page(door, caller, listing, place)
    return {"jobSummaryList": jobs, "nextToken": None if last is None else token_of(_OPERATION, _mark(listing), *last)}


def _mark(listing: JobListing) -> int:
    """A number that tells this list from others, so that the token of one is not taken for another's."""
    asked = (listing.scope.value, listing.target, listing.status, listing.filter and (listing.filter.name.value, listing.filter.values))
    return zlib.crc32(repr(asked).encode())


def _read_place(listing: JobListing, token: str | None) -> tuple[int, int] | None:
    if token is None:
        return None
    mark, *place = asked_page(_OPERATION, {"nextToken": token}, (int, int, int)).after or ()
    if mark != _mark(listing):
        raise InvalidField("nextToken", "it was given for another list: repeat the queue or array, status and filter that it came with")
    return place[0], place[1]


# --- a queue ----------------------------------------------------------------------------------------------------------


def _page_of_queue(door: Door, caller: Caller, listing: JobListing, place: tuple[int, int] | None) -> tuple[list[Any], tuple[int, int] | None]:
    """Jobs and parents of arrays. A filter looks at so many jobs for a page, and then goes on with the next, however few it has found."""
    queue = name_in(listing.target, "job-queue", "jobQueue")
    if queue not in door.records.catalog().queues:
        raise NotFound(f"Job queue {queue[:200]} does not exist.")
    rows, more = _rows_of_queue(door, listing, queue, place)
    chosen: list[Any] = []
    last = None
    for row in rows:
        if listing.filter is not None and not listing.takes(listed_of(caller, row)):
            last = (row["created_at"], row["key"])
            continue
        if len(chosen) == listing.page:
            more = True
            break
        chosen.append(row)
        last = (row["created_at"], row["key"])
    reasons = _obstacles_of(door, [row["id"] for row in chosen if row["status"] == Status.RUNNABLE])
    jobs = [summary_of_job(caller, row, now=door.clock.now(), obstacle=reasons.get(row["id"])) for row in chosen]
    return jobs, last if more else None


def _rows_of_queue(door: Door, listing: JobListing, queue: str, place: tuple[int, int] | None) -> tuple[list[Any], bool]:
    """The rows from a place on to choose from, and whether there may be more behind them."""
    if listing.filter is None:
        created_at, key = place or (-1, -1)
        oldest: dict[str, object] = {"queue": queue, "status": listing.status, "created_at": created_at, "key": key, "most": listing.page + 1}
        return door.records.read("listed_jobs", oldest), False
    created_at, key = place or (_LAST, _LAST)
    after = -1
    times = [int(value) for value in listing.filter.values] if listing.filter.name in (FilterName.BEFORE_CREATED_AT, FilterName.AFTER_CREATED_AT) else []
    if listing.filter.name is FilterName.BEFORE_CREATED_AT:
        created_at, key = min((created_at, key), (max(times), -1))
    elif listing.filter.name is FilterName.AFTER_CREATED_AT:
        after = min(times)
    parameters: dict[str, object] = {"queue": queue, "created_at": created_at, "key": key, "after": after, "most": QUEUE_ROWS}
    rows = door.records.read("latest_listed_jobs", parameters)
    return rows, len(rows) == QUEUE_ROWS


def _obstacles_of(door: Door, runnable: list[str]) -> dict[str, str | None]:
    """What keeps these jobs of one queue from ever running. Of those that take the same, one alone is read: its demand decides."""
    if not runnable:
        return {}
    demands: dict[str, str] = {row["id"]: row["demand"] for row in door.records.read("demands", (json.dumps(runnable),))}
    examples = {demand: job for job, demand in demands.items()}
    obstacle_of = obstacles(door)
    found = {row.job.id: obstacle_of(row.job) for row in door.records.jobs("jobs_by_ids", (json.dumps(list(examples.values())),))}
    return {job: found.get(JobId(examples[demand])) for job, demand in demands.items()}


# --- an array ---------------------------------------------------------------------------------------------------------


def _page_of_array(door: Door, caller: Caller, listing: JobListing, place: tuple[int, int] | None) -> tuple[list[Any], tuple[int, int] | None]:
    row = door.records.job(JobId(name_in(listing.target, "job", "arrayJobId")))
    if row is None:
        raise NotFound(f"Job {listing.target[:200]} does not exist.")
    if not row.job.is_array or listing.status is None:
        return [], None
    after = -1 if place is None else place[1]
    members, more = ChildFinder(door.records, row, listing.status).after(after, most=listing.page)
    reason = obstacles(door)(row.job) if listing.status is Status.RUNNABLE and members else None
    return summaries_of_children(caller, row, members, obstacle=reason), (0, members[-1].position) if more else None
