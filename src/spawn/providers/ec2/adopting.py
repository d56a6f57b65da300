"""Taking over an array that was launched elsewhere, from its bucket and from what EC2 still runs of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from spawn.domain.children import ChildRecord, UnderWay
from spawn.domain.errors import NotFound
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.instances import OnComplete, deadline
from spawn.domain.instants import Instant, from_seconds, later
from spawn.domain.jobs import Job
from spawn.domain.outcomes import Outcome, OutcomeKind
from spawn.domain.queues import EC2_PLACE
from spawn.domain.states import InstanceState, Status
from spawn.engine.attempts import outcome_of
from spawn.engine.fleets import Found
from spawn.engine.news import Ended, EndKind, Usage
from spawn.engine.records import AttemptRecord
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.launches import Launches
from spawn.providers.ec2.orders import Afoot
from spawn.providers.ec2.seen import Seen, array_instances
from spawn.providers.ec2.storage import bucket_name, bucket_region
from spawn.providers.ec2.surveying import Ending, Heard, Survey, Traces, read_job, survey

_SLACK: Final = timedelta(minutes=10)
"""An instance that EC2 cannot be asked about counts as gone so long after the end that its agent confirmed."""

_ALIVE: Final = frozenset({InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.STOPPED})
_UNREADABLE: Final = "its record in the bucket could not be read"
_GONE: Final = "its instance was gone, and had left no record, when the array was adopted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An array as it was found, and what a provider has to follow of it from now on."""

    found: Found
    under_way: Mapping[AttemptId, str | None]  #: the instance of each; None: any of those that take from the array's queue
    instances: tuple[Seen, ...]
    ended: tuple[str, ...]  #: instances of which EC2 was asked and that do not live
    heard: Mapping[str, Heard]

    @property
    def afoot(self) -> Afoot:
        """What a provider follows from now on: instances that have not ended, and what has begun or waits for one of them."""
        attempts = tuple((attempt.position, attempt.attempt, instance) for attempt, instance in self.under_way.items())
        instances = tuple((seen.id, seen.region, seen.launched_at) for seen in self.instances if seen.state is not InstanceState.TERMINATED)
        return Afoot(job=self.found.job, max_concurrent=self.found.max_concurrent, attempts=attempts, instances=instances, ended=self.ended)


def read_array(clients: Clients, array: JobId, *, bucket: str | None, at: Instant) -> Taken:
    """Read an array from its bucket (None: the account's own in the region of the settings) and ask EC2 what still runs of it.

    Nothing is written. NotFound when the bucket has no such array. Without permission to ask EC2 an instance counts as running until the end that its
    agent confirmed: whoever follows it finds out.
    """
    where = bucket or bucket_name(clients.caller().account, clients.region)
    region = bucket_region(clients, where, clients.home_region())
    if region is None:
        raise NotFound(f"there is no bucket {where}, so the array '{array}' is not in it: name another one with --bucket, or its region with --region")
    s3 = clients.client("s3", region)
    read = read_job(s3, where, array)
    job = read.job
    before, asked_before = array_instances(clients, job)
    left = survey(s3, where, job)
    after, asked_after = array_instances(clients, job)
    # gone before the bucket was read: what has no record then never will; what ended since may have left one since
    return _Reading(left, after | before, asked_before and asked_after, Launches(clients, job), at).taken(read.max_concurrent)


