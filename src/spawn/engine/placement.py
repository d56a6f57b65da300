"""From what waits to what is handed over: keeps the lines, what shares have used, and who has been at the head of a queue for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from spawn.domain.arrays import ArrayJob
from spawn.domain.book import JobBook
from spawn.domain.catalog import Catalog
from spawn.domain.consumables import ConsumableResource, Consumption
from spawn.domain.dispatching import Round, dispatch, in_order
from spawn.domain.fairshare import ShareUse, Usage, decay_of
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant, later
from spawn.domain.jobs import Job
from spawn.domain.placement import limited_reason, obstacle
from spawn.domain.policies import SchedulingPolicy
from spawn.domain.queues import INSUFFICIENT_CAPACITY, LOCAL, ComputeEnvironment, JobQueue, provider_of
from spawn.domain.scheduling import Capacity, Load, Standing
from spawn.domain.states import Status
from spawn.engine.lines import NOBODY, Lines, Owner, consumables_of, shares_in
from spawn.engine.records import Head

_SMOOTHING = 0.2

Start = tuple[ArrayJob, list[tuple[int, int]], ComputeEnvironment]
"""An array, (position, attempt) of what is to be started of it, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """Children that run and that wait for room, and what those that run take: thousandths of a vCPU and MiB."""

    running: int
    waiting: int
    cpus: int
    memory: int


class Waiting(NamedTuple):
    """A RUNNABLE child in its place at the front of a queue, and since when it can have been there."""

    job: Job
    position: int
    since: Instant


