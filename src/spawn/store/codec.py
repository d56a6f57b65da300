"""Between domain values and what stands in a row: jobs as JSON, keys as integers."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import msgspec

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Resource
from spawn.domain.consumables import ConsumableResource
from spawn.domain.definitions import DefinitionStatus, JobDefinition
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.domain.services import QuotaShare, ServiceEnvironment
from spawn.domain.states import Status
from spawn.engine.encoding import decoder, encode
from spawn.engine.records import AttemptRecord

_DEFINITIONS = decoder(JobDefinition)
_KINDS: Final[dict[str, tuple[type[Resource], msgspec.json.Decoder[Any]]]] = {
    "queue": (JobQueue, decoder(JobQueue)),
    "environment": (ComputeEnvironment, decoder(ComputeEnvironment)),
    "policy": (SchedulingPolicy, decoder(SchedulingPolicy)),
    "consumable": (ConsumableResource, decoder(ConsumableResource)),
    "service environment": (ServiceEnvironment, decoder(ServiceEnvironment)),
    "quota share": (QuotaShare, decoder(QuotaShare)),
}


def definition_row(definition: JobDefinition) -> tuple[object, ...]:
    """A revision's row."""
    return definition.name, definition.revision, definition.status is DefinitionStatus.ACTIVE, definition.gone_at, encode(definition)


@lru_cache(maxsize=256)
def decode_definition(body: bytes) -> JobDefinition:
    """The definition that `encode` wrote. Most submissions ask for the same few."""
    definition: JobDefinition = _DEFINITIONS.decode(body)
    return definition


def kind_of(resource: Resource) -> str:
    """The kind that a resource's row has."""
    return next(kind for kind, (type_, _) in _KINDS.items() if isinstance(resource, type_))


@lru_cache(maxsize=16_384)
def decode_resource(kind: str, body: bytes) -> Resource:
    """The resource that `encode` wrote. All of them are read again and again, and hardly any has changed in between."""
    resource: Resource = _KINDS[kind][1].decode(body)
    return resource


def key_number(key: ArrayKey) -> int:
    """A key as the integer that rows are found by."""
    return int(key, 16)


def key_text(number: int) -> ArrayKey:
    """The key that a row's integer stands for."""
    return ArrayKey(f"{number:010x}")


def standing(array: ArrayJob) -> dict[str, object]:
    """Where an array stands, as the columns of its row."""
    return {
        "key": key_number(array.job.key),
        "base": int(array.base),
        "base_reason": array.base_reason,
        "base_at": array.base_at,
        "counts": json.dumps([array.count(status) for status in Status]),
        "status": int(array.parent_status),
        "reason": array.reason,
        "settled": array.settled,
        "cancelled": array.cancelled,
        "terminated_at": array.terminated_at,
        "halted": array.halted,
        "failed_attempts": array.failed_attempts,
        "started_at": array.started_at,
        "stopped_at": array.stopped_at,
        "max_concurrent": array.max_concurrent,
    }


def submitted(array: ArrayJob) -> dict[str, object]:
    """A new array's row."""
    job = array.job
    return standing(array) | {
        "id": job.id,
        "name": job.name,
        "queue": job.queue,
        "definition": None if job.batch is None else job.batch.definition,
        "share": None if job.batch is None else job.batch.share,
        "consumables": json.dumps(dict(job.batch.consumables)) if job.batch is not None and job.batch.consumables else None,
        "is_array": job.is_array,
        "size": job.size,
        "created_at": job.created_at,
        "body": encode(job),
    }


def attempt_key(attempt: AttemptId) -> dict[str, object]:
    """The parameters that find an attempt's row."""
    return {"key": key_number(attempt.key), "position": attempt.position, "attempt": attempt.attempt}


def attempt_row(record: AttemptRecord) -> tuple[object, ...]:
    """An ended attempt's row."""
    outcome = record.outcome
    return (
        int(record.key, 16),
        record.position,
        record.attempt,
        record.started_at,
        record.stopped_at,
        outcome.kind.value,
        outcome.exit_code,
        outcome.signal,
        outcome.status_reason,
        outcome.reason,
        outcome.message,
        record.cpu_s,
        record.max_rss_kib,
        record.instance.value,
        record.instance_ends_at,
        record.environment,
        record.instance_id,
    )
