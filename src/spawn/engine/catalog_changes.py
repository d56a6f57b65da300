"""What clients change of the catalog. Each is run in the engine's thread, checks everything first, and is answered after the commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from spawn.domain.catalog import R, Resource, check_change, check_deletion, check_new
from spawn.domain.consumables import ConsumableResource
from spawn.domain.queues import QUEUE_DELETED, JobQueue
from spawn.engine import commands
from spawn.engine.state import EngineState


class Stock(NamedTuple):
    """A consumable resource, and how much of it jobs have now that give it back."""

    resource: ConsumableResource
    in_use: int


def create(state: EngineState, resource: Resource) -> None:
    """Make a new one. Conflict when there is one of this kind and name, or no more may be made."""
    check_new(state.catalog, resource)
    state.put(resource)


def change(state: EngineState, kind: type[R], name: str, how: Callable[[R], R]) -> R:
    """Put what `how` makes of the one of this name in its place, and return it. Again with the same result: nothing is written."""
    before = state.catalog.find(kind, name)
    after = how(before)
    check_change(state.catalog, before, after)
    if after != before:
        state.put(after)
    return after


def delete(state: EngineState, kind: type[R], name: str) -> None:
    """Let one be gone. The jobs of a queue are terminated first, those that run too."""
    resource = state.catalog.find(kind, name)
    check_deletion(state.catalog, resource)
    if isinstance(resource, JobQueue):
        _terminate_jobs(state, resource)
    state.remove(resource)


def stock(state: EngineState, name: str) -> Stock:
    """A consumable resource with what is in use of it."""
    resource = state.catalog.find(ConsumableResource, name)
    return Stock(resource, state.consumption().get(name, 0))


def stocks(state: EngineState) -> list[Stock]:
    """All consumable resources, by name."""
    in_use = state.consumption()
    return [Stock(resource, in_use.get(name, 0)) for name, resource in sorted(state.catalog.consumables.items())]


def _terminate_jobs(state: EngineState, queue: JobQueue) -> None:
    for array in [array for array in state.book.by_key.values() if array.job.queue == queue.name and (array.under_way or not array.settled)]:
        commands.terminate(state, array.job.id, None, reason=QUEUE_DELETED, grace_s=None, dry_run=False)
