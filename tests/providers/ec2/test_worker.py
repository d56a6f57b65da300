"""The thread of the provider, while AWS answers nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest

from spawn.domain.hindrances import Hindrance
from spawn.domain.instants import Instant
from spawn.engine.fleets import Unended
from spawn.providers.ec2.worker import Worker
from spawn.testing.clock import ManualClock
from tests.providers.ec2.labs import NOON


class Busy:
    """Orders that there always are."""

    ended = ""
    settled = False

    def has_work(self) -> bool:
        return True

    def last_event(self) -> int:
        return 0

    def end_all(self, why: str) -> None:
        self.ended = why

    def unended(self) -> Unended:
        return Unended(instances={} if self.settled else {"i-1": None})


class Hanging:
    """Work whose rounds end when the test says so."""

    def __init__(self) -> None:
        self.begun, self.answered = threading.Event(), threading.Event()
        self.reasons: Mapping[str, Counter[Hindrance]] = {}
        self.looks: list[bool] = []

    def step(self, now: Instant, *, look: bool = False) -> Instant | None:
        self.looks.append(look)
        self.begun.set()
        assert self.answered.wait(60.0)
        return None

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        raise AssertionError("nothing is to be discarded")

    def close(self) -> None:
        pass


@pytest.fixture
def work() -> Iterator[Hanging]:
    hanging = Hanging()
    yield hanging
    hanging.answered.set()


@pytest.fixture
def orders() -> Busy:
    return Busy()


@pytest.fixture
def worker(work: Hanging, orders: Busy) -> Worker:
    worker = Worker(orders, lambda: work, ManualClock(NOON))  # type: ignore[arg-type]
    worker.connect(lambda: None)
    assert work.begun.wait(60.0)
    return worker


def test_a_look_that_takes_longer_than_its_time_is_given_up_and_the_next_one_sees_what_came(worker: Worker, work: Hanging) -> None:
    assert not worker.look(0.01)
    work.answered.set()
    assert worker.look(60.0)
    assert work.looks[0] is False
    assert work.looks[-1] is True
    worker.stop()


def test_a_stop_does_not_wait_for_an_answer_that_does_not_come(worker: Worker, work: Hanging) -> None:
    worker.stop(0.01)
    assert not work.answered.is_set()
    assert worker.look(60.0), "nobody waits for a worker that ends"


def test_terminating_everything_does_not_wait_for_an_answer_that_does_not_come(worker: Worker, work: Hanging, orders: Busy) -> None:
    worker.terminate_all(0.01)
    assert orders.ended == "the engine was stopped with --terminate"
    assert not work.answered.is_set()


def test_terminating_everything_returns_as_soon_as_ec2_says_that_it_ends(worker: Worker, work: Hanging, orders: Busy) -> None:
    work.answered.set()
    orders.settled = True
    worker.terminate_all(60.0)
    assert orders.ended
    worker.stop()
