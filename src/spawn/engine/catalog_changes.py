"""What clients change of the catalog. Each is run in the engine's thread, checks everything first, and is answered after the commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import R, Resource, check_change, check_deletion, check_new
from spawn.domain.consumables import ConsumableResource, Consumption
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
    return Stock(resource, _in_use(state).get(name, 0))


def stocks(state: EngineState) -> list[Stock]:
    """All consumable resources, by name."""
    in_use = _in_use(state)
    return [Stock(resource, in_use.get(name, 0)) for name, resource in sorted(state.catalog.consumables.items())]


def _terminate_jobs(state: EngineState, queue: JobQueue) -> None:
    for array in [array for array in state.book.by_key.values() if array.job.queue == queue.name and (array.under_way or not array.settled)]:
        commands.terminate(state, array.job.id, None, reason=QUEUE_DELETED, grace_s=None, dry_run=False)


def _in_use(state: EngineState) -> Mapping[str, int]:
    """What attempts under way have of each resource that they will give back."""
    in_use: dict[str, int] = {}
    for array in state.book.by_key.values():
        for name, quantity in _taken_by(array).items():
            resource = state.catalog.consumables.get(name)
            if resource is not None and resource.consumption is Consumption.REPLENISHABLE:
                in_use[name] = in_use.get(name, 0) + quantity * len(array.under_way)
    return in_use


def _taken_by(array: ArrayJob) -> Mapping[str, int]:
    return {} if array.job.batch is None else array.job.batch.consumables
