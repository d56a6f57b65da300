"""One job as DescribeJobs shows it (spec 2.4 and 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from spawn.api.aws.batch.finding import Found
from spawn.api.aws.batch.requirements import show_consumables
from spawn.api.aws.batch.retries import show_retry_strategy, show_timeout
from spawn.api.aws.batch.standing import LAUNCHED, Attempt, Standing
from spawn.api.aws.callers import Caller
from spawn.api.aws.logs.streams import stream_name
from spawn.domain.dependencies import describe_for_child
from spawn.domain.ids import AttemptId, child_id
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.listing import child_properties, parent_properties
from spawn.domain.queues import LOCAL_ENVIRONMENT
from spawn.domain.states import Status

Json = dict[str, Any]

_JOB_ID: Final = "AWS_BATCH_JOB_ID"
_EMPTY: Final = ("volumes", "environment", "mountPoints", "ulimits", "resourceRequirements", "secrets", "networkInterfaces")


def job_detail(caller: Caller, found: Found, *, now: Instant, obstacle: Callable[[Job], str | None]) -> Json:
    """The JobDetail of a job. `obstacle` says of one that is RUNNABLE what keeps it from ever running, if anything does."""
    job = found.row.job
    standing = found.standing
    batch = job.batch
    runs = [_run(caller, found, attempt) for attempt in found.attempts]
    latest = _latest_run(caller, found, standing, runs)
    reason = standing.reason or (obstacle(job) if standing.status is Status.RUNNABLE else None)
    return {
        "jobArn": caller.arn(f"job/{found.id}"),
        "jobName": job.name,
        "jobId": found.id,
        "jobQueue": caller.arn(f"job-queue/{job.queue}"),
        "status": standing.status.name,
        "statusReason": reason,
        "shareIdentifier": batch.share if batch else None,
        "schedulingPriority": batch.priority if batch and batch.share is not None else None,
        "attempts": [_attempt(job, attempt, run) for attempt, run in zip(found.attempts, runs, strict=True)],
        "createdAt": job.created_at,
        "startedAt": standing.started_at,
        "stoppedAt": standing.stopped_at,
        "retryStrategy": show_retry_strategy(job.retry),
        "dependsOn": _depends_on(found),
        "jobDefinition": caller.arn(f"job-definition/{batch.definition if batch else LAUNCHED}"),
        "parameters": dict(batch.parameters) if batch else {},
        "arrayProperties": _array_properties(found, now),
        "timeout": show_timeout(job.timeout),
        "tags": dict(job.tags),
        "propagateTags": batch.propagate_tags if batch else False,
        "platformCapabilities": list(batch.platform_capabilities) if batch else [],
        "isCancelled": standing.cancelled,
        "isTerminated": standing.terminated,
        "consumableResourceProperties": show_consumables(caller, batch.consumables) if batch else None,
        **({name: value for name, value in batch.shown.items() if name != "ecsProperties"} if batch else {}),
        **_what_runs(found, latest),
    }


def _array_properties(found: Found, now: Instant) -> Json | None:
    job = found.row.job
    if found.position is None:
        counts = dict(zip(Status, found.row.counts, strict=True))
        return parent_properties(counts, updated_at=found.row.stopped_at or now)
    return child_properties(job.index_at(found.position), listed=False) if job.is_array else None


def _depends_on(found: Found) -> list[Json]:
    """As submitted; of a child: the jobs that it waits for itself."""
    job = found.row.job
    if found.position is None or not job.is_array:
        return [_dependency(None if d.job is None else d.job if d.index is None else child_id(d.job, d.index), d.type) for d in job.depends_on]
    before = job.index_at(found.position - 1) if found.position > 0 else None
    return [{"jobId": id_} for id_ in describe_for_child(job.waits, own=job.id, index=job.index_at(found.position), before=before)]


def _dependency(job: str | None, type_: Any) -> Json:
    return {name: value for name, value in {"jobId": job, "type": None if type_ is None else type_.value}.items() if value is not None}


# --- what runs, and where ---------------------------------------------------------------------------------------------


def _run(caller: Caller, found: Found, attempt: Attempt) -> Json:
    """What AttemptContainerDetail and ContainerDetail say of an attempt that has ended."""
    begun = _task(caller, found, attempt.number, attempt.environment) if attempt.started_at is not None else {}
    ended = {"exitCode": attempt.exit_code, "reason": attempt.reason}
    return {**begun, **{name: value for name, value in ended.items() if value is not None}}


def _latest_run(caller: Caller, found: Found, standing: Standing, runs: Sequence[Json]) -> Json:
    """What the container says of the latest attempt: of the one that runs now, or of the one that ended last."""
    if standing.status is Status.RUNNING and found.child is not None:
        return _task(caller, found, found.child.attempt, found.child.environment)
    if standing.status is Status.STARTING:
        return {}
    return runs[-1] if runs else {}


def _task(caller: Caller, found: Found, attempt: int, environment: str | None) -> Json:
    task = AttemptId(found.row.job.key, found.position or 0, attempt).task_id
    cluster = f"{environment or LOCAL_ENVIRONMENT}_Batch"
    host = sha256(cluster.encode()).hexdigest()[:32]
    return {
        "containerInstanceArn": caller.arn(f"container-instance/{cluster}/{host}", service="ecs"),
        "taskArn": caller.arn(f"task/{cluster}/{task}", service="ecs"),
        "logStreamName": stream_name(found.row.job, task),
    }


def _attempt(job: Job, attempt: Attempt, run: Json) -> Json:
    members: Json = {"startedAt": attempt.started_at, "stoppedAt": attempt.stopped_at, "statusReason": attempt.status_reason}
    ecs: Any = job.batch.shown.get("ecsProperties") if job.batch is not None else None
    if ecs is None:
        return {"container": {**run, "networkInterfaces": []}, **members}
    of_task, of_container = _split(run)
    names = [container.get("name") for container in ecs["taskProperties"][0]["containers"]]
    return {"taskProperties": [{**of_task, "containers": [{"name": name, **of_container, "networkInterfaces": []} for name in names]}], **members}


def _what_runs(found: Found, latest: Json) -> Json:
    """`container`; or `ecsProperties`, when the definition had those, and an empty `container`."""
    job = found.row.job
    ecs: Any = job.batch.shown.get("ecsProperties") if job.batch is not None else None
    if ecs is None:
        return {"container": _container(found, latest)}
    of_task, of_container = _split(latest)
    task: Mapping[str, Any] = ecs["taskProperties"][0]
    containers = [{**container, "environment": _environment(found, container), **of_container} for container in task["containers"]]
    return {"container": {}, "ecsProperties": {"taskProperties": [{**task, **of_task, "containers": containers}]}}


def _split(run: Json) -> tuple[Json, Json]:
    """What is said of the task, and what of its container."""
    of_task: Json = {name: run[name] for name in ("containerInstanceArn", "taskArn") if name in run}
    return of_task, {name: value for name, value in run.items() if name not in of_task}


def _container(found: Found, latest: Json) -> Json:
    job = found.row.job
    container: Mapping[str, Any] = job.batch.container if job.batch is not None else _launched(job)
    return {**container, "environment": _environment(found, container), **latest}


def _environment(found: Found, container: Mapping[str, Any]) -> list[Any]:
    """The container's own variables, and the job's id, which some clients look for there (spec 2.12)."""
    own = [variable for variable in container.get("environment", ()) if variable.get("name") != _JOB_ID]
    return own if found.position is None else [*own, {"name": _JOB_ID, "value": found.id}]


def _launched(job: Job) -> Json:
    """The container of a job of `spawn launch`: values of its environment are never shown."""
    memory = [{"type": "MEMORY", "value": str(job.demand.memory)}] if job.demand.memory else []
    return {
        **{name: [] for name in _EMPTY},
        "image": "",
        "command": list(job.work.command or ()),
        "resourceRequirements": [{"type": "VCPU", "value": f"{job.demand.cpus / 1000:g}"}, *memory],
    }
