"""Who goes next: a pure function of the waiting work, the work under way and the capacity (design, section 10)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spawn.domain.ids import ArrayKey
from spawn.domain.jobs import Demand

AHEAD_S: Final = 0.25
"""How much work, in seconds for each vCPU, may wait at a provider: enough that no slot waits for the store, little enough to cancel."""

MOST_AHEAD: Final = 4000
"""Most attempts that may wait at a provider, however short they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a compute environment has in all: thousandths of a vCPU and MiB."""

    cpus: int
    memory: int

    def holds(self, demand: Demand) -> bool:
        """Whether one child can run here at all."""
        return demand.cpus <= self.cpus and demand.memory <= self.memory

    def slots(self, demand: Demand) -> int:
        """How many such children run at once when nothing else does."""
        by_memory = self.memory // demand.memory if demand.memory else self.cpus
        return min(self.cpus // demand.cpus, by_memory) if demand.cpus else by_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One array's place in the queue: what waits, what is handed over and has not begun, what runs."""

    key: ArrayKey
    demand: Demand
    runnable: int
    starting: int
    running: int
    max_concurrent: int | None
    duration_s: float | None  #: mean of its latest attempts, None before the first has ended


def dispatch(standings: Iterable[Standing], capacity: Capacity) -> list[tuple[ArrayKey, int]]:
    """How many children of each array to hand over now, in the order given: first come, first served.

    What does not fit ends the round, so that a large child is not passed by for ever; an array at its own cap, and one that can never fit, is passed over.
    Beyond the free room, `AHEAD_S` of work waits at the provider, so that a slot that comes free is taken at once; nothing of an array of which no attempt
    has ended yet, since that may take days.
    """
    standings = list(standings)
    room = capacity.cpus - sum((s.running + s.starting) * s.demand.cpus for s in standings)
    memory = capacity.memory - sum((s.running + s.starting) * s.demand.memory for s in standings)
    backlog = sum(s.starting for s in standings)
    ahead = AHEAD_S * capacity.cpus / 1000 - _waiting_seconds(standings, capacity)
    chosen: list[tuple[ArrayKey, int]] = []
    for standing in standings:
        if not standing.runnable or not capacity.holds(standing.demand):
            continue
        slots = capacity.slots(standing.demand)
        at_once = slots if standing.max_concurrent is None else min(slots, standing.max_concurrent)
        each_s = math.inf if standing.duration_s is None else max(standing.duration_s, 1e-5)
        cost = each_s * max(standing.demand.cpus, 1) / 1000
        now = _fitting(standing, room, memory)
        spare = max(0, min(int(max(0.0, ahead) / cost), MOST_AHEAD - backlog))
        limit = max(0, at_once + int(AHEAD_S * at_once / each_s) - standing.starting - standing.running)
        count = min(standing.runnable, now + spare, limit)
        if count:
            chosen.append((standing.key, count))
            room -= count * standing.demand.cpus
            memory -= count * standing.demand.memory
            ahead -= max(0, count - now) * cost if count > now else 0.0
            backlog += count
        if count < standing.runnable and count < limit:
            break
    return chosen


def _fitting(standing: Standing, room: int, memory: int) -> int:
    by_cpus = max(0, room) // standing.demand.cpus if standing.demand.cpus else standing.runnable
    by_memory = max(0, memory) // standing.demand.memory if standing.demand.memory else standing.runnable
    return min(by_cpus, by_memory)


def _waiting_seconds(standings: Iterable[Standing], capacity: Capacity) -> float:
    """The vCPU-seconds of what is handed over beyond what runs at once."""
    free = capacity.cpus - sum(s.running * s.demand.cpus for s in standings)
    seconds = 0.0
    for s in standings:
        each_s = (s.duration_s or 0.0) * s.demand.cpus / 1000
        begins = min(s.starting, max(0, free) // s.demand.cpus) if s.demand.cpus else s.starting
        free -= begins * s.demand.cpus
        seconds += (s.starting - begins) * each_s
    return seconds