class Scheduler:
    """Belongs to the engine's thread. All that it must not forget is in `uses` and `heads`; `written` says that they are in the store."""

    def __init__(self, book: JobBook) -> None:
        self.uses: dict[Owner, ShareUse] = {}
        self.heads: dict[str, Head] = {}
        self.changed_uses: set[Owner] = set()
        self.changed_heads: set[str] = set()
        self._book = book
        self._lines = Lines()
        self._durations: dict[ArrayKey, float] = {}
        self._moved_at: dict[str, Instant] = {}
        self._short: Mapping[str, ArrayKey] = {}
        self._standings: dict[ArrayKey, Standing] = {}  #: of arrays that have not changed since

    # --- what it is told ----------------------------------------------------------------------------------------------

    def load(self, uses: Mapping[Owner, tuple[float, Instant]], heads: Mapping[str, Head], catalog: Catalog) -> None:
        """Go on from what the store has: what shares had used, and what of theirs is under way."""
        self._catch_up(catalog)
        rates = self._rates(catalog)
        self.uses = {owner: ShareUse(amount=amount, at=at, rate=rates[owner]) for owner, (amount, at) in uses.items()}
        self.heads = dict(heads)

    def ended(self, array: ArrayJob, at: Instant, started_at: Instant | None, catalog: Catalog) -> None:
        """An attempt of an array is under way no more."""
        self._charge(array, -1, at, catalog)
        if started_at is not None:
            key, seconds = array.job.key, (at - started_at) / 1000
            before = self._durations.get(key)
            self._durations[key] = seconds if before is None else before + _SMOOTHING * (seconds - before)

    def forget(self, array: ArrayJob) -> None:
        """An array has settled and nobody waits for it."""
        self._durations.pop(array.job.key, None)
        self._standings.pop(array.job.key, None)
        self._lines.forget(array.job.key)

    def forget_queue(self, name: str) -> None:
        """A queue is gone, and what its shares have used with it."""
        self._forget_uses([owner for owner in self.uses if owner[0] == name])
        self._moved_at.pop(name, None)

    def written(self, catalog: Catalog) -> None:
        """What has changed is in the store; to be said before the book forgets what that was."""
        self._catch_up(catalog)
        self.changed_uses.clear()
        self.changed_heads.clear()

    # --- a round ------------------------------------------------------------------------------------------------------

    def place(self, catalog: Catalog, hosts: Mapping[str, Capacity], now: Instant) -> list[Start]:
        """Move to STARTING what is to be handed over now to the providers that take something, each of this capacity."""
        self._catch_up(catalog)
        self._short = {}
        starts: list[Start] = []
        for provider, host in hosts.items():
            if self._lines:
                starts += self._place_at(provider, host, catalog, now)
        return starts

    def _place_at(self, provider: str, host: Capacity, catalog: Catalog, now: Instant) -> list[Start]:
        waiting = [line for line in self._lines.waiting(self._standing(catalog)) if provider_of(line.queue) == provider]
        if not waiting:
            return []
        done: Round = dispatch(waiting, self._busy(catalog, provider), host, catalog, self._usage(catalog, now))
        self._short = {**self._short, **done.short}
        starts: list[Start] = []
        for placement in done.placements:
            array = self._book.by_key[placement.key]
            attempts = self._book.claim(array, placement.count, placement.environment)
            starts.append((array, attempts, catalog.environments[placement.environment]))
            self._charge(array, len(attempts), now, catalog)
            self._moved_at[array.job.queue] = now
        return starts

    def used_up(self, starts: Iterable[Start], catalog: Catalog) -> list[ConsumableResource]:
        """The resources that do not come back, with what these have taken of them."""
        taken: Counter[str] = Counter()
        for array, attempts, _ in starts:
            for name, quantity in consumables_of(array.job).items():
                taken[name] += quantity * len(attempts)
        resources = ((catalog.consumables[name], count) for name, count in taken.items() if count and name in catalog.consumables)
        return [replace(one, used=one.used + count) for one, count in resources if one.consumption is Consumption.NON_REPLENISHABLE]

    def _charge(self, array: ArrayJob, children: int, at: Instant, catalog: Catalog) -> None:
        if not children or not shares_in(catalog, array.job.queue):
            return
        owner, change = self._lines.owner(array, catalog), children * array.job.demand.cpus
        decay = decay_of(_policy(catalog, owner[0]))
        if owner not in self.uses:
            if children < 0:
                return  # it outlived its queue, and another one of the name has not begun anything of this share
            self._forget_uses([other for other, use in self.uses.items() if other[0] == owner[0] and use.is_over(at, decay)])
            self._catch_up(catalog)
            self.uses[owner] = ShareUse(amount=0.0, at=at, rate=self._rates(catalog)[owner] - change)
        self.uses[owner] = self.uses[owner].changed(change, at, decay)
        self.changed_uses.add(owner)

    def _rates(self, catalog: Catalog) -> Counter[Owner]:
        """What each share has under way, that of a deleted queue of the name included: thousandths of a vCPU."""
        rates: Counter[Owner] = Counter()
        for array in self._lines.busy.values():
            rates[self._lines.owner(array, catalog)] += len(array.under_way) * array.job.demand.cpus
        return rates

    def _forget_uses(self, owners: list[Owner]) -> None:
        for owner in owners:
            del self.uses[owner]
        self.changed_uses.update(owners)

    # --- who is at the head, and for how long -------------------------------------------------------------------------

    def overdue(self, catalog: Catalog, host: Capacity, now: Instant) -> list[tuple[ArrayJob, int, str]]:
        """The heads of queues that have been RUNNABLE for longer than `jobStateTimeLimitActions` allows for their reason: array, position, reason."""
        late = []
        for name in [*self.heads]:
            if name not in catalog.queues or not catalog.queues[name].limits:
                self._put_head(name, None)
        for queue in catalog.queues.values():
            if not queue.limits:
                continue
            head = self._head(queue, catalog, host, now)
            self._put_head(queue.name, head)
            if head is not None and any(limit.reason == head.reason and later(head.since, limit.limit) <= now for limit in queue.limits):
                late.append((self._book.by_key[head.key], head.position, head.reason))
        return late

    def next_limit(self, catalog: Catalog) -> Instant | None:
        """When the next head of a queue will have been there for too long."""
        ends = [
            later(head.since, limit.limit)
            for name, head in self.heads.items()
            if name in catalog.queues
            for limit in catalog.queues[name].limits
            if limit.reason == head.reason
        ]
        return min(ends, default=None)

    def _head(self, queue: JobQueue, catalog: Catalog, host: Capacity, now: Instant) -> Head | None:
        self._catch_up(catalog)
        first = next(self._order(queue, catalog, now), None)
        if first is None:
            return None
        array = self._book.by_key[first]
        reason = limited_reason(obstacle(array.job, catalog, host))
        if reason is None and queue.name in self._short and self._short[queue.name] in self._book.by_key:
            array, reason = self._book.by_key[self._short[queue.name]], INSUFFICIENT_CAPACITY
        position = next(array.positions(Status.RUNNABLE), None)
        if reason is None or position is None:
            return None
        before = self.heads.get(queue.name)
        same = before is not None and (before.key, before.position, before.reason) == (array.job.key, position, reason)
        return before if same else Head(array.job.key, position, reason, now)

    def _put_head(self, queue: str, head: Head | None) -> None:
        if self.heads.get(queue) == head:
            return
        self.changed_heads.add(queue)
        if head is None:
            del self.heads[queue]
        else:
            self.heads[queue] = head

    # --- looking ------------------------------------------------------------------------------------------------------

    def front(self, queue: JobQueue, catalog: Catalog, now: Instant, most: int) -> list[Waiting]:
        """The first RUNNABLE children of a queue, in the order in which they would be dispatched."""
        self._catch_up(catalog)
        moved_at = self._moved_at.get(queue.name, Instant(0))
        positions: dict[ArrayKey, Iterator[int]] = {}
        found: list[Waiting] = []
        for key in self._order(queue, catalog, now):
            array = self._book.by_key[key]
            position = next(positions.setdefault(key, array.positions(Status.RUNNABLE)))
            found.append(Waiting(array.job, position, max(array.job.created_at, array.base_at or Instant(0), moved_at)))
            if len(found) == most:
                break
        return found

    def live_shares(self, queue: str) -> Iterator[str]:
        """The share identifiers of a queue's jobs that have not settled, some more than once; what settled in this turn may be among them."""
        yield from self._lines.live_shares(queue) - {NOBODY}
        for array in self._book.touched.values():
            job = array.job
            if job.queue == queue and not array.settled and job.batch is not None and job.batch.share is not None:
                yield job.batch.share

    def load_of(self, catalog: Catalog, host: Capacity) -> Load:
        """What everything under way on this machine takes."""
        self._catch_up(catalog)
        return Load.of(self._busy(catalog, LOCAL), host)

    def consumption(self, catalog: Catalog) -> Mapping[str, int]:
        """How much attempts under way have of each consumable resource that they will give back."""
        taken = self.load_of(catalog, Capacity(cpus=0, memory=0)).taken
        resources = catalog.consumables
        return {name: count for name, count in taken.items() if name in resources and resources[name].consumption is Consumption.REPLENISHABLE}

    def occupancy(self, catalog: Catalog) -> Occupancy:
        """What runs and waits on this machine at this moment, and what that takes."""
        self._catch_up(catalog)
        busy = self._busy(catalog, LOCAL)
        return Occupancy(
            running=sum(s.running for s in busy),
            waiting=self._lines.count_waiting() + sum(s.starting for s in busy),
            cpus=sum(s.running * s.demand.cpus for s in busy),
            memory=sum(s.running * s.demand.memory for s in busy),
        )

    def _order(self, queue: JobQueue, catalog: Catalog, now: Instant) -> Iterator[ArrayKey]:
        lines = self._lines.waiting(self._standing(catalog), queue.name)
        load = Load.of(self._busy(catalog), Capacity(cpus=0, memory=0))
        return in_order(lines, queue, catalog, self._usage(catalog, now), load)

    def _catch_up(self, catalog: Catalog) -> None:
        for key, array in self._book.touched.items():
            self._standings.pop(key, None)
            self._lines.note(array, catalog)

    def _busy(self, catalog: Catalog, provider: str | None = None) -> list[Standing]:
        """The arrays of which something is under way, at one provider or at all."""
        standing = self._standing(catalog)
        return [standing(array) for array in self._lines.busy.values() if provider is None or provider_of(array.job.queue) == provider]

    def _standing(self, catalog: Catalog) -> Callable[[ArrayJob], Standing]:
        known = self._standings

        def standing(array: ArrayJob) -> Standing:
            found = known.get(array.job.key)
            if found is None:
                found = known[array.job.key] = self._lines.standing(array, catalog, self._durations.get(array.job.key))
            return found

        return standing

    def _usage(self, catalog: Catalog, now: Instant) -> Usage:
        decays = {queue.name: decay_of(_policy(catalog, queue.name)) for queue in catalog.queues.values() if queue.policy is not None}
        recent: dict[str, set[str]] = {name: self._lines.live_shares(name) for name in decays}
        used: dict[Owner, float] = {}
        for owner, use in self.uses.items():
            decay = decays.get(owner[0])
            if decay is not None:
                used[owner] = use.over_time(now, decay)
                if use.is_recent(now, decay):
                    recent[owner[0]].add(owner[1])
        return Usage(used_s=used, active={name: frozenset(shares) for name, shares in recent.items()})


def _policy(catalog: Catalog, queue: str) -> SchedulingPolicy:
    name = catalog.queues[queue].policy or queue
    return catalog.policies.get(name) or SchedulingPolicy(name=name)
