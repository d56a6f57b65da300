"""An engine in a test's own hands: turned by the test, on a real store, with a provider that does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from spawn.domain.fleets import Fleet
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.states import Status
from spawn.engine import commands
from spawn.engine.loop import Engine
from spawn.engine.news import Dropped, Ended, EndKind, Lost, Started, Usage
from spawn.engine.submission import Submission, dependencies_of
from spawn.store.sqlite import SqliteStore
from spawn.testing.clock import ManualClock
from spawn.testing.provider import ScriptedProvider

T = TypeVar("T")


class Driven:
    """Submits, plays the provider and turns the loop, all in one thread."""

    def __init__(self, directory: Path, *, slots: int = 2) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.provider = ScriptedProvider(slots=slots)
        self.cloud = ScriptedProvider(slots=1_000_000, name="ec2")
        self.store = SqliteStore(directory / "store.db")
        self.engine = Engine(store=self.store, provider=self.provider, clock=self.clock, elsewhere={"ec2": self.cloud})
        self.engine.turn()

    def restart(self) -> None:
        """What a crash and a new engine do: memory is gone, the store and the provider are not."""
        self.store.close()
        self.store = SqliteStore(self.directory / "store.db")
        self.provider.away = self.cloud.away = True
        self.engine = Engine(store=self.store, provider=self.provider, clock=self.clock, elsewhere={"ec2": self.cloud})
        self.engine.turn()

    def do(self, command: Any) -> Any:
        """Have a command run in a turn; what it raises is raised here."""
        return self.ask(lambda: self.engine.call(command))

    def ask(self, call: Callable[[], T]) -> T:
        """Make a call that needs the engine's thread."""
        answer: dict[str, Any] = {}

        def run() -> None:
            try:
                answer["value"] = call()
            except Exception as error:
                answer["error"] = error

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self.engine.turn()
            thread.join(0.001)
        if "error" in answer:
            raise answer["error"]
        value: T = answer["value"]
        return value

    def submit(self, *, fleet: Fleet | None = None, **asked: Any) -> JobId:
        """Submit a command (to EC2 with a fleet) and turn once, so that what can start has started."""
        if fleet is not None:
            asked["provider"] = "ec2"
        submission = Submission(**({"command": ("true",), "workdir": "/"} | asked))
        depends_on = dependencies_of(submission) + commands.in_sequence(submission)
        job: JobId = self.do(lambda state: commands.submit(state, submission, depends_on, fleet=fleet)).job.id
        self.engine.turn()
        return job

    def running(self) -> list[AttemptId]:
        """What was started and has not ended, in order."""
        over = {event.attempt for event in self.provider.journal if isinstance(event, Ended | Lost | Dropped)}
        return [attempt for attempt in self.provider.started if attempt not in over]

    def begin(self, attempt: AttemptId) -> None:
        """The provider says that it runs."""
        self.provider.tell(Started(attempt, self.clock.now()))
        self.engine.turn()

    def end(self, attempt: AttemptId, code: int | None = 0, *, signal: int | None = None, why: str | None = None) -> None:
        """The provider says that it ended."""
        self.provider.tell(Ended(attempt, self.clock.now(), EndKind(code, signal, why), Usage(0.5, 1024)))
        self.engine.turn()

    def finish(self, codes: dict[int, int] | None = None, *, most: int = 1000) -> None:
        """Let everything run to its end: exit code 0, or what `codes` says for a position."""
        for _ in range(most):
            running = self.running()
            if not running:
                return
            for attempt in running:
                self.begin(attempt)
                self.clock.advance(10)
                self.end(attempt, (codes or {}).get(attempt.position, 0))

    def statuses(self, job: JobId) -> list[Status]:
        """The status of each child, as the store has it."""
        array = self.store.array(job)
        assert array is not None
        return [array.status_of(position) for position in range(array.size)]

    def row(self, job: JobId) -> Any:
        """The job's row, as the store has it."""
        row = self.store.job(job)
        assert row is not None
        return row

    def attempts(self, job: JobId, position: int) -> list[Any]:
        """The attempts of a child that have ended, as the store has them."""
        return self.store.read("attempts_of", {"key": int(self.row(job).job.key, 16), "low": position, "high": position})

    def later(self, seconds: float) -> Instant:
        """Let time pass, and the engine notice."""
        self.clock.advance(seconds)
        self.engine.turn()
        return self.clock.now()
