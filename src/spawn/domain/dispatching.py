"""Who goes next, and where: a pure function of the waiting work, the work under way, the capacity, the catalog and the usage so far (design, section 10).

Decided here where AWS is silent (spec 2.11, 2.12):

- A job that waits for room keeps it from all that come later: from its own queue, and from queues served after it, in the compute environments that it
  waits for, or on the whole host. So nothing large is passed by for ever.
- A job that waits for a consumable resource, for its array's own limit, or that can never fit, keeps nothing from anybody.
- A compute reservation never stops a queue of which nothing is under way: one child may always start.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Final

from spawn.domain.catalog import Catalog
from spawn.domain.fairshare import Scale, Usage, usable
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.placement import allows, available, open_environments, queue_capacity
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.domain.scheduling import AHEAD_S, MOST_AHEAD, Capacity, Load, Standing, fitting

_ALL: Final = 1 << 62
_NEVER: Final = Instant(1 << 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What waits in a queue (of one share of it, when they share) and is of one kind: it demands the same, also of consumable resources. The highest
    priority stands first, and among equals the oldest."""

    queue: str
    share: str = ""
    standings: Iterable[Standing]


@dataclass(frozen=True, slots=True)
class Placement:
    """So many children of an array are to be handed over, in one compute environment."""

    key: ArrayKey
    count: int
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is to be handed over, in this order; and by queue, the array at its head that its environments would take although the host has no room."""

    placements: list[Placement]
    short: Mapping[str, ArrayKey]


class _Verdict(Enum):
    """What became of the array at the head of a line."""

    SERVED = "all that was offered is placed"
    PASSED = "no more of it can start now, by its own limit"
    HOPELESS = "no more of its kind can start now, whatever room there is"
    BLOCKED = "it waits for room, which is kept for it"
    RESERVED = "its queue may use no more, so that new shares find room"


def dispatch(lines: Iterable[Line], under_way: Iterable[Standing], host: Capacity, catalog: Catalog, usage: Usage | None = None) -> Round:
    """What to hand over now, in this order: queues by priority, the highest first; those of equal priority by the age of the job at their head.

    Beyond the free room, `AHEAD_S` of work waits at the provider, so that a slot that comes free is taken at once; only where nothing but the host limits
    it, and nothing of an array of which no attempt has ended yet, since that may take days.
    """
    floor = _Floor(Load.of(under_way, host), host, catalog)
    by_queue: dict[str, list[Line]] = {}
    for line in lines:
        if line.queue in catalog.queues:
            by_queue.setdefault(line.queue, []).append(line)
    queues = sorted((catalog.queues[name] for name in by_queue), key=lambda queue: (-queue.priority, queue.name))
    for _, equals in groupby(queues, key=lambda queue: queue.priority):
        counters = [_Counter(floor, queue, by_queue[queue.name], usage or Usage()) for queue in equals]
        while counters:  # on a full host too: whose head is short of room there is told for every queue
            counter = min(counters, key=lambda one: one.age)
            if not counter.serve():
                counters.remove(counter)
    return Round(placements=floor.placements(), short=floor.short)


def in_order(lines: Iterable[Line], queue: JobQueue, catalog: Catalog, usage: Usage, load: Load) -> Iterator[ArrayKey]:
    """The order in which a queue's children are dispatched when there is room for all of them: the array of each."""
    floor = _Floor(load, Capacity(cpus=0, memory=0), catalog)
    counter = _Counter(floor, queue, list(lines), usage)
    while (head := counter.head) is not None:
        yield head.key
        floor.note(head, 1)
        counter.advance(1)


