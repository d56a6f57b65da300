"""SubmitJob (spec 2.11)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from spawn.api.aws.batch import tasks
from spawn.api.aws.batch.containers import read_environment, read_requirements, show_container
from spawn.api.aws.batch.requirements import read_consumables
from spawn.api.aws.batch.retries import read_retry_strategy, read_timeout
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.definitions import DefinitionReference, DefinitionType, JobDefinition, Merged, Orchestration, Overrides, find_definition, merge
from spawn.domain.dependencies import Dependency, read_dependency
from spawn.domain.errors import SpawnError, UsageError
from spawn.domain.instants import Instant
from spawn.domain.jobs import BatchJob
from spawn.domain.queues import Family
from spawn.domain.retries import RetryStrategy
from spawn.domain.submission_rules import check_array_size, check_consumables, check_job_name, check_job_payload, check_tags, why_doomed
from spawn.engine.batch_jobs import BatchSubmission, open_queue, submit
from spawn.engine.ports import Records

_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ")
_EXECUTION: Final = "AWS_EXECUTION_ENV"


def operations(door: Door) -> dict[str, Handler]:
    """The operations that make jobs."""
    inherited = inherited_environment(os.environ)
    return {"SubmitJob": lambda caller, asked: submit_job(door, caller, asked, inherited)}


def inherited_environment(own: Mapping[str, str]) -> dict[str, str]:
    """What jobs get of the engine's own environment: where programs, the user and the language are, and nothing else; never its credentials."""
    return {name: value for name, value in own.items() if name in _INHERITED or name.startswith("LC_")}


def submit_job(door: Door, caller: Caller, asked: Mapping[str, Any], inherited: Mapping[str, str]) -> Mapping[str, Any]:
    """Take a job; it is in the store when the answer comes."""
    check_job_name(asked["jobName"])
    queue = name_in(asked["jobQueue"], "job-queue", "jobQueue")
    try:
        definition = definition_for(door.records, asked["jobDefinition"], door.clock.now())
        submission = read_submission(definition, asked, queue=queue, inherited=inherited)
    except SpawnError:
        # a queue that takes no jobs is what AWS says first
        door.engine.call(lambda state: open_queue(state.catalog, queue))
        raise
    job = door.engine.call(lambda state: submit(state, submission, draw_id=door.draw_id))
    return {"jobArn": caller.arn(f"job/{job.id}"), "jobName": job.name, "jobId": job.id}


def read_submission(definition: JobDefinition, asked: Mapping[str, Any], *, queue: str, inherited: Mapping[str, str]) -> BatchSubmission:
    """Read a SubmitJob against its job definition, and check all that needs no look at the engine's state."""
    size = asked.get("arrayProperties", {}).get("size")
    _check_runs_here(asked, definition, size)
    if size is not None:
        check_array_size(size)
    check_job_payload(len(msgspec.json.encode(asked)))
    tags = asked.get("tags", {})
    check_tags(tags)
    container, changes = _container_and_changes(definition, asked)
    merged = merge(definition, _read_overrides(asked, changes))
    propagate = asked.get("propagateTags", definition.propagate_tags or False)
    return BatchSubmission(
        name=asked["jobName"],
        queue=queue,
        size=size,
        depends_on=tuple(_read_dependency(entry) for entry in asked.get("dependsOn", ())),
        merged=merged,
        environment=_environment(inherited, definition, merged),
        batch=_batch_job(asked, definition, merged, container, changes, propagate=propagate),
        priority_override=asked.get("schedulingPriorityOverride"),
        tags=tags,
        doom=why_doomed(
            overrides=len(msgspec.json.encode(changes).decode()) if changes else 0,
            tags=len({**definition.tags, **tags}) if propagate else len(tags),
        ),
    )


def definition_for(records: Records, text: str, now: Instant) -> JobDefinition:
    """The revision that a submission names by name, NAME:REVISION or ARN: an active one, or it is refused."""
    reference = DefinitionReference.parse(text)
    if reference.revision is None:
        found = records.definitions("active_definition", (reference.name,))
    else:
        found = records.definitions("definition_of", (reference.name, reference.revision))
    return find_definition(found, reference, now=now)