class _Reading:
    """What becomes of each attempt, put together from what its instance left and what EC2 says."""

    def __init__(self, found: Survey, instances: Mapping[str, Seen], asked: bool, launches: Launches, at: Instant) -> None:
        self._survey = found
        self._job = found.job
        self._instances = instances
        self._asked = asked
        self._launches = launches
        self._at = at
        self._ended: list[AttemptRecord] = []
        self._under_way: dict[AttemptId, str | None] = {}
        self._children: dict[int, ChildRecord] = {}

    def taken(self, max_concurrent: int | None) -> Taken:
        """All of it, with the array's cap, which only its description tells."""
        for (index, attempt), traces in sorted(self._survey.attempts.items()):
            position = self._position_of(index)
            if position is not None:
                self._take(position, attempt, traces)
        for attempt_id, instance in self._handed_over():
            self._take_unclaimed(attempt_id, instance)
        found = Found(job=self._job, max_concurrent=max_concurrent, children=dict(sorted(self._children.items())), attempts=tuple(self._ended))
        instances = tuple(self._instances.values())
        return Taken(found=found, under_way=self._under_way, instances=instances, ended=tuple(self._gone()), heard=self._survey.heard)

    def _gone(self) -> list[str]:
        named = {attempt.instance_id for attempt in self._ended} | self._instances.keys()
        return sorted(one for one in named if one and self._state(one) is InstanceState.TERMINATED)

    def _position_of(self, index: int) -> int | None:
        indexes = self._job.indexes
        return (0 if index == 0 else None) if indexes is None else indexes.position_of(index)

    # --- attempts with traces -----------------------------------------------------------------------------------------

    def _take(self, position: int, attempt: int, traces: Traces) -> None:
        record = self._record(position, attempt, traces)
        if record is not None:
            self._ended.append(record)
            self._settle(record)
            return
        if traces.outcome is not None:  # dropped: its number is used up, and nothing else
            return
        first = traces.started or traces.claim
        instance = None if first is None else first.instance_id
        started_at = None if traces.started is None else from_seconds(traces.started.at)
        self._go_on(AttemptId(self._job.key, position, attempt), instance, started_at)

    def _record(self, position: int, attempt: int, traces: Traces) -> AttemptRecord | None:
        """The attempt as it ended; None while it is under way, or when it was dropped."""
        last = traces.outcome
        if last is not None:
            return None if last.end == "dropped" else self._of_outcome(position, attempt, last)
        first = traces.started or traces.claim
        instance = first.instance_id if first is not None else traces.completed.instance_id if traces.completed is not None else ""
        started_at = None if traces.started is None else from_seconds(traces.started.at)
        said = traces.completed
        if said is not None:
            outcome = Outcome.completed(said.status == "success", said.message)
            return self._ending(position, attempt, outcome, instance, started_at, from_seconds(said.at))
        if self._is_alive(instance) and not traces.unreadable:
            return None
        last_word = self._survey.heard.get(instance) or first
        stopped_at = self._at if last_word is None else from_seconds(last_word.at)
        lost = Outcome.lost(instance or AttemptId(self._job.key, position, attempt).instance_id, _UNREADABLE if traces.unreadable else _GONE)
        return self._ending(position, attempt, lost, instance, started_at, stopped_at)

    def _of_outcome(self, position: int, attempt: int, last: Ending) -> AttemptRecord:
        started_at = None if last.started_at is None else from_seconds(last.started_at)
        record = self._ending(
            position, attempt, _outcome(self._job, position, attempt, last), last.instance_id, started_at, from_seconds(last.ended_at), ttl=last.why == "ttl"
        )
        cpu_s = None if last.user is None or last.system is None else last.user + last.system
        return record._replace(cpu_s=cpu_s, max_rss_kib=last.maxrss)

    def _ending(
        self, position: int, attempt: int, outcome: Outcome, instance: str, started_at: Instant | None, stopped_at: Instant, *, ttl: bool = False
    ) -> AttemptRecord:
        state, ends_at = self._instance_now(instance, started_at, stopped_at, ttl=ttl or outcome.is_lost)
        return AttemptRecord(
            key=self._job.key,
            position=position,
            attempt=attempt,
            started_at=started_at,
            stopped_at=stopped_at,
            outcome=outcome,
            cpu_s=None,
            max_rss_kib=None,
            instance=state,
            instance_ends_at=ends_at,
            environment=EC2_PLACE,
            instance_id=instance or None,
        )

    def _instance_now(self, instance: str, started_at: Instant | None, stopped_at: Instant, *, ttl: bool) -> tuple[InstanceState, Instant | None]:
        """The state of the instance of an attempt that is over, and its end when it lives on."""
        assert self._job.fleet is not None
        state = self._state(instance)
        if state not in _ALIVE:
            return InstanceState.TERMINATED, None
        if ttl or self._job.lifetime.on_complete is OnComplete.TERMINATE:
            return (InstanceState.TERMINATED if self._job.fleet.options.shared else InstanceState.SHUTTING_DOWN), None
        heard = self._survey.heard.get(instance)
        confirmed = None if heard is None or heard.ends_at is None else from_seconds(heard.ends_at)
        return state, confirmed or deadline(self._job.lifetime, started_at or stopped_at, stopped_at)

    def _settle(self, record: AttemptRecord) -> None:
        was = self._children.get(record.position)
        losses = (was.losses if was is not None else 0) + (record.outcome.kind is OutcomeKind.INTERRUPTED)
        self._children[record.position] = ChildRecord(
            status=Status.SUCCEEDED if record.outcome.succeeded else Status.FAILED,
            attempt=record.attempt,
            round_start=losses,
            reason=None,
            started_at=record.started_at,
            stopped_at=record.stopped_at,
            ends_at=None,
            environment=EC2_PLACE,
            losses=losses,
            instance_id=record.instance_id,
        )

    # --- attempts under way -------------------------------------------------------------------------------------------

    def _handed_over(self) -> Iterator[tuple[AttemptId, str | None]]:
        """What instances that live were launched for; for those that take from a queue everything that has had no attempt."""
        pool = False
        for instance_id, seen in self._instances.items():
            if seen.state in _ALIVE:
                members, from_pool = self._launches.members(seen)
                pool |= from_pool
                for position, attempt in members:
                    yield AttemptId(self._job.key, position, attempt), instance_id
        if pool:
            for position in range(self._job.size):
                if position not in self._children:
                    yield AttemptId(self._job.key, position, 1), None

    def _take_unclaimed(self, attempt: AttemptId, instance: str | None) -> None:
        was = self._children.get(attempt.position)
        index = self._job.index_at(attempt.position)
        if (index, attempt.attempt) not in self._survey.attempts and (was is None or was.attempt < attempt.attempt):
            self._go_on(attempt, instance, None)

    def _go_on(self, attempt: AttemptId, instance: str | None, started_at: Instant | None) -> None:
        was = self._children.get(attempt.position)
        losses = was.losses if was is not None else 0
        self._under_way[attempt] = instance
        self._children[attempt.position] = ChildRecord(
            status=Status.STARTING if started_at is None else Status.RUNNING,
            attempt=attempt.attempt,
            round_start=losses,
            reason=None,
            started_at=started_at,
            stopped_at=None,
            ends_at=None,
            environment=EC2_PLACE,
            losses=losses,
            instance_id=instance,
        )

    # --- instances ----------------------------------------------------------------------------------------------------

    def _state(self, instance: str) -> InstanceState:
        """What EC2 says, and where it could not be asked, what the agent's confirmed end says."""
        if instance in self._instances:
            return self._instances[instance].state
        heard = self._survey.heard.get(instance)
        if self._asked or (heard is not None and heard.ends_at is not None and later(from_seconds(heard.ends_at), _SLACK) < self._at):
            return InstanceState.TERMINATED
        return InstanceState.RUNNING

    def _is_alive(self, instance: str) -> bool:
        return bool(instance) and self._state(instance) in _ALIVE | {InstanceState.SHUTTING_DOWN}


def _outcome(job: Job, position: int, attempt: int, last: Ending) -> Outcome:
    """How an attempt ended, in the domain's words, from its outcome.json."""
    if last.completed is not None:
        return Outcome.completed(last.completed.status == "success", last.completed.message, code=last.code, signal=last.signal)
    if last.end == "lost":
        return Outcome.lost(last.instance_id, last.reason)
    attempt_id, ended_at = AttemptId(job.key, position, attempt), from_seconds(last.ended_at)
    if last.end == "refused":
        return Outcome.refused(last.reason or "CannotStartContainerError: no reason was recorded")
    event = Ended(attempt_id, ended_at, EndKind(last.code, last.signal, last.why), Usage(), last.incomplete)
    return outcome_of(event, UnderWay(attempt, 0), last.instance_id, job)
