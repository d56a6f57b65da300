"""What a provider is told that is new, or was away: everything that the store says of attempts under way."""

from __future__ import annotations

from collections.abc import Iterable

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Catalog
from spawn.domain.ids import AttemptId
from spawn.engine.ports import Provider


def hand_over_again(arrays: Iterable[ArrayJob], catalog: Catalog, provider: Provider) -> None:
    """Start, drop, extend and stop as the store says; what the provider knows already it passes over."""
    for array in arrays:
        if array.under_way:
            _hand_over(array, catalog, provider)


def _hand_over(array: ArrayJob, catalog: Catalog, provider: Provider) -> None:
    waiting = sorted((position, under_way.attempt) for position, under_way in array.under_way.items() if under_way.started_at is None)
    if waiting:
        _start(array, waiting, catalog, provider)
    if waiting and (array.cancelled or array.halted):
        provider.drop([AttemptId(array.job.key, position, attempt) for position, attempt in waiting])
    for position, under_way in array.under_way.items():
        if under_way.ends_at is not None:
            provider.extend([AttemptId(array.job.key, position, under_way.attempt)], under_way.ends_at)
    stopping = [AttemptId(array.job.key, position, u.attempt) for position, u in array.under_way.items() if u.stopping is not None]
    if stopping:
        provider.stop(stopping, grace_s=array.job.grace.total_seconds())


def _start(array: ArrayJob, attempts: Iterable[tuple[int, int]], catalog: Catalog, provider: Provider) -> None:
    by_environment: dict[str, list[tuple[int, int]]] = {}
    for position, attempt in attempts:
        by_environment.setdefault(array.under_way[position].environment, []).append((position, attempt))
    for name, placed in by_environment.items():
        provider.start(array, placed, catalog.environment(name))