def _check_runs_here(asked: Mapping[str, Any], definition: JobDefinition, size: int | None) -> None:
    """Refuse what can be described but not run: jobs on several hosts, pods, and tasks of several essential containers."""
    name = definition.reference
    if asked.get("nodeOverrides") or definition.type is DefinitionType.MULTINODE:
        if size is not None:
            raise UsageError(f"An array job cannot be a multi-node parallel job: leave out arrayProperties, or the node properties of {name}")
        raise UsageError(f"Multi-node parallel jobs do not run here, where every job has one host: give {name} the type container, without nodeOverrides")
    if asked.get("eksPropertiesOverride") or definition.orchestration is Orchestration.EKS:
        raise UsageError(f"Jobs on Amazon EKS do not run here: give {name} containerProperties, without eksPropertiesOverride")
    if definition.container is None:
        raise UsageError(f"Tasks of several essential containers do not run here: give {name} one container, or one that is essential")


def _container_and_changes(definition: JobDefinition, asked: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The container properties of the definition, and what the submission says in their place."""
    by_task, plain = asked.get("ecsPropertiesOverride", {}), asked.get("containerOverrides", {})
    ecs: Any = definition.shown.get("ecsProperties")
    if ecs is None:
        if by_task:
            raise UsageError(f"ecsPropertiesOverride: {definition.reference} has no ecsProperties: give containerOverrides")
        properties: Any = definition.shown.get("containerProperties", {})
        return properties, plain
    if plain:
        raise UsageError(f"containerOverrides: {definition.reference} has ecsProperties: give ecsPropertiesOverride")
    return tasks.container_properties(ecs), tasks.container_overrides(ecs, by_task)


def _read_overrides(asked: Mapping[str, Any], changes: Mapping[str, Any]) -> Overrides:
    return Overrides(
        command=tuple(changes["command"]) if changes.get("command") else None,
        environment=read_environment(changes.get("environment", ())),
        requirements=read_requirements(changes),
        parameters=asked.get("parameters", {}),
        retry=_read_retry(asked.get("retryStrategy")),
        timeout=read_timeout(asked.get("timeout")),
    )


def _read_retry(members: Mapping[str, Any] | None) -> RetryStrategy | None:
    return read_retry_strategy(members) if members else None


def _read_dependency(entry: Mapping[str, Any]) -> Dependency:
    job = entry.get("jobId")
    return read_dependency(None if job is None else name_in(job, "job", "dependsOn.jobId"), entry.get("type"))


def _environment(inherited: Mapping[str, str], definition: JobDefinition, merged: Merged) -> dict[str, str]:
    platform = "AWS_ECS_FARGATE" if definition.platform_capabilities == (Family.FARGATE.value,) else "AWS_ECS_EC2"
    return {**inherited, _EXECUTION: platform, **merged.environment}


def _batch_job(
    asked: Mapping[str, Any], definition: JobDefinition, merged: Merged, container: Mapping[str, Any], changes: Mapping[str, Any], *, propagate: bool
) -> BatchJob:
    priority = asked.get("schedulingPriorityOverride", definition.scheduling_priority)
    consumables = {**definition.consumables, **read_consumables(asked.get("consumableResourcePropertiesOverride"))}
    check_consumables(consumables)
    ecs: Any = definition.shown.get("ecsProperties")
    instance = {"instanceType": changes["instanceType"]} if "instanceType" in changes else {}
    return BatchJob(
        definition=definition.reference,
        container=show_container(container, merged, **instance),
        parameters=merged.parameters,
        platform_capabilities=definition.platform_capabilities,
        propagate_tags=propagate,
        share=asked.get("shareIdentifier"),
        priority=priority or 0,
        consumables=consumables,
        shown={} if ecs is None else {"ecsProperties": tasks.show_task(ecs, merged)},
    )