class _Floor:
    """What is left while a round goes on."""

    def __init__(self, load: Load, host: Capacity, catalog: Catalog) -> None:
        self.host, self.catalog, self.load = host, catalog, load
        self.cpus, self.memory = host.cpus - load.cpus, host.memory - load.memory
        self.ahead = AHEAD_S * host.cpus / 1000 - load.waiting_s
        self.full = False  #: someone waits for room on the host itself: nothing more is placed
        self.short: dict[str, ArrayKey] = {}
        self.kept: set[str] = set()  #: environments in which someone waits for room
        self.shares = dict(load.by_share)
        self.given: dict[ArrayKey, int] = {}
        self._backlog = load.starting
        self._environments = dict(load.by_environment)
        self._left: dict[str, int] = {}
        self._placed: dict[tuple[ArrayKey, str], int] = {}

    def placements(self) -> list[Placement]:
        """What has been placed, in the order in which it began."""
        return [Placement(key, count, environment) for (key, environment), count in self._placed.items()]

    def used(self, environment: ComputeEnvironment) -> int:
        """What is used in an environment."""
        return self._environments.get(environment.name, 0)

    def cap_left(self, environment: ComputeEnvironment) -> int | None:
        """What an environment may still use; None where the host is what limits it."""
        cap = environment.max_cpus
        return None if cap is None or cap >= self.host.cpus else cap - self.used(environment)

    def consumable(self, standing: Standing) -> int:
        """How many more children find all the consumable resources that they take."""
        most = _ALL
        for name, quantity in standing.consumables.items():
            if name not in self._left:
                self._left[name] = available(self.catalog.consumables.get(name), self.load.taken.get(name, 0))
            most = min(most, self._left[name] // quantity if quantity > 0 else _ALL)
        return most

    def place(self, standing: Standing, environment: ComputeEnvironment, want: int, *, strict: bool) -> int:
        """Place as many of these children in an environment as may be handed over now; return how many."""
        demand, cap = standing.demand, self.cap_left(environment)
        strict = strict or cap is not None
        now = fitting(demand, cpus=self.cpus if cap is None else min(self.cpus, cap), memory=self.memory, most=want)
        each_s = math.inf if standing.duration_s is None else max(standing.duration_s, 1e-5)
        cost = each_s * max(demand.cpus, 1) / 1000
        spare = 0 if strict else max(0, min(int(max(0.0, self.ahead) / cost), MOST_AHEAD - self._backlog))
        count = min(want, now + spare, max(0, self.limit(standing, strict=strict)))
        if not count:
            return 0
        place = (standing.key, environment.name)
        self._placed[place] = self._placed.get(place, 0) + count
        self._environments[environment.name] = self.used(environment) + count * demand.cpus
        self.cpus -= count * demand.cpus
        self.memory -= count * demand.memory
        self.ahead -= max(0, count - now) * cost if count > now else 0.0
        self._backlog += count
        for name, quantity in standing.consumables.items():
            self._left[name] = self._left.get(name, 0) - count * quantity
        self.note(standing, count)
        return count

    def limit(self, standing: Standing, *, strict: bool) -> int:
        """How many more of an array may be handed over by its own limit and size; below 1: none."""
        slots = self.host.slots(standing.demand)
        at_once = slots if standing.max_concurrent is None else min(slots, standing.max_concurrent)
        ahead = 0 if strict or standing.duration_s is None else int(AHEAD_S * at_once / max(standing.duration_s, 1e-5))
        return at_once + ahead - standing.starting - standing.running - self.given.get(standing.key, 0)

    def note(self, standing: Standing, count: int) -> None:
        """So many children more are under way."""
        owner = (standing.queue, standing.share)
        self.shares[owner] = self.shares.get(owner, 0) + count * standing.demand.cpus
        self.given[standing.key] = self.given.get(standing.key, 0) + count


class _Counter:
    """Where one queue is served: it knows whose turn it is, and stops when the one whose turn it is has to wait."""

    def __init__(self, floor: _Floor, queue: JobQueue, lines: list[Line], usage: Usage) -> None:
        self._floor, self._queue, self._usage = floor, queue, usage
        self._policy = None if queue.policy is None else floor.catalog.policies.get(queue.policy) or SchedulingPolicy(name=queue.policy)
        self._scale = None if self._policy is None else Scale(self._policy)
        self._environments = open_environments(queue, floor.catalog)
        self._active = usage.active.get(queue.name, frozenset()) | {line.share for line in lines}
        self._rest = [iter(line.standings) for line in lines]
        self._heads: dict[str, list[tuple[int, Instant, int, int, Standing, int]]] = {}  #: the first of each line, by share
        self._turns: list[tuple[float, int, Instant, int, str]] = []  #: shares, the one whose turn it is first
        for number in range(len(lines)):
            self._bring_up(number)
        for share in self._heads:
            self._queue_up(share)

    @property
    def head(self) -> Standing | None:
        """The array whose turn it is."""
        return self._first()[4] if self._turns else None

    @property
    def age(self) -> Instant:
        """When the job at the head was submitted."""
        return self._turns[0][2] if self._turns else _NEVER

    def advance(self, count: int) -> None:
        """So many children of the head are dealt with."""
        *_, number, standing, left = heapq.heappop(self._heads[self._turns[0][4]])
        if count < left:
            self._line_up(number, standing, left - count)
        else:
            self._bring_up(number)
        self._next_turn()

    def serve(self) -> bool:
        """Place what may be placed of the head, and let the next one come; False when this queue is done with for the round."""
        if not self._turns or not self._environments:
            return False
        *_, standing, left = self._first()
        # one child at a time where others of the queue share with it: each child moves the shares
        offered = left if self._policy is None or len(self._turns) == 1 else 1
        count, verdict = self._place(standing, offered)
        match verdict:
            case _Verdict.SERVED:
                self.advance(count)
            case _Verdict.PASSED:
                self.advance(left)
            case _Verdict.HOPELESS:
                heapq.heappop(self._heads[self._turns[0][4]])
                self._next_turn()
            case _:
                return False
        return True

    def _place(self, standing: Standing, offered: int) -> tuple[int, _Verdict]:
        floor, demand = self._floor, standing.demand
        fits = [one for one in self._environments if allows(one, demand.cpus)] if floor.host.holds(demand) else []
        consumable, allowed = floor.consumable(standing), self._allowed(demand.cpus)
        strict = bool(standing.consumables) or (self._policy is not None and self._policy.reservation > 0)
        count, want = 0, min(offered, consumable, allowed)
        for environment in fits:
            if not floor.full and environment.name not in floor.kept and want > count:
                count += floor.place(standing, environment, want - count, strict=strict)
        if count == offered:
            return count, _Verdict.SERVED
        if not fits or count == consumable:
            return count, _Verdict.HOPELESS
        if floor.limit(standing, strict=strict) < 1:
            if standing.max_concurrent is None or standing.max_concurrent > floor.host.slots(demand):
                self._note_short(fits, standing)
            return count, _Verdict.PASSED
        if count == allowed:
            return count, _Verdict.RESERVED
        self._keep_room(fits, standing)
        return count, _Verdict.BLOCKED

    def _allowed(self, cpus: int) -> int:
        """How many more such children the policy's compute reservation leaves room for."""
        if self._policy is None or not self._policy.reservation:
            return _ALL
        taken = sum(amount for (queue, _), amount in self._floor.shares.items() if queue == self._queue.name)
        most = usable(self._policy, self._active, queue_capacity(self._queue, self._floor.catalog, self._floor.host))
        return max(0 if taken else 1, (most - taken) // max(cpus, 1), 0)

    def _keep_room(self, fits: list[ComputeEnvironment], standing: Standing) -> None:
        floor, cpus = self._floor, standing.demand.cpus
        roomy = [one for one in fits if one.name not in floor.kept and ((left := floor.cap_left(one)) is None or left >= cpus)]
        if not roomy:
            floor.kept |= {one.name for one in fits}
            return
        floor.full = True
        self._note_short(roomy, standing)

    def _note_short(self, environments: list[ComputeEnvironment], standing: Standing) -> None:
        if any(one.max_cpus is not None and self._floor.used(one) + standing.demand.cpus <= one.max_cpus for one in environments):
            self._floor.short.setdefault(self._queue.name, standing.key)

    def _first(self) -> tuple[int, Instant, int, int, Standing, int]:
        return self._heads[self._turns[0][4]][0]

    def _bring_up(self, number: int) -> None:
        standing = next((one for one in self._rest[number] if one.runnable), None)
        if standing is not None:
            self._line_up(number, standing, standing.runnable)

    def _line_up(self, number: int, standing: Standing, left: int) -> None:
        head = (-standing.priority, standing.created_at, standing.serial, number, standing, left)
        heapq.heappush(self._heads.setdefault(standing.share, []), head)

    def _next_turn(self) -> None:
        share = heapq.heappop(self._turns)[4]
        if self._heads[share]:
            self._queue_up(share)

    def _queue_up(self, share: str) -> None:
        behind = 0.0
        if self._scale is not None:
            owner = (self._queue.name, share)
            behind = self._scale.behind(share, self._usage.used_s.get(owner, 0.0), self._floor.shares.get(owner, 0) / 1000)
        heapq.heappush(self._turns, (behind, *self._heads[share][0][:3], share))
