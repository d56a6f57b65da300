"""An engine, its store, its ledger and the laboratory in a test's own hands, deterministic under a seed.

with world(tmp_path, plan=LabPlan(...), acts=ActPlan(...)) as it:
    job = it.launch(4, retries=1, spot=True)
    it.at(120, lambda state: commands.cancel(...))      # what a user asks, at a moment
    it.axe.fall([40, 200])                              # the engine's process is killed at its 40th call from now, and again
    it.run()                                            # until all of it has settled and nothing is left
    check(it)                                           # checking.py: what must be true whatever went wrong
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import RLock
from typing import Any, cast

from spawn.domain.arrays import ArrayJob
from spawn.domain.errors import SpawnError
from spawn.domain.fleets import FleetOptions
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import EC2, LOCAL
from spawn.domain.states import Status
from spawn.engine import commands
from spawn.engine.fleets import Wish
from spawn.engine.state import EngineState
from spawn.engine.submission import Submission
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.planning import plan_with
from spawn.providers.ec2.provider import Ec2Provider
from spawn.providers.ec2.worker import Worker
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from spawn.testing.ec2lab.boot.acted import ActedMachines
from spawn.testing.ec2lab.boot.acts import ActPlan
from spawn.testing.ec2lab.boot.reaching import Direct
from spawn.testing.provider import ScriptedProvider
from tests.cloud.faults.killing import Axe, Killed, MortalClients, MortalLedger, MortalStore

MOST_S = 30.0
"""The engine looks at least so often."""

_ROUNDS_AT_ONCE = 300
Command = Callable[[EngineState], object]


class ByHand(Worker):
    """Works when it is told to, in the thread of whoever tells it. What a round raises is raised."""

    is_woken = True

    def _begin(self) -> None:
        """There is no thread to begin."""

    def wake(self) -> None:
        """There is something to do."""
        self.is_woken = True

    def step(self, now: Instant) -> Instant | None:
        """One round now; when the next one is wanted."""
        self.is_woken = False
        return self._made().step(now)


class World:
    """Everything that there is, and who may do what in it."""

    def __init__(self, directory: Path, lab: Lab, clock: ManualClock, machines: Callable[[], ActedMachines], *, acts: ActPlan, seed: int) -> None:
        self.directory, self.lab, self.clock, self.acts = directory, lab, clock, acts
        self.axe = Axe(self._every_moment)
        self.began = clock.now()
        self.clients = Clients(lab.environment())
        self.jobs: list[Job] = []
        self.settled_at: dict[str, Instant] = {}
        self.extended_to: Instant | None = None
        self.longest_gap_s = 0.0
        self.slow_s: Callable[[str], float] = lambda moment: 0.0  #: how long the engine is held up at a moment
        self.away_s: Callable[[], float] = lambda: 5.0  #: how long it stays away after it was killed
        self._machines = machines
        self._dice = random.Random(seed)
        self._wishes: list[tuple[Instant, int, Command]] = []
        self._last_round = clock.now()
        self._open()

    # --- the engine's process -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.store = MortalStore(self.directory / "store.db", self.axe)
        made = cast(Clients, MortalClients(self.clients, self.axe))
        self.provider = Ec2Provider(
            directory=self.directory / "ec2",
            clock=self.clock,
            make_clients=lambda _: made,
            chance=self._dice.random,
            calls_at_once=0,
            open_ledger=lambda path: MortalLedger(path, self.axe),
            make_worker=self._hire,
        )
        self.state = EngineState(store=self.store, providers={LOCAL: ScriptedProvider(), EC2: self.provider})

    def _hire(self, *about: Any) -> Worker:
        self.worker = ByHand(*about)
        return self.worker

    def _every_moment(self, moment: str) -> None:
        if (late := self.slow_s(moment)) > 0:
            self.lab.advance(late)

    def restart(self) -> None:
        """What a kill and a new engine do: memory is gone; store, ledger and laboratory are not. Time goes on meanwhile."""
        self.store.close()
        self.provider.close(terminate=False, grace_s=0)
        self.lab.advance(self.away_s())
        self._open()

    def turn(self, command: Command | None = None) -> float:
        """A turn of the engine's loop; seconds until it wants another one. What it raises fails the test."""
        state = self.state
        state.begin(self.clock.now())
        more = state.take_news()
        if command is not None:
            try:
                command(state)
            except SpawnError:
                pass  # as a user would be told
        state.end_due_instances()
        state.hand_over()
        state.commit()
        state.act(lambda: None)
        return 0.0 if more else state.seconds_to_next_end(self.clock.now(), at_most=MOST_S)

    # --- what is asked of it --------------------------------------------------------------------------------------------

    def launch(self, size: int, *, ttl_s: float = 1200.0, fleet: Mapping[str, Any] | None = None, **asked: Any) -> Job:
        """Plan a launch as the doors do, and submit it."""
        options = FleetOptions(**(fleet or {}))
        wish = Wish(options=options, name="simulated", children=size, ttl=timedelta(seconds=ttl_s), tags={}, work_bytes=10)
        plan = plan_with(self.clients, wish, self.clock.now())
        submission = Submission(command=("true",), workdir="/", indexes=f"0-{size - 1}", provider=EC2, ttl_s=ttl_s, **asked)
        key = ArrayKey(f"{self._dice.getrandbits(40):010x}")
        made: list[Job] = []

        def submit(state: EngineState) -> None:
            access = self.lab.environment()
            taken = commands.submit(state, submission, (), fleet=plan.fleet, admit=lambda job: self.provider.admit(job, access), draw_key=lambda: key)
            made.append(taken.job)

        self.turn(submit)
        self.jobs += made
        return made[0]

    def at(self, seconds: float, command: Command) -> None:
        """Something that a user asks, so many seconds from now."""
        self._wishes.append((Instant(self.clock.now() + round(seconds * 1000)), len(self._wishes), command))
        self._wishes.sort()

    # --- time -----------------------------------------------------------------------------------------------------------

    def run(self, within_s: float = 24 * 3600.0, *, until: Callable[[], bool] | None = None) -> None:
        """Go on until it is so (nothing is left to be done, for anybody, unless something else is said); an error after so long."""
        end, at_once = self.clock.now() + within_s * 1000, 0
        is_over = until or self.is_over
        while not is_over():
            assert self.clock.now() < end, f"not over after {within_s:g} s: {self.told()}"
            try:
                pause = self.round()
            except Killed:
                self.restart()
                continue
            at_once = 0 if pause > 0 else at_once + 1
            assert at_once < _ROUNDS_AT_ONCE, f"it goes round without end: {self.told()}"
            if pause > 0:
                self.lab.advance(pause)

    def round(self) -> float:
        """A turn of the engine and a round of the provider; seconds until there is more to do."""
        now = self.clock.now()
        self.longest_gap_s = max(self.longest_gap_s, (now - self._last_round) / 1000)
        while self._wishes and self._wishes[0][0] <= self.clock.now():
            command = self._wishes[0][2]
            self.turn(command)
            del self._wishes[0]
        pause = self.turn()
        wanted = self.worker.step(self.clock.now())
        pause = min(pause, self.turn())
        self._note_settled()
        self._last_round = now  # a round that a kill cut short was none
        if self.worker.is_woken:
            return 0.0
        times = [time for time in (wanted, self._wishes[0][0] if self._wishes else None) if time is not None]
        return max(0.0, min([pause, *((time - self.clock.now()) / 1000 for time in times)]))

    def _note_settled(self) -> None:
        for job in self.jobs:
            if self.array(job).settled:
                self.settled_at.setdefault(job.id, self.clock.now())
            else:
                self.settled_at.pop(job.id, None)

    def is_over(self) -> bool:
        """Whether nothing is left to be done, for anybody."""
        live = any(self.provider.reader.is_live(job.key) for job in self.jobs)
        return not live and not self._wishes and len(self.settled_at) == len(self.jobs) and self.state.is_idle()

    # --- what is looked at ----------------------------------------------------------------------------------------------

    @property
    def runs(self) -> list[Any]:
        """What machines really ran."""
        return self._machines().runs.all

    def array(self, job: Job) -> ArrayJob:
        """An array as the store has it."""
        found = self.store.array(job.id)
        assert found is not None
        return found

    def attempts(self, job: Job) -> list[Any]:
        """Every attempt of an array that has ended, as the store has it."""
        return self.store.read("attempts_of", {"key": int(job.key, 16), "low": 0, "high": job.size - 1})

    def told(self) -> str:
        """Where everything stands, for a test that fails."""
        arrays = {job.id: [self.array(job).status_of(position).name for position in range(job.size)] for job in self.jobs}
        why = {job.id: self.provider.why(job.key) for job in self.jobs}
        lives = [(life.instance_id, life.state, life.token[-8:]) for life in self.lab.lives()]
        return f"at {(self.clock.now() - self.began) / 1000:.0f} s: {arrays} {why} {lives} killed: {self.axe.fell}"


def failed_of(state: EngineState, job: Job) -> list[int]:
    """What `@failed` means now."""
    array = state.adopt(job.id)
    assert array is not None
    return list(array.positions(Status.FAILED))


@contextmanager
def world(directory: Path, *, plan: LabPlan | None = None, acts: ActPlan | None = None, seed: int = 0, direct: bool = False) -> Iterator[World]:
    """A laboratory of this plan with instances that act so, and an engine that has just started. `direct`: they reach the bucket without a call."""
    clock, made, acted = ManualClock(), list[ActedMachines](), acts or ActPlan()

    def machines(hypervisor: Any) -> ActedMachines:
        services = Direct(hypervisor, account=hypervisor.account, lock=RLock()) if direct else None
        made.append(ActedMachines(hypervisor, plan=acted, clock=clock, services=services))
        return made[-1]

    with Lab(plan or LabPlan(), machines=machines, clock=clock) as lab:
        it = World(directory, lab, clock, lambda: made[-1], acts=acted, seed=seed)
        try:
            yield it
        finally:
            it.store.close()
            it.provider.close(terminate=False, grace_s=0)
        assert lab.failures == []
