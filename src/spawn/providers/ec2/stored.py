"""Jobs and events as JSON: in the ledger, and in the bucket's array.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine import encoding
from spawn.engine.encoding import encode
from spawn.engine.news import Completed, Dropped, Ended, EndKind, InstanceChanged, Launched, Lost, ProviderEvent, Refused, Started, Usage


@lru_cache(maxsize=256)
def decode_job(body: bytes) -> Job:
    """The job that `encode` wrote. The same few are read in every round."""
    return encoding.decode_job(body)


def array_document(job: Job, wire: int, *, max_concurrent: int | None = None) -> bytes:
    """array.json (docs/wire-ec2.md): with it any machine that reads the bucket can take the array over."""
    return encode({"wire": wire, "key": job.key, "name": job.name, "max_concurrent": max_concurrent, "job": job})


EventRow = tuple[str, str, int, int, int, str]
"""kind, key, position, attempt, at, facts."""


def event_row(event: ProviderEvent) -> EventRow:
    """An event of one attempt as it stands in the ledger."""
    facts: list[object]
    match event:
        case Launched():
            facts = [event.instance_id]
        case Completed():
            facts = [event.success, event.message]
        case Ended():
            facts = [*event.how, event.usage.cpu_s, event.usage.max_rss_kib, event.incomplete]
        case Refused():
            facts = [event.reason]
        case Lost():
            facts = [event.why, event.market]
        case InstanceChanged():
            facts = [event.instance_id, event.state.value]
        case Started() | Dropped():
            facts = []
        case _:
            raise TypeError(f"{type(event).__name__} is not of one attempt")
    attempt = event.attempt
    return type(event).__name__, attempt.key, attempt.position, attempt.attempt, event.at, json.dumps(facts)


_KINDS: Final[dict[str, Callable[..., ProviderEvent]]] = {
    "Launched": Launched,
    "Started": Started,
    "Completed": Completed,
    "Ended": lambda attempt, at, code, signal, why, cpu_s, rss, lacks=None: Ended(attempt, at, EndKind(code, signal, why), Usage(cpu_s, rss), lacks),
    "Refused": Refused,
    "Dropped": Dropped,
    "Lost": Lost,
    "InstanceChanged": lambda attempt, at, instance_id, state: InstanceChanged(attempt, at, instance_id, InstanceState(state)),
}


def event_of(kind: str, key: str, position: int, attempt: int, at: int, facts: str) -> ProviderEvent:
    """The event that `event_row` wrote."""
    return _KINDS[kind](AttemptId(ArrayKey(key), position, attempt), Instant(at), *json.loads(facts))
