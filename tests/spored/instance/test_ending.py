"""When a machine ends, without a machine: what is scheduled, what EC2 is asked, and what follows hibernation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spored.instance.attempts import Stop
from spored.instance.deadlines import Lifetime
from spored.instance.ending import Ending, World
from spored.instance.ledger import Memory
from spored.instance.service import ServiceError
from spored.instance.settings import Settings


class Bench:
    """Stands for the loop, the workers, the machine and the attempts: what is asked of them happens at once, and is noted."""

    def __init__(self, place: Path) -> None:
        self.now = 1000.0
        self.asleep = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.done: list[object] = []
        self.guarding = True
        self.stopping: list[Exception] = []
        self.active: dict[str, object] = {}
        self.waiting: deque[object] = deque()
        self.memory = Memory(str(place / "memory"))

    def ending(self, *, ends_at: float | None = 4600.0, on_complete: str = "terminate", idle_s: float | None = None) -> Ending:
        world = World(
            loop=self,  # type: ignore[arg-type]
            workers=self,  # type: ignore[arg-type]
            machine=self,  # type: ignore[arg-type]
            memory=self.memory,
            clock=lambda: self.now,
            random=lambda: 0.0,
            tell=self.done.append,
            changed=lambda: None,
            said=lambda: True,
            suspended=lambda: self.asleep,
        )
        return Ending(world, self, Lifetime(1000.0, ends_at), Settings(on_complete, idle_s, 30.0), 3600.0, 10.0)  # type: ignore[arg-type]

    # --- what is asked of it

    def after(self, wait: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + wait, call))

    def do(self, lane: str, call: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        try:
            value = call()
        except Exception as error:
            failed(error)
        else:
            then(value)

    def guard(self, seconds: float) -> bool:
        self.done.append(("guard", seconds))
        return self.guarding

    def unguard(self) -> None:
        self.done.append("unguard")

    def halt(self) -> bool:
        self.done.append("halt")
        return True

    def stop(self, *, hibernate: bool) -> None:
        if self.stopping:
            raise self.stopping.pop(0)
        self.done.append("hibernate" if hibernate else "stop")

    def has_visitors(self) -> bool:
        return False

    def stop_all(self, stop: Stop) -> None:
        self.done.append(stop)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due, self.timers = [t for t in self.timers if t[0] <= self.now], [t for t in self.timers if t[0] > self.now]
        for _, call in due:
            call()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_guard_that_cannot_be_set_is_set_again_a_minute_later(bench: Bench) -> None:
    bench.guarding = False
    bench.ending().begin(is_new_boot=True)
    assert bench.done == [("guard", 3600.0)]
    bench.guarding = True
    bench.advance(60)
    assert bench.done == [("guard", 3600.0), ("guard", 3540.0)]
    bench.advance(600)
    assert len(bench.done) == 2


def test_a_guard_that_somebody_took_away_is_set_again_and_one_that_never_was_is_not(bench: Bench) -> None:
    ending = bench.ending()
    ending.begin(is_new_boot=True)
    bench.now += 600.0
    ending.renew_guard()
    bench.ending(ends_at=None).renew_guard()
    assert bench.done == [("guard", 3600.0), ("guard", 3000.0)]


def test_without_an_end_there_is_no_guard(bench: Bench) -> None:
    ending = bench.ending(ends_at=None)
    ending.begin(is_new_boot=True)
    bench.now += 1e9
    ending.look(is_done=False)
    assert bench.done == []
    assert ending.late_at is None


def test_at_the_ttl_attempts_are_stopped_first_and_the_machine_halts_when_they_are_recorded(bench: Bench) -> None:
    ending = bench.ending()
    bench.active["a"] = 1
    bench.now = 4569.0
    ending.look(is_done=False)
    assert bench.done == []
    bench.now = 4570.0
    ending.look(is_done=False)
    ending.look(is_done=False)
    assert bench.done == [Stop("ttl", 10.0)]
    bench.active.clear()
    ending.look(is_done=True)
    bench.advance(0.1)
    assert bench.done[1:] == ["this instance ends: its time is over (TTL)", "halt"]
    bench.advance(30)
    assert bench.done[-1] == "halt"
    assert len(bench.done) == 4


def test_what_does_not_get_recorded_ends_with_the_ttl_all_the_same(bench: Bench) -> None:
    ending = bench.ending()
    bench.active["a"] = 1
    bench.now = 4600.0
    ending.look(is_done=False)
    bench.advance(0.1)
    assert bench.done[-1] == "halt"


def test_an_idle_instance_that_is_not_to_be_terminated_lives_for_its_idle_time(bench: Bench) -> None:
    ending = bench.ending(on_complete="none", idle_s=300)
    for _ in range(299):
        ending.look(is_done=True)
        bench.advance(1)
    ending.look(is_done=False)
    bench.advance(10)
    ending.look(is_done=True)
    bench.advance(299)
    ending.look(is_done=True)
    assert bench.done == []
    bench.advance(1)
    ending.look(is_done=True)
    bench.advance(0.1)
    assert bench.done == ["this instance ends: it has been idle for 300 s", "halt"]


def test_what_cannot_hibernate_stops(bench: Bench) -> None:
    bench.stopping.append(ServiceError("UnsupportedHibernationConfiguration", "ec2:StopInstances failed", 400))
    ending = bench.ending(on_complete="hibernate")
    ending.look(is_done=True)
    bench.advance(1)
    assert bench.done[-1] == "stop"
    assert "unguard" not in bench.done


def test_who_wakes_from_hibernation_has_a_guard_and_a_life_and_does_not_sleep_again(bench: Bench) -> None:
    ending = bench.ending(on_complete="hibernate")
    ending.look(is_done=True)
    assert bench.done == ["this instance ends: all its attempts have ended", "hibernate", "unguard"]
    bench.now += 86400
    bench.asleep += 86000
    ending.look(is_done=True)
    assert ending.lifetime.ends_at == bench.now + 3600
    assert bench.done[-1] == ("guard", 3600.0)
    assert ending.why is None
    bench.advance(1)
    ending.look(is_done=True)
    assert bench.done.count("hibernate") == 1


def test_who_does_not_fall_asleep_has_its_guard_back_and_tries_again(bench: Bench) -> None:
    ending = bench.ending(on_complete="hibernate")
    ending.look(is_done=True)
    bench.advance(300)
    assert bench.done[-1] == ("guard", 3300.0)
    ending.look(is_done=True)
    assert bench.done.count("hibernate") == 2


@pytest.mark.parametrize(("how", "ends"), [("terminate", True), ("stop", False), ("none", False)])
def test_when_ec2_takes_it_back_only_terminating_is_still_done(bench: Bench, how: str, ends: bool) -> None:
    ending = bench.ending(on_complete=how)
    ending.is_interrupted = True
    ending.look(is_done=True)
    assert (ending.why is not None) is ends


def test_a_later_boot_completes_nothing_again_but_the_same_one_does(bench: Bench) -> None:
    bench.ending().look(is_done=True)
    again = bench.ending()
    again.begin(is_new_boot=False)
    again.look(is_done=True)
    assert again.why is not None
    for is_new_boot in (True, False):
        later = bench.ending()
        later.begin(is_new_boot=is_new_boot)
        later.look(is_done=True)
        assert later.why is None


def test_what_was_stopped_with_nothing_left_to_do_waits_for_whoever_started_it(bench: Bench) -> None:
    ending = bench.ending()
    ending.begin(is_new_boot=True, is_visited=True)
    ending.look(is_done=True)
    assert ending.why is None
