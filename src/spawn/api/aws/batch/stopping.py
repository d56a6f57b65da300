"""CancelJob and TerminateJob, one by one and in bulk (spec 2.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from spawn.api.aws.batch.finding import Reference, find, read_reference
from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.doors import Door
from spawn.domain.errors import IllegalMove, InvalidField, SpawnError, Unavailable
from spawn.domain.ids import JobId
from spawn.domain.states import SETTLED, UNDER_WAY, Status
from spawn.domain.submission_rules import check_reason
from spawn.engine import commands
from spawn.engine.state import EngineState

MOST_AT_ONCE: Final = 50
"""Most jobs of one CancelJobs or TerminateJobs."""

Stop = Callable[[EngineState, JobId, list[int] | None, str], object]


def operations(door: Door) -> dict[str, Handler]:
    """The operations that end jobs."""
    return {
        "CancelJob": partial(_one, door, _cancel, SETTLED | UNDER_WAY),
        "TerminateJob": partial(_one, door, _terminate, SETTLED),
        "CancelJobs": partial(_many, door, _cancel, SETTLED | UNDER_WAY),
        "TerminateJobs": partial(_many, door, _terminate, SETTLED),
    }


def _cancel(state: EngineState, job: JobId, positions: list[int] | None, reason: str) -> object:
    return commands.cancel(state, job, positions, reason=reason, dry_run=False, pending_waits=True)


def _terminate(state: EngineState, job: JobId, positions: list[int] | None, reason: str) -> object:
    return commands.terminate(state, job, positions, reason=reason, grace_s=None, dry_run=False)


def _one(door: Door, stop: Stop, untouched: frozenset[Status], _: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Stop one job. Nothing happens to one that is unknown, or in a status in which there is nothing to stop."""
    reason: str = asked["reason"]
    check_reason(reason)
    if not asked["jobId"]:
        raise InvalidField("jobId", "it is empty: give the id of a job")
    reference = read_reference(asked["jobId"], "jobId")
    if _is_open(door, asked["jobId"], untouched):
        door.engine.call(lambda state: _stop(state, stop, reference, reason))
    return {}


def _many(door: Door, stop: Stop, untouched: frozenset[Status], _: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Stop up to 50 jobs, each by itself: what is wrong with one is said of it in `errors` and keeps no other from being stopped."""
    reason: str = asked["reason"]
    check_reason(reason)
    jobs: list[str] = asked["jobs"]
    if not 1 <= len(jobs) <= MOST_AT_ONCE:
        raise InvalidField("jobs", f"{len(jobs)} jobs: give 1 to {MOST_AT_ONCE} at once")
    references: dict[str, Reference] = {}
    faults: dict[str, tuple[str, str]] = {}
    for job in jobs:
        try:
            references[job] = _named(job)
        except InvalidField as error:
            faults[job] = ("ValidationException", str(error))
    wanted = {job: reference for job, reference in references.items() if _is_open(door, job, untouched)}
    if wanted:
        refused = door.engine.call(lambda state: _stop_each(state, stop, wanted, reason))
        faults |= {job: ("ServerException" if isinstance(error, Unavailable) else "ClientException", str(error)) for job, error in refused.items()}
    errors = [{"job": job, "code": code, "message": message} for job, (code, message) in faults.items()]
    return {"successful": [job for job in dict.fromkeys(jobs) if job not in faults], "errors": errors}


def _named(job: str) -> Reference:
    if not job:
        raise InvalidField("jobs", "an id is empty")
    return read_reference(job, "jobs")


def _is_open(door: Door, job: str, untouched: frozenset[Status]) -> bool:
    """Whether a job exists and there is something of it to stop, as far as the store knows; the engine looks again."""
    return any(found.standing.status not in untouched for found in find(door.records, [job]))


def _stop_each(state: EngineState, stop: Stop, jobs: Mapping[str, Reference], reason: str) -> dict[str, SpawnError]:
    """Stop these jobs; the refusals. Each command checks everything before it changes anything, so a refused one has changed nothing."""
    refused: dict[str, SpawnError] = {}
    for job, reference in jobs.items():
        try:
            _stop(state, stop, reference, reason)
        except IllegalMove:
            raise
        except SpawnError as error:
            refused[job] = error
    return refused


def _stop(state: EngineState, stop: Stop, reference: Reference, reason: str) -> None:
    array = state.adopt(reference.job)
    if array is None:
        return
    if reference.index is None:
        stop(state, reference.job, None, reason)
        return
    indexes = array.job.indexes
    position = indexes.position_of(reference.index) if indexes is not None else None
    if position is not None:
        stop(state, reference.job, [position], reason)
