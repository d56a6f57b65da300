"""What the scheduler weighs: capacity, and the place of each array in it (design, section 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Demand

AHEAD_S: Final = 0.25
"""How much work, in seconds for each vCPU, may wait at a provider: enough that no slot waits for the store, little enough to cancel."""

MOST_AHEAD: Final = 4000
"""Most attempts that may wait at a provider, however short they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a host has in all: thousandths of a vCPU and MiB."""

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
    """One array's place: what of it waits, what is handed over and has not begun, what runs, and in which compute environments."""

    key: ArrayKey
    queue: str
    share: str = ""  #: its share identifier; empty where nobody shares
    demand: Demand
    consumables: Mapping[str, int] = field(default_factory=dict)  #: what each child takes of consumable resources
    priority: int = 0  #: within its share, the highest first
    created_at: Instant
    serial: int = 0  #: tells those apart that were submitted in the same millisecond
    runnable: int
    starting: int
    running: int
    placed: Mapping[str, int] = field(default_factory=dict)  #: children starting and running, by compute environment
    max_concurrent: int | None
    duration_s: float | None  #: mean of its latest attempts, None before the first has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What all attempts under way take together: thousandths of a vCPU, MiB, and units of consumable resources."""

    cpus: int
    memory: int
    starting: int  #: attempts handed over that have not begun
    waiting_s: float  #: the vCPU-seconds of what is handed over beyond what runs at once
    by_environment: Mapping[str, int]  #: thousandths of a vCPU
    by_share: Mapping[tuple[str, str], int]  #: thousandths of a vCPU by queue and share
    taken: Mapping[str, int]  #: units of each consumable resource, that of a kind which is used up for ever included

    @classmethod
    def of(cls, under_way: Iterable[Standing], host: Capacity) -> Load:
        """The load of these arrays on a host."""
        standings = list(under_way)
        environments: dict[str, int] = {}
        shares: dict[tuple[str, str], int] = {}
        taken: dict[str, int] = {}
        for s in standings:
            for name, count in s.placed.items():
                environments[name] = environments.get(name, 0) + count * s.demand.cpus
            children = s.running + s.starting
            owner = (s.queue, s.share)
            shares[owner] = shares.get(owner, 0) + children * s.demand.cpus
            for name, quantity in s.consumables.items():
                taken[name] = taken.get(name, 0) + children * quantity
        return cls(
            cpus=sum((s.running + s.starting) * s.demand.cpus for s in standings),
            memory=sum((s.running + s.starting) * s.demand.memory for s in standings),
            starting=sum(s.starting for s in standings),
            waiting_s=_waiting_seconds(standings, host),
            by_environment=environments,
            by_share=shares,
            taken=taken,
        )


def fitting(demand: Demand, *, cpus: int, memory: int, most: int) -> int:
    """How many children of this kind go into the room that is left, at most so many."""
    by_cpus = max(0, cpus) // demand.cpus if demand.cpus else most
    by_memory = max(0, memory) // demand.memory if demand.memory else most
    return min(by_cpus, by_memory, most)


def _waiting_seconds(standings: Iterable[Standing], host: Capacity) -> float:
    free = host.cpus - sum(s.running * s.demand.cpus for s in standings)
    seconds = 0.0
    for s in standings:
        each_s = (s.duration_s or 0.0) * s.demand.cpus / 1000
        begins = min(s.starting, max(0, free) // s.demand.cpus) if s.demand.cpus else s.starting
        free -= begins * s.demand.cpus
        seconds += (s.starting - begins) * each_s
    return seconds
