"""Which arrays wait and which run, kept up to date from what changes: a turn must not look at every array there is."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from spawn.domain.arrays import ArrayJob
from spawn.domain.catalog import Catalog
from spawn.domain.dispatching import Line
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Demand, Job
from spawn.domain.scheduling import Standing
from spawn.domain.states import Status

NOBODY: Final = ""
"""The share of what is in a queue that is served first come, first served."""

Owner = tuple[str, str]
"""A queue, and the share in it."""

_Kind = tuple[str, str, Demand, tuple[tuple[str, int], ...]]
"""A line: a queue and share, and what each child in it takes, also of consumable resources."""

_Entry = tuple[int, Instant, int, ArrayJob]


class Lines:
    """Arrays with RUNNABLE children by queue and share, in the order of service, and arrays with attempts under way."""

    def __init__(self) -> None:
        self.busy: dict[ArrayKey, ArrayJob] = {}
        self._lines: dict[_Kind, list[_Entry]] = {}
        self._places: dict[ArrayKey, tuple[_Kind, _Entry]] = {}
        self._live: dict[str, dict[str, set[ArrayKey]]] = {}  #: what has not settled, by queue and share
        self._known: dict[ArrayKey, tuple[Owner, int]] = {}  #: whose each array is, and its number in the order in which they came
        self._serial = 0

    def __bool__(self) -> bool:
        """Whether anything is RUNNABLE."""
        return bool(self._places)

    def note(self, array: ArrayJob, catalog: Catalog) -> None:
        """Take over where an array stands now."""
        key, owner = array.job.key, self.owner(array, catalog)
        place = self._places.get(key)
        waits = array.count(Status.RUNNABLE) > 0
        if waits and place is None:
            self._insert(array, owner, catalog)
        elif place is not None and not waits:
            self._take_out(*place)
            del self._places[key]
        if array.under_way:
            self.busy[key] = array
        else:
            self.busy.pop(key, None)
        if not array.settled:
            self._live.setdefault(owner[0], {}).setdefault(owner[1], set()).add(key)
            return
        if not array.under_way:
            self._known.pop(key, None)
        self._bury(key, *owner)

    def _bury(self, key: ArrayKey, queue: str, share: str) -> None:
        shares = self._live.get(queue, {})
        keys = shares.get(share, set())
        keys.discard(key)
        if not keys:
            shares.pop(share, None)
        if not shares:
            self._live.pop(queue, None)

    def _insert(self, array: ArrayJob, owner: Owner, catalog: Catalog) -> None:
        job = array.job
        kind = (*owner, job.demand, tuple(sorted(consumables_of(job).items())))
        entry = (-priority_of(job, catalog), job.created_at, self.serial(array), array)
        insort(self._lines.setdefault(kind, []), entry, key=_order)
        self._places[job.key] = (kind, entry)

    def _take_out(self, kind: _Kind, entry: _Entry) -> None:
        line = self._lines[kind]
        del line[bisect_left(line, _order(entry), key=_order)]
        if not line:
            del self._lines[kind]

    def owner(self, array: ArrayJob, catalog: Catalog) -> Owner:
        """Whose an array is: it stays so while the array lives, whatever becomes of the queue."""
        known = self._known.get(array.job.key)
        if known is None:
            self._serial += 1
            known = self._known[array.job.key] = (_owner_of(array.job, catalog), self._serial)
        return known[0]

    def serial(self, array: ArrayJob) -> int:
        """The number of an array in the order in which they came."""
        return self._known[array.job.key][1]

    def standing(self, array: ArrayJob, catalog: Catalog, duration_s: float | None) -> Standing:
        """Where an array stands now, of which an attempt takes so long."""
        job = array.job
        queue, share = self.owner(array, catalog)
        return Standing(
            key=job.key,
            queue=queue,
            share=share,
            demand=job.demand,
            consumables=consumables_of(job),
            priority=priority_of(job, catalog),
            created_at=job.created_at,
            serial=self.serial(array),
            runnable=array.count(Status.RUNNABLE),
            starting=array.count(Status.STARTING),
            running=array.count(Status.RUNNING),
            placed=dict(array.placed),
            max_concurrent=array.max_concurrent,
            duration_s=duration_s,
        )

    def forget(self, key: ArrayKey) -> None:
        """An array is gone."""
        self._known.pop(key, None)

    def waiting(self, standing: Callable[[ArrayJob], Standing], queue: str | None = None) -> list[Line]:
        """Every line (of one queue), with the standings of its arrays made as they are looked at."""
        return [
            Line(queue=kind[0], share=kind[1], standings=_standings(line, standing)) for kind, line in self._lines.items() if queue is None or kind[0] == queue
        ]

    def live_shares(self, queue: str) -> set[str]:
        """The shares of a queue that have jobs which have not settled."""
        return set(self._live.get(queue, ()))

    def count_waiting(self) -> int:
        """How many children are RUNNABLE."""
        return sum(entry[3].count(Status.RUNNABLE) for line in self._lines.values() for entry in line)


def shares_in(catalog: Catalog, queue: str) -> bool:
    """Whether a queue is shared by a policy."""
    found = catalog.queues.get(queue)
    return found is not None and found.policy is not None


def priority_of(job: Job, catalog: Catalog) -> int:
    """The scheduling priority of a job, which counts within a share alone."""
    return job.batch.priority if job.batch is not None and shares_in(catalog, job.queue) else 0


def consumables_of(job: Job) -> Mapping[str, int]:
    """What each child takes of consumable resources."""
    return {} if job.batch is None else job.batch.consumables


def _owner_of(job: Job, catalog: Catalog) -> Owner:
    share = job.batch.share if job.batch is not None and shares_in(catalog, job.queue) else None
    return job.queue, share or NOBODY


def _order(entry: _Entry) -> tuple[int, Instant, int]:
    return entry[:3]


def _standings(line: list[_Entry], standing: Callable[[ArrayJob], Standing]) -> Iterator[Standing]:
    return (standing(entry[3]) for entry in line)
