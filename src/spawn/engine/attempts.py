"""What the news of a provider means: outcomes for children, records for the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from spawn.domain.arrays import ArrayJob
from spawn.domain.children import UnderWay
from spawn.domain.instances import OnComplete, deadline, state_of
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.outcomes import Outcome
from spawn.domain.states import InstanceState, Status
from spawn.engine.news import Completed, Ended, Lost, ProviderEvent, Refused, Usage
from spawn.engine.records import AttemptRecord

_WELL = Outcome.exited(0)
_NOTHING = Usage()


def outcome_of(event: ProviderEvent, under_way: UnderWay, instance_id: str, job: Job) -> Outcome:
    """How an attempt ended, in the domain's words."""
    match event:
        case Completed():
            return Outcome.completed(event.success, event.message)
        case Refused():
            return Outcome.refused(event.reason)
        case Lost():
            return Outcome.interrupted(instance_id) if event.market else Outcome.lost(instance_id, event.why)
        case Ended():
            found = _outcome_of_exit(event, under_way, instance_id, job)
            return found if event.incomplete is None else replace(found, status_reason=f"{found.status_reason}; {event.incomplete}")
    return Outcome.lost(instance_id)


def _outcome_of_exit(event: Ended, under_way: UnderWay, instance_id: str, job: Job) -> Outcome:
    code, signal, why = event.how
    if why is None and signal is None and code is not None:
        return _WELL if code == 0 else Outcome.exited(code)
    match why:
        case "timeout":
            return Outcome.timed_out(code, signal)
        case "ttl":
            return Outcome.expired(instance_id, job.lifetime.ttl or timedelta(0), code=code, signal=signal)
        case "interrupted":
            return Outcome.interrupted(instance_id, code=code, signal=signal)
        case "oom":
            return Outcome.out_of_memory()
        case "stopped":
            if under_way.stopping is None and job.fleet is not None:
                return Outcome.lost(instance_id, "its instance was stopped or shut down while it ran")
            return Outcome.stopped(under_way.stopping or "Stopped", code=code, signal=signal)
    return Outcome.killed(signal) if signal is not None else Outcome.exited(code if code is not None else 1)


def record_of(event: ProviderEvent, array: ArrayJob, position: int, under_way: UnderWay, outcome: Outcome, at: Instant) -> AttemptRecord:
    """The attempt as it is kept, with what becomes of its instance; to be made before the book hears of the end."""
    usage = event.usage if isinstance(event, Ended) else _NOTHING
    state, ends_at = _instance_after(array.job, under_way, event, at)
    return AttemptRecord(
        array.job.key,
        position,
        under_way.attempt,
        under_way.started_at,
        at,
        outcome,
        usage.cpu_s,
        usage.max_rss_kib,
        state,
        ends_at,
        under_way.environment,
        under_way.instance_id,
    )


def _instance_after(job: Job, under_way: UnderWay, event: ProviderEvent, at: Instant) -> tuple[InstanceState, Instant | None]:
    """The instance of an attempt that has ended: gone, stopped or kept until its own end (design, section 6)."""
    if isinstance(event, Lost | Refused):
        return InstanceState.TERMINATED, None
    ending = under_way.stopping is not None or (isinstance(event, Ended) and event.how.why in ("ttl", "interrupted"))
    if ending or job.lifetime.on_complete is OnComplete.TERMINATE:
        # EC2 tells when an instance is gone that one child had to itself; what several share goes on
        return InstanceState.SHUTTING_DOWN if job.fleet is not None and not job.fleet.options.shared else InstanceState.TERMINATED, None
    if job.fleet is not None:
        # it ends by its own hands, and may have been extended from inside: its provider tells when it is gone
        return InstanceState.STOPPED if job.lifetime.on_complete is OnComplete.STOP else InstanceState.RUNNING, None
    ends_at = deadline(job.lifetime, under_way.started_at or at, at, extended_to=under_way.ends_at)
    return state_of(Status.SUCCEEDED, job.lifetime.on_complete, ends_at=ends_at, now=at), ends_at
