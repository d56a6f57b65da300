"""What the engine does when nothing can be written: it records nothing, starts nothing, says so, and goes on when it can."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from spawn.domain.errors import StoreUnavailable
from spawn.domain.states import Status
from spawn.engine import commands
from spawn.engine.loop import RETRY_STORE_S, Engine
from spawn.engine.news import Ended, EndKind, Started, Usage
from spawn.engine.submission import Submission
from spawn.store.memory import MemoryStore
from spawn.testing.clock import ManualClock
from spawn.testing.provider import ScriptedProvider

WORK = Submission(command=("true",), indexes="3")


class Bench:
    """An engine on a store that can be broken."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.provider = ScriptedProvider()
        self.clock = ManualClock()
        self.engine = Engine(store=self.store, provider=self.provider, clock=self.clock)
        self.engine.turn()

    def ask(self, command: Any) -> Any:
        """Have a command run in the next turn."""
        result: list[Any] = []

        def call() -> None:
            try:
                result.append(self.engine.call(command))
            except Exception as error:
                result.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        while thread.is_alive():
            self.engine.turn()
            thread.join(0.001)
        return result[0]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_submission_that_cannot_be_written_is_refused_and_forgotten(bench: Bench) -> None:
    bench.store.broken = "no space left"
    answer = bench.ask(lambda state: commands.submit(state, WORK, ()))
    assert isinstance(answer, StoreUnavailable)
    assert "no space left" in str(answer)
    bench.store.broken = None
    bench.engine.turn()
    assert bench.store.counts() == (0, 0)
    assert bench.provider.started == []


def test_nothing_is_started_that_was_not_written_down(bench: Bench) -> None:
    bench.ask(lambda state: commands.submit(state, WORK, ()))
    bench.engine.turn()
    started = list(bench.provider.started)
    bench.store.broken = "no space left"
    bench.provider.tell(Ended(started[0], bench.clock.now(), EndKind(0, None, None), Usage()))
    assert bench.engine.turn() == RETRY_STORE_S
    assert bench.provider.started == started
    assert bench.engine.trouble == "no space left"
    bench.store.broken = None
    bench.engine.turn()
    assert bench.engine.trouble is None


def test_news_that_could_not_be_written_is_taken_again(bench: Bench) -> None:
    job = bench.ask(lambda state: commands.submit(state, WORK, ())).job.id
    bench.engine.turn()
    bench.store.broken = "no space left"
    for attempt in bench.provider.started:
        bench.provider.tell(Started(attempt, bench.clock.now()), Ended(attempt, bench.clock.now(), EndKind(0, None, None), Usage()))
    bench.engine.turn()
    bench.store.broken = None
    bench.engine.turn()
    array = bench.store.array(job)
    assert array is not None
    assert array.count(Status.SUCCEEDED) == 2
    assert len(bench.provider.started) == len(set(bench.provider.started))
