"""The provider `local`: attempts run on this machine, under a runner that outlives the engine."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spawn.domain.arrays import ArrayJob
from spawn.domain.errors import ProviderUnavailable
from spawn.domain.hindrances import Hindrance
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import ComputeEnvironment
from spawn.domain.scheduling import Capacity
from spawn.engine.news import News
from spawn.engine.ports import Clock
from spawn.providers.local.connection import RunnerConnection, RunnerHungUp, connect, start_runner
from spawn.providers.local.elder import Elder
from spawn.providers.local.files import LocalFiles
from spawn.providers.local.journal import JournalReader
from spawn.providers.local.spec import spec_of

START_WITHIN_S = 10.0

_log = logging.getLogger(__name__)


class LocalProvider:
    """Runs attempts on this machine. Every call but `connect` only sends a line; what happened is read from the journal."""

    name = "local"

    def __init__(self, *, runner_directory: Path, files: LocalFiles, capacity: Capacity, clock: Clock) -> None:
        self._directory = runner_directory
        self.files = files
        self._capacity = capacity
        self._clock = clock
        self._journal = JournalReader(runner_directory / "journal")
        self._connection: RunnerConnection | None = None
        self._elder: Elder | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._described: set[ArrayKey] = set()
        self._sweeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sweeper")

    # --- the runner ---------------------------------------------------------------------------------------------------

    def connect(self, wake: Callable[[], None]) -> bool:
        """See that a runner is there, starting one if need be; True when it is new to this engine. Raises ProviderUnavailable.

        A runner of an earlier version is taken as it is, and replaced once it has nothing left to run.
        """
        former = self._connection
        if former is not None and former.alive and (self._elder is None or not self._elder.is_idle):
            return False
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            if former is not None:
                if former.alive:
                    _log.info("the runner of version %s has nothing left to run: it is replaced", former.welcome["version"])
                    former.kill_runner()
                former.close()
            self._described.clear()
            former = self._connection = self._greet(deadline, wake)
            self._elder = Elder(former.welcome) if former.is_elder else None
            if self._elder is None or not self._elder.is_idle:
                break
        if self._elder is not None:
            _log.warning("%s", self._elder)
        return True

    def _greet(self, deadline: float, wake: Callable[[], None]) -> RunnerConnection:
        hello: dict[str, object] = {"cpus": self._capacity.cpus, "memory": self._capacity.memory}
        while True:
            try:
                return RunnerConnection(self._reach(deadline), hello=hello, wake=wake)
            except RunnerHungUp:
                # one that was killed while it made a process still takes a connection for a moment
                if time.monotonic() > deadline:
                    raise

    def _reach(self, deadline: float) -> socket.socket:
        path = self._directory / "runner.sock"
        while True:
            sock = connect(path)
            if sock is not None:
                return sock
            if self._process is None or self._process.poll() is not None:
                self._process = start_runner(self._directory)
            if time.monotonic() > deadline:
                raise ProviderUnavailable(f"the runner does not answer at {path}: see {self._directory / 'runner.log'}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)

    @property
    def runner_pid(self) -> int | None:
        """The process id of the runner, None when none is connected."""
        connection = self._connection
        return int(connection.welcome["pid"]) if connection is not None and connection.alive else None

    def close(self, *, terminate: bool, grace_s: float) -> None:
        """Hang up; with `terminate` have the runner stop everything and end, and wait until it has."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if terminate:
            with contextlib.suppress(ProviderUnavailable):
                connection.send({"op": "shutdown", "grace_s": grace_s})
                connection.join(grace_s + START_WITHIN_S)
        connection.close()
        if terminate and self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(START_WITHIN_S)
        self._sweeper.shutdown()

    # --- what it is and tells -----------------------------------------------------------------------------------------

    def capacity(self) -> Capacity:
        """The vCPUs and memory of this machine."""
        return self._capacity

    def features(self) -> Mapping[str, str | None]:
        """Whether a private /tmp and a memory limit can be had here; None: yes."""
        connection = self._connection
        if connection is None:
            return {"private_tmp": "the runner is not there", "memory_limit": "the runner is not there"}
        features: dict[str, str | None] = connection.welcome["features"]
        return features

    def holds_back(self) -> str | None:
        """Why nothing new is to be started for now: a runner of an earlier version, which would not understand it, has not finished."""
        return str(self._elder) if self._elder is not None and not self._elder.is_idle else None

    def news(self, place: str | None) -> News:
        """What the journal says after a place."""
        news = self._journal.read(place, now=self._clock.now())
        if self._elder is not None:
            self._elder.note(news.events)
        return news

    def acknowledge(self, place: str) -> None:
        """Let the runner delete what the store has."""
        _, segment, offset = place.rsplit(" ", 2)
        self._send({"op": "ack", "segment": int(segment), "offset": int(offset)})

    # --- what it is told ----------------------------------------------------------------------------------------------

    def start(self, array: ArrayJob, attempts: Sequence[tuple[int, int]], environment: ComputeEnvironment) -> None:
        """Queue attempts at the runner, in this order, as placed in a compute environment; it passes over those it has seen.

        A runner of an earlier version is told nothing: what it has not begun is handed to its successor.
        """
        if self._elder is not None:
            return
        job = array.job
        if job.key not in self._described:
            limited = self.features()["memory_limit"] is None
            spec = spec_of(
                job, directory=self.files.directory(job), runner_directory=self._directory, max_concurrent=array.max_concurrent, memory_limit=limited
            )
            self._send({"op": "array", "key": job.key, "spec": spec})
            self._described.add(job.key)
        index_at = job.index_at
        children = [(position, index_at(position), attempt) for position, attempt in attempts]
        self._send({"op": "start", "key": job.key, "compute_environment": environment.name, "runtime": environment.runtime, "children": children})

    def stop(self, attempts: Collection[AttemptId], *, grace_s: float) -> None:
        """Stop what runs, drop what waits."""
        self._send({"op": "stop", "attempts": [str(attempt) for attempt in attempts], "why": "stopped", "grace_s": grace_s})

    def drop(self, attempts: Collection[AttemptId]) -> None:
        """Call back what still waits at the runner."""
        self._send({"op": "drop", "attempts": [str(attempt) for attempt in attempts]})

    def release(self, job: Job, attempts: Collection[tuple[int, int]], *, keep_files: bool) -> None:
        """End kept instances: what still runs in them, and their private /tmp."""
        named = [(str(AttemptId(job.key, position, attempt)), job.index_at(position)) for position, attempt in attempts]
        directory = str(self.files.directory(job))
        self._send({"op": "release", "key": job.key, "directory": directory, "attempts": named, "keep_files": keep_files})

    def extend(self, attempts: Collection[AttemptId], ends_at: Instant) -> None:
        """Move the end of instances whose attempts are under way."""
        self._send({"op": "deadline", "attempts": [str(attempt) for attempt in attempts], "at": ends_at / 1000})

    def limit(self, key: ArrayKey, max_concurrent: int | None) -> None:
        """Cap an array from now on."""
        self._send({"op": "limit", "key": key, "max_concurrent": max_concurrent})

    def forget(self, key: ArrayKey) -> None:
        """Let the runner drop an array's description."""
        self._described.discard(key)
        self._send({"op": "forget", "key": key})

    def _send(self, message: dict[str, object]) -> None:
        if self._connection is not None:
            self._connection.send(message)

    # --- files --------------------------------------------------------------------------------------------------------

    def directory(self, job: Job) -> str:
        """Where the files of a job are."""
        return str(self.files.directory(job))

    def owns(self, directory: str) -> bool:
        """Whether a directory is below that of all arrays."""
        return Path(directory).is_relative_to(self.files.arrays)

    def why(self, key: ArrayKey) -> Mapping[Hindrance, int]:  # noqa: ARG002
        """What was handed over begins as soon as a slot is free."""
        return {}

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Delete a forgotten array's files in the background."""

        def delete() -> None:
            shutil.rmtree(directory, ignore_errors=True)
            if not os.path.lexists(directory):
                done(directory)

        self._sweeper.submit(delete)
