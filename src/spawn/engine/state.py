"""What the engine's thread owns between and during turns: the book, the provider's place, and what this turn writes and does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from spawn.domain.arrays import ArrayJob
from spawn.domain.book import JobBook
from spawn.domain.catalog import Catalog, Resource
from spawn.domain.control import cancel
from spawn.domain.ids import ArrayKey, AttemptId, JobId
from spawn.domain.instances import OnComplete
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.outcomes import Outcome
from spawn.domain.placement import CANCELED_BY_LIMIT
from spawn.domain.queues import EC2, INSUFFICIENT_CAPACITY, LOCAL, JobQueue
from spawn.domain.states import SETTLED, InstanceState, Status
from spawn.engine.attempts import outcome_of, record_of
from spawn.engine.news import AllLost, Dropped, Ended, InstanceChanged, Launched, Lost, ProviderEvent, Started
from spawn.engine.placement import Occupancy, Scheduler, Start
from spawn.engine.ports import Provider, Store
from spawn.engine.records import AttemptRecord, Batch, InstanceEnd, LateExit
from spawn.engine.resuming import hand_over_again

POWERED_OFF: Final = "Stopped with its instance (spawn stop)"
"""Status reason of an attempt that ended because its user stopped its instance."""


class EngineState:
    """Belongs to one thread. Made from the store alone: the first start and the start after a crash are the same."""

    def __init__(self, *, store: Store, providers: Mapping[str, Provider]) -> None:
        self.store = store
        self.providers = providers
        self.book = JobBook()
        self.now = Instant(0)
        self.batch = Batch.empty()
        self.catalog = Catalog()
        self.scheduler = Scheduler(self.book)
        self.starts: list[Start] = []
        self.acts: list[Callable[[], None]] = []
        self.powered_off: set[AttemptId] = set()  #: their instances were stopped by their user: how they end is no loss
        self._gone: deque[str] = deque()  #: directories deleted by other threads
        self._loaded = False
        self._acted: dict[str, bool] = {}  #: by provider, whether it knows all that it is to know
        self._places: dict[str, str] = {}
        self._next_end: Instant | None = None
        self._next_limit: Instant | None = None
        self._id_second, self._ids = 0.0, 0

    # --- a turn, step by step -----------------------------------------------------------------------------------------

    def begin(self, now: Instant) -> None:
        """Start a turn; the first one reads everything that has not settled from the store."""
        self.now = now
        self.batch = Batch.empty()
        self.starts = []
        if not self._loaded:
            self._load()
        while self._gone:
            self.store.forget_trash(self._gone.popleft())

    @property
    def provider(self) -> Provider:
        """The one of this machine."""
        return self.providers[LOCAL]

    def provider_of(self, job: Job) -> Provider:
        """Who makes the attempts of a job run."""
        return self.providers[LOCAL if job.fleet is None else EC2]

    def take_news(self) -> bool:
        """Apply what the providers tell; True when there is more than fits in one turn."""
        more = False
        for name, provider in self.providers.items():
            news = provider.news(self._places.get(name))
            for event in news.events:
                self._apply(event)
            if news.place is not None and news.place != self._places.get(name):
                self.batch.places[name] = news.place
            more |= news.more
        self._call_back_halted()
        return more

    def hand_over(self) -> None:
        """Move to STARTING what the provider is to run next; it hears of it after the commit. Cancel what was at the head of its queue for too long."""
        host = self.provider.capacity()
        free = {name: provider.capacity() for name, provider in self.providers.items() if provider.holds_back() is None}
        self.starts = self.scheduler.place(self.catalog, free, self.now)
        for resource in self.scheduler.used_up(self.starts, self.catalog):
            self.put(resource)
        late = self.scheduler.overdue(self.catalog, host, self.now)
        for array, position, reason in late:
            # what can never run is as misplaced in all its children; what only found no room may find some for the next one
            positions = [position] if reason == INSUFFICIENT_CAPACITY and array.job.is_array else None
            cancel(self.book, array, positions, reason=CANCELED_BY_LIMIT + reason, at=self.now, pending_waits=True)
        self._next_limit = self.now if late else self.scheduler.next_limit(self.catalog)

    def commit(self) -> None:
        """Write everything that this turn changed, as one."""
        batch = self.batch
        batch.arrays = self.book.unwritten()
        batch.uses = {owner: self.scheduler.uses.get(owner) for owner in self.scheduler.changed_uses}
        batch.heads = {queue: self.scheduler.heads.get(queue) for queue in self.scheduler.changed_heads}
        if not batch.is_empty():
            self.store.commit(batch)
        self.scheduler.written(self.catalog)
        self.book.written()
        self._places.update(batch.places)
        if batch.instances or batch.attempts or batch.removed:
            self._next_end = self.store.next_instance_end()

    def act(self, wake: Callable[[], None]) -> None:
        """Tell the providers what has been written down. What one of them does not take keeps the others from nothing; it is raised at the end."""
        refused: Exception | None = None
        for name, provider in self.providers.items():
            try:
                self._start(name, provider, wake)
            except Exception as error:
                refused = error
        while self.acts:  # what fails stays, and is done when the provider is back
            self.acts[0]()
            del self.acts[0]
        if refused is not None:
            raise refused
        for array in self.book.evict_settled():
            self.scheduler.forget(array)
            self.provider_of(array.job).forget(array.job.key)

    def _start(self, name: str, provider: Provider, wake: Callable[[], None]) -> None:
        again = provider.connect(wake) or not self._acted.get(name, False)
        self._acted[name] = False
        if again:
            hand_over_again([array for array in self.book.by_key.values() if self.provider_of(array.job) is provider], self.catalog, provider)
        else:
            for array, attempts, environment in self.starts:
                if self.provider_of(array.job) is provider:
                    provider.start(array, attempts, environment)
        if name in self.batch.places:
            provider.acknowledge(self.batch.places[name])
        self._acted[name] = True

    # --- news ---------------------------------------------------------------------------------------------------------

    def _apply(self, event: ProviderEvent) -> None:
        if isinstance(event, AllLost):
            self._lose_everything(event.at)
            return
        attempt = event.attempt
        if isinstance(event, InstanceChanged):
            self._instance_changed(event)
            return
        found = self.book.find(attempt)
        if found is None:
            if isinstance(event, Ended):
                code, signal, _ = event.how
                self.batch.late.append(LateExit(attempt, 128 + signal if code is None and signal is not None else code, signal, event.usage))
            return
        array, under_way = found
        if isinstance(event, Launched):
            self.book.launched(attempt, event.instance_id)
            return
        if isinstance(event, Started):
            self.book.started(attempt, event.at)
            return
        if isinstance(event, Dropped):
            self.book.dropped(attempt, event.at)
            self.scheduler.ended(array, event.at, None, self.catalog)
            return
        if attempt in self.powered_off:
            self.powered_off.discard(attempt)
            under_way = replace(under_way, stopping=POWERED_OFF)
        outcome = outcome_of(event, under_way, under_way.instance_id or attempt.instance_id, array.job)
        self._record_end(event, array, attempt, outcome)

    def _record_end(self, event: ProviderEvent, array: ArrayJob, attempt: AttemptId, outcome: Outcome) -> None:
        under_way = array.under_way[attempt.position]
        record = record_of(event, array, attempt.position, under_way, outcome, event.at)
        self.book.ended(attempt, outcome, event.at)
        record = self._settle_instance(array, attempt, record)
        self.batch.attempts.append(record)
        self.scheduler.ended(array, event.at, under_way.started_at, self.catalog)

    def _instance_changed(self, event: InstanceChanged) -> None:
        """Note what became of an instance after its attempt; while one is under way its status says it."""
        attempt = event.attempt
        if self.book.find(attempt) is not None:
            self.book.launched(attempt, event.instance_id)
            return
        self.batch.instances.append(InstanceEnd(attempt, event.state, None))

    def _settle_instance(self, array: ArrayJob, attempt: AttemptId, record: AttemptRecord) -> AttemptRecord:
        """Have the provider end what an array's instances would otherwise be kept for; another attempt gets an instance of its own."""
        again = array.status_of(attempt.position) not in SETTLED
        if array.job.lifetime.on_complete is OnComplete.TERMINATE and not again:
            return record
        if again:
            record = record._replace(instance=InstanceState.TERMINATED, instance_ends_at=None)
            # after `spored complete --status failure` the process may go on: two attempts of one index must not
            self.acts.append(partial(self.provider_of(array.job).stop, [attempt], grace_s=array.job.grace.total_seconds()))
        if record.instance is not InstanceState.RUNNING:
            self.release(array, [(attempt.position, attempt.attempt)], keep_files=record.instance is InstanceState.STOPPED)
        return record

    def _call_back_halted(self) -> None:
        while self.book.halted:
            array = self.book.halted.pop()
            waiting = [AttemptId(array.job.key, position, u.attempt) for position, u in array.under_way.items() if u.started_at is None]
            if waiting:
                self.acts.append(partial(self.provider_of(array.job).drop, waiting))

    def _lose_everything(self, at: Instant) -> None:
        for array in [array for array in self.book.by_key.values() if array.job.fleet is None]:
            for position, under_way in list(array.under_way.items()):
                attempt = AttemptId(array.job.key, position, under_way.attempt)
                self._record_end(Lost(attempt, at), array, attempt, Outcome.lost(attempt.instance_id))

    def is_idle(self) -> bool:
        """Whether nothing waits, nothing runs, nothing is kept, and nothing of this turn is still to be done."""
        if self._next_end is not None or self.acts or not all(array.settled and not array.under_way for array in self.book.by_key.values()):
            return False
        return not self.store.keeps_without_end()

    def usage(self) -> Occupancy:
        """What runs and waits at this moment, and what that takes."""
        return self.scheduler.occupancy(self.catalog)

    def consumption(self) -> Mapping[str, int]:
        """How much attempts under way have of each consumable resource that they will give back."""
        return self.scheduler.consumption(self.catalog)

    # --- instances ----------------------------------------------------------------------------------------------------

    def release(self, array: ArrayJob, attempts: Collection[tuple[int, int]], *, keep_files: bool) -> None:
        """Have the provider end these instances after the commit."""
        self.acts.append(partial(self.provider_of(array.job).release, array.job, list(attempts), keep_files=keep_files))

    def end_instances(self, array: ArrayJob, attempts: Iterable[tuple[int, int]]) -> None:
        """Terminate instances that outlived their attempts."""
        ending = list(attempts)
        key = array.job.key
        self.batch.instances += [InstanceEnd(AttemptId(key, position, attempt), InstanceState.TERMINATED, None) for position, attempt in ending]
        self.release(array, ending, keep_files=False)

    def end_due_instances(self) -> None:
        """Terminate the kept instances whose end has come."""
        if self._next_end is None or self._next_end > self.now:
            return
        due: dict[ArrayKey, list[tuple[int, int]]] = {}
        for kept in self.store.kept_instances(due=self.now):
            due.setdefault(kept.key, []).append((kept.position, kept.attempt))
        for key, attempts in due.items():
            array = self.book.by_key.get(key) or self.store.array_by_key(key)
            if array is not None:
                self.end_instances(array, attempts)

    def seconds_to_next_end(self, now: Instant, *, at_most: float) -> float:
        """How long until a kept instance ends, or a job has been at the head of its queue for too long; at most so many seconds."""
        ends = [end for end in (self._next_end, self._next_limit) if end is not None]
        return min([at_most, *(max(0.0, (end - now) / 1000) for end in ends)])

    # --- arrays -------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        self.catalog = self.store.catalog()
        arrays = self.store.active()
        for array in arrays:
            self.book.add(array)
        for array in arrays:
            self.adopt_dependencies(array.job)
        for array in arrays:
            if array.count(Status.SUBMITTED) or array.count(Status.PENDING):
                self.book.admit(array, statuses=self.whole_statuses(array, forgotten=Status.SUCCEEDED), at=self.now, resumed=_has_been_released(array))
        self.scheduler.load(self.store.share_uses(), self.store.heads(), self.catalog)
        self._places = self.store.places()
        self._next_end = self.store.next_instance_end()
        for directory in self.store.trash():
            self.discard(directory)
        self._loaded = True

    def put(self, resource: Resource) -> None:
        """Make a queue, compute environment, policy or consumable resource, or put it in the place of the one of its name."""
        self.catalog = self.catalog.with_(resource)
        self.batch.resources.append(resource)
        self.batch.resources_removed = [one for one in self.batch.resources_removed if not _same(one, resource)]

    def remove(self, resource: Resource) -> None:
        """Let a queue, compute environment, policy or consumable resource be gone."""
        self.catalog = self.catalog.without(resource)
        self.batch.resources_removed.append(resource)
        self.batch.resources = [one for one in self.batch.resources if not _same(one, resource)]
        if isinstance(resource, JobQueue):
            self.scheduler.forget_queue(resource.name)

    def ids_taken(self, second: float) -> int:
        """How many ids this engine has given out for jobs of this second, as far as it knows."""
        if self._id_second != second:
            self._id_second, self._ids = second, 0
        return self._ids

    def take_id(self) -> int:
        """Note that one more id of this second is taken; how many are now."""
        self._ids += 1
        return self._ids

    def adopt(self, job: JobId) -> ArrayJob | None:
        """The array of this id, read back into the book if it had settled; None when there is none."""
        array = self.book.by_id.get(job)
        if array is None:
            array = self.store.array(job)
            if array is not None:
                self.book.add(array)
        return array

    def adopt_dependencies(self, job: Job) -> None:
        """Bring into the book every array of which single children are waited for, but those that have succeeded as a whole."""
        wanted = {*job.waits.each, *(parent for parent, _ in job.waits.children)} - set(self.book.by_id)
        for parent, status in self.store.statuses(wanted).items():
            if status is not Status.SUCCEEDED:
                self.adopt(parent)

    def whole_statuses(self, array: ArrayJob, *, forgotten: Status) -> dict[JobId, Status]:
        """The statuses of the jobs waited for as wholes; one that has been forgotten counts as `forgotten`."""
        found = self.store.statuses(array.job.waits.whole)
        return {job: found.get(job, forgotten) for job in array.job.waits.whole}

    def discard(self, directory: str) -> None:
        """Have a forgotten array's files deleted after the commit, off this thread."""
        owner = next((one for one in self.providers.values() if one.owns(directory)), self.provider)
        self.acts.append(partial(owner.discard, directory, self._gone.append))


def _has_been_released(array: ArrayJob) -> bool:
    """Whether its children have been free to run before: a dependency that failed when it was run again does not hold it back."""
    return bool(array.failed_attempts or any(array.count(status) for status in (Status.RUNNABLE, Status.STARTING, Status.RUNNING, Status.SUCCEEDED)))


def _same(one: Resource, other: Resource) -> bool:
    return type(one) is type(other) and one.name == other.name
