"""A provider that does what a script says, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from spawn.domain.arrays import ArrayJob
from spawn.domain.hindrances import Hindrance
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import ComputeEnvironment
from spawn.domain.scheduling import Capacity
from spawn.engine.news import News, ProviderEvent


@dataclass(slots=True)
class ScriptedProvider:
    """Nothing runs: tests `tell` what happened. Keeps the one promise that matters: an attempt id starts at most once."""

    slots: int = 2
    name: str = "scripted"
    started: list[AttemptId] = field(default_factory=list)
    placed: dict[AttemptId, str] = field(default_factory=dict)
    stopped: list[AttemptId] = field(default_factory=list)
    dropped: list[AttemptId] = field(default_factory=list)
    released: list[tuple[str, int, int]] = field(default_factory=list)
    extended: list[tuple[AttemptId, Instant]] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    known: set[AttemptId] = field(default_factory=set)
    journal: list[ProviderEvent] = field(default_factory=list)
    away: bool = True
    held_back: str | None = None

    def tell(self, *events: ProviderEvent) -> None:
        """Write down that this happened."""
        self.journal += events

    def connect(self, wake: Callable[[], None]) -> bool:
        """True the first time, and after `away` was set."""
        was_away, self.away = self.away, False
        return was_away

    def holds_back(self) -> str | None:
        """What the test says."""
        return self.held_back

    def capacity(self) -> Capacity:
        """One vCPU a slot."""
        return Capacity(cpus=self.slots * 1000, memory=self.slots * 1024)

    def features(self) -> Mapping[str, str | None]:
        """Everything can be had."""
        return {"private_tmp": None, "memory_limit": None}

    def news(self, place: str | None) -> News:
        """What was told after a place."""
        begin = int(place or 0)
        return News(self.journal[begin:], str(len(self.journal)), False)

    def acknowledge(self, place: str) -> None:
        """Nothing to delete."""

    def start(self, array: ArrayJob, attempts: Sequence[tuple[int, int]], environment: ComputeEnvironment) -> None:
        """Remember those that were not given before."""
        for position, number in attempts:
            attempt = AttemptId(array.job.key, position, number)
            if attempt not in self.known:
                self.known.add(attempt)
                self.started.append(attempt)
                self.placed[attempt] = environment.name

    def stop(self, attempts: Collection[AttemptId], *, grace_s: float) -> None:
        """Remember; the test says what comes of it."""
        self.stopped += attempts

    def drop(self, attempts: Collection[AttemptId]) -> None:
        """Remember; the test says which of them had begun."""
        self.dropped += attempts

    def release(self, job: Job, attempts: Collection[tuple[int, int]], *, keep_files: bool) -> None:
        """Remember."""
        self.released += [(job.id, position, attempt) for position, attempt in attempts]

    def extend(self, attempts: Collection[AttemptId], ends_at: Instant) -> None:
        """Remember."""
        self.extended += [(attempt, ends_at) for attempt in attempts]

    def limit(self, key: ArrayKey, max_concurrent: int | None) -> None:
        """Nothing runs, so nothing is capped."""

    def forget(self, key: ArrayKey) -> None:
        """Nothing was described."""

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Nothing is there to delete."""
        self.discarded.append(directory)
        done(directory)

    def directory(self, job: Job) -> str:
        """A directory that does not exist."""
        return f"/nowhere/{job.id}"

    def owns(self, directory: str) -> bool:
        """Whether `directory` made it up."""
        return directory.startswith("/nowhere/")

    def why(self, key: ArrayKey) -> Mapping[Hindrance, int]:
        """Nothing keeps anything from beginning."""
        return {}

    def close(self, *, terminate: bool, grace_s: float) -> None:
        """Nothing to let go of."""
