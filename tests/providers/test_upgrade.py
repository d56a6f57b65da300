"""An engine that finds a runner of an earlier version: real runners, one of them a copy of this one that speaks the earlier wire."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spawn.domain.arrays import ArrayJob
from spawn.domain.errors import ProviderUnavailable
from spawn.domain.ids import AttemptId
from spawn.domain.jobs import Job
from spawn.domain.queues import local_environment
from spawn.domain.scheduling import Capacity
from spawn.engine.news import Ended, Lost, ProviderEvent
from spawn.machine import SystemClock
from spawn.providers.local.connection import WIRE
from spawn.providers.local.files import LocalFiles
from spawn.providers.local.provider import LocalProvider
from tests.domain.making import WORK, make_job
from tests.spored.conftest import make_runner, place
from tests.spored.driver import PATIENCE, ROOT, Runner, alive

__all__ = ["make_runner", "place"]


class Engine:
    """As much of an engine as it takes: reads what is new and sees that a runner is there, as the loop does in each turn."""

    def __init__(self, directory: Path) -> None:
        files = LocalFiles(arrays=directory.parent / "arrays", runner=directory)
        self.provider = LocalProvider(runner_directory=directory, files=files, capacity=Capacity(cpus=1000, memory=1024), clock=SystemClock())
        self.events: list[ProviderEvent] = []
        self.handed: list[ArrayJob] = []
        self._place: str | None = None
        self._woken = threading.Event()

    def turn(self) -> None:
        news = self.provider.news(self._place)
        self.events += news.events
        self._place = news.place
        if self.provider.connect(self._woken.set):
            for array in self.handed:
                self.provider.start(array, [(0, 1)], local_environment())

    def hand_over(self, job: Job) -> AttemptId:
        """Claim its first child, as an engine that stopped before it could say so; what is new to it hears of it again."""
        self.handed.append(ArrayJob(job))
        self.provider.start(self.handed[-1], [(0, 1)], local_environment())
        return AttemptId(job.key, 0, 1)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about: {self.events}"
            self._woken.wait(0.02)
            self._woken.clear()
            self.turn()

    def ended(self, attempt: AttemptId | str) -> Ended:
        """How it ended, once it has; exactly once."""
        self.until(lambda: self._endings(attempt))
        (one,) = self._endings(attempt)
        return one

    def _endings(self, attempt: AttemptId | str) -> list[Ended]:
        return [event for event in self.events if isinstance(event, Ended) and str(event.attempt) == str(attempt)]


@pytest.fixture
def elder(make_runner: Callable[..., Runner], place: Path) -> Iterator[Runner]:
    """A runner of an earlier version that has been greeted, with room for one attempt at a time."""
    runner = speaking(make_runner(), place, WIRE - 1)
    yield runner
    runner.heard.clear()  # another wire's lines are no concern of this one's schema


@pytest.fixture
def engine(place: Path) -> Iterator[Engine]:
    """An engine for the same directory; whatever runner it has at last ends with all it runs."""
    made = Engine(place / "runner")
    yield made
    made.provider.close(terminate=True, grace_s=0)


def speaking(runner: Runner, place: Path, wire: int) -> Runner:
    source = place / "source" / "spored"
    shutil.copytree(ROOT / "src" / "spored", source, ignore=shutil.ignore_patterns("__pycache__"))
    init = source / "__init__.py"
    init.write_text(f'__version__ = "0.0.9"\nWIRE = {wire}\n')
    runner.program = source / "__main__.py"
    runner.cpus = 1000
    runner.start(hello=False)
    assert runner.hello(wire=wire)["op"] == "welcome"
    return runner


def job_without_workdir(number: int) -> Job:
    """A job as that version never saw one."""
    return make_job(number, 2, work=replace(WORK, workdir=""))


def pid_of(runner: Runner) -> int:
    assert runner.process is not None
    return runner.process.pid


def test_a_runner_that_has_nothing_to_do_is_replaced_at_once(elder: Runner, engine: Engine) -> None:
    elder.ended(elder.one())
    engine.turn()
    assert elder.process is not None
    elder.process.wait(PATIENCE)
    assert engine.provider.runner_pid not in (None, pid_of(elder))
    assert engine.provider.holds_back() is None
    assert engine.ended(engine.hand_over(job_without_workdir(1))).how.code == 0


def test_a_runner_that_still_runs_is_given_nothing_new_and_replaced_when_it_has_finished(elder: Runner, engine: Engine, place: Path) -> None:
    key = elder.array(size=2, argv=["/bin/sh", "-c", f"while [ ! -e {place}/gate ]; do sleep 0.01; done; exit 7"])
    running, queued = elder.begin(key, 0, 1)
    elder.event(running, "started")
    engine.turn()
    assert engine.provider.holds_back() == (
        f"the runner (process {pid_of(elder)}) is of version 0.0.9 and still has 2 attempts of its own; "
        f"new ones start as soon as these have ended (`kill {pid_of(elder)}` ends them now)"
    )
    withheld = engine.hand_over(job_without_workdir(1))
    engine.turn()
    assert engine.provider.runner_pid == pid_of(elder)
    (place / "gate").touch()
    assert [engine.ended(attempt).how.code for attempt in (running, queued, withheld)] == [7, 7, 0]
    assert engine.provider.holds_back() is None
    assert not alive(pid_of(elder))
    starts = [event["a"] for event in elder.events() if event["e"] == "starting"]
    assert starts == [running, queued, str(withheld)]
    assert not [event for event in elder.events() if event["e"] in ("lost", "refused")]
    assert "error" not in (elder.directory / "runner.log").read_text()


def test_what_an_earlier_runner_runs_can_be_stopped_and_what_it_has_not_begun_called_back(elder: Runner, engine: Engine) -> None:
    key = elder.array(size=2, argv=["/bin/sleep", "1000"])
    running, queued = elder.begin(key, 0, 1)
    elder.event(running, "started")
    engine.turn()
    engine.provider.drop([AttemptId.parse(queued)])
    engine.provider.stop([AttemptId.parse(running)], grace_s=5)
    assert engine.ended(running).how.why == "stopped"
    engine.until(lambda: engine.provider.runner_pid not in (None, pid_of(elder)))
    assert list(elder.of(queued)) == ["dropped"]


def test_an_instance_that_is_kept_lives_on_under_the_next_runner_until_it_is_released(elder: Runner, engine: Engine, place: Path) -> None:
    job = make_job(1, 2)
    directory = str(engine.provider.files.directory(job))
    key = elder.array(str(job.key), keep=True, directory=directory, argv=["/bin/sh", "-c", f"sleep 1000 & echo $! > {place}/pid"])
    elder.ended(elder.begin(key, 0)[0])
    left = int((place / "pid").read_text())
    engine.turn()
    assert engine.provider.runner_pid not in (None, pid_of(elder))
    assert alive(left)
    engine.provider.release(job, [(0, 1)], keep_files=False)
    engine.until(lambda: not alive(left))


@pytest.mark.parametrize(("number", "told"), [(signal.SIGTERM, Ended), (signal.SIGKILL, Lost)])
def test_an_earlier_runner_that_is_killed_makes_room_and_its_attempts_are_told_of(elder: Runner, engine: Engine, number: int, told: type) -> None:
    attempt = elder.one(argv=["/bin/sleep", "1000"])
    elder.event(attempt, "started")
    engine.turn()
    os.kill(pid_of(elder), number)
    engine.until(lambda: any(isinstance(event, told) and str(event.attempt) == attempt for event in engine.events))
    engine.until(lambda: engine.provider.runner_pid not in (None, pid_of(elder)))
    assert engine.ended(engine.hand_over(job_without_workdir(1))).how.code == 0


def test_a_runner_of_a_wire_that_nobody_knows_is_left_alone_and_the_way_out_is_said(make_runner: Callable[..., Runner], engine: Engine, place: Path) -> None:
    runner = speaking(make_runner(), place, 99)
    runner.heard.clear()
    attempt = runner.sh(f"while [ ! -e {place}/gate ]; do sleep 0.01; done")
    runner.event(attempt, "started")
    with pytest.raises(ProviderUnavailable, match=rf"runner \(process {pid_of(runner)}, version 0\.0\.9\) wire 99: .*`kill {pid_of(runner)}`"):
        engine.turn()
    (place / "gate").touch()
    assert runner.ended(attempt)["code"] == 0
    runner.heard.clear()


def test_an_array_that_the_runner_does_not_understand_fails_its_attempts_and_says_so(engine: Engine) -> None:
    engine.turn()
    job = make_job(1, 2, work=replace(WORK, environment={"A=B": "1"}))
    attempt = engine.hand_over(job)
    engine.until(lambda: [event for event in engine.events if getattr(event, "attempt", None) == attempt])
    (event,) = engine.events
    assert "the runner did not understand it: " in event.reason  # type: ignore[union-attr]
    assert "spec.environment: 'A=B' cannot be a variable of a process" in event.reason  # type: ignore[union-attr]
