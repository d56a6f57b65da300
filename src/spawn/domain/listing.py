"""Which jobs ListJobs and DescribeJobs answer with, and how arrays show their children there (spec 2.4 to 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from spawn.domain.errors import InvalidField, UsageError
from spawn.domain.instants import Instant
from spawn.domain.states import Status

MAX_DESCRIBED: Final = 100
"""Most ids of one DescribeJobs call."""

PAGE: Final = 1000
"""Most jobs of one page of ListJobs."""

FILTERED_PAGE: Final = 100
"""Most jobs of one page of ListJobs with a filter."""


class FilterName(Enum):
    """What ListJobs can be filtered by; names are case sensitive."""

    JOB_NAME = "JOB_NAME"  #: the name in any case; `*` at the end: names that begin so
    JOB_DEFINITION = "JOB_DEFINITION"  #: a name of any revision, `*` at the end as above; or the ARN of one revision
    BEFORE_CREATED_AT = "BEFORE_CREATED_AT"  #: milliseconds since the epoch, as text
    AFTER_CREATED_AT = "AFTER_CREATED_AT"  #: likewise
    SHARE_IDENTIFIER = "SHARE_IDENTIFIER"  #: the only one that is combined with a status


class Scope(Enum):
    """Where ListJobs looks; exactly one is asked for."""

    QUEUE = "jobQueue"  #: jobs and parents of arrays in a queue, without their children
    ARRAY = "arrayJobId"  #: the children of an array
    MULTI_NODE = "multiNodeJobId"  #: the nodes of a multi-node job


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What the filters look at in a job."""

    name: str
    status: Status
    created_at: Instant
    definition_arn: str
    share_identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter; a job passes when any of the values fits."""

    name: FilterName
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InvalidField("filters", f"{self.name.value} has no values")
        if self.name in (FilterName.BEFORE_CREATED_AT, FilterName.AFTER_CREATED_AT):
            for value in self.values:
                if not (value.isascii() and value.isdigit() and len(value) <= 18):
                    raise InvalidField("filters", f"'{value[:60]}' of {self.name.value} is not a time in milliseconds since 1970")

    def passes(self, job: Listed) -> bool:
        """Whether the job fits."""
        return any(_FITS[self.name](value, job) for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobListing:
    """One ListJobs call, understood: where to look, which jobs to take, and how many for a page."""

    scope: Scope
    target: str
    status: Status | None  #: None: any
    filter: Filter | None
    page: int

    def takes(self, job: Listed) -> bool:
        """Whether the job belongs to the result."""
        return (self.status is None or job.status is self.status) and (self.filter is None or self.filter.passes(job))


def read_listing(targets: Mapping[Scope, str | None], *, status: str | None, filters: Sequence[Filter] = (), max_results: int | None = None) -> JobListing:
    """Understand a ListJobs call, or refuse it (UsageError).

    Exactly one of jobQueue, arrayJobId and multiNodeJobId, and at most one filter. Without a status and a filter only RUNNING jobs are
    meant. A filter other than SHARE_IDENTIFIER makes the status count for nothing; in an array no filter applies, so that there the
    status is RUNNING unless given. Pages have at most 1,000 jobs, filtered ones 100; a larger `max_results` gives those.
    """
    given = [(scope, target) for scope, target in targets.items() if target]
    if len(given) != 1:
        raise UsageError("Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified")
    if len(filters) > 1:
        raise InvalidField("filters", f"{len(filters)} filters: only one can be used at a time")
    if max_results is not None and max_results < 1:
        raise InvalidField("maxResults", f"{max_results} is below 1")
    scope, target = given[0]
    chosen = filters[0] if filters and scope is Scope.QUEUE else None
    wanted = None if status is None else read_status(status)
    if chosen is None:
        wanted = Status.RUNNING if wanted is None else wanted
    elif chosen.name is not FilterName.SHARE_IDENTIFIER:
        wanted = None
    largest = PAGE if chosen is None else FILTERED_PAGE
    return JobListing(scope=scope, target=target, status=wanted, filter=chosen, page=min(max_results or largest, largest))


def read_status(text: str) -> Status:
    """Read a job status by its name; InvalidField else."""
    if text not in Status.__members__:
        raise InvalidField("jobStatus", f"'{text[:60]}' is not a status: one of {', '.join(Status.__members__)}")
    return Status[text]


def read_filter(name: str, values: Sequence[str]) -> Filter:
    """Read a filter of ListJobs; a name that there is not, also in other case, is refused: InvalidField."""
    if name not in FilterName.__members__:
        raise InvalidField("filters", f"'{name[:60]}' is not a filter: one of {', '.join(FilterName.__members__)}")
    return Filter(name=FilterName[name], values=tuple(values))


def check_describe(ids: Sequence[str]) -> None:
    """Refuse a DescribeJobs call of more than 100 ids, in AWS's words, two blanks included (spec 2.6)."""
    if len(ids) > MAX_DESCRIBED:
        raise UsageError(f"Error executing request, Exception : Maximum number of jobs supported is  {MAX_DESCRIBED} .")


def parent_properties(counts: Mapping[Status, int], *, updated_at: Instant) -> dict[str, object]:
    """`arrayProperties` of a parent, in DescribeJobs and ListJobs: the size and all seven counts, zeros too, which add up to it."""
    summary = {status.name: counts.get(status, 0) for status in Status}
    return {"size": sum(summary.values()), "statusSummary": summary, "statusSummaryLastUpdatedAt": updated_at}


def child_properties(index: int, *, listed: bool) -> dict[str, object]:
    """`arrayProperties` of a child: its index; DescribeJobs (not `listed`) has an empty `statusSummary` as well (spec 2.4)."""
    return {"index": index} if listed else {"statusSummary": {}, "index": index}


def _fits_name(value: str, job: Listed) -> bool:
    return _begins(value.casefold(), job.name.casefold())


def _fits_definition(value: str, job: Listed) -> bool:
    if value.startswith("arn:"):
        return value == job.definition_arn
    return _begins(value, job.definition_arn.rpartition("/")[2].partition(":")[0])


def _begins(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


_FITS: Final[dict[FilterName, Callable[[str, Listed], bool]]] = {
    FilterName.JOB_NAME: _fits_name,
    FilterName.JOB_DEFINITION: _fits_definition,
    FilterName.BEFORE_CREATED_AT: lambda value, job: job.created_at < int(value),
    FilterName.AFTER_CREATED_AT: lambda value, job: job.created_at > int(value),
    FilterName.SHARE_IDENTIFIER: lambda value, job: job.share_identifier == value,
}
