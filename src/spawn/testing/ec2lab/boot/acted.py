"""Machines that are acted: what an instance would do is done for it as time goes on, at a thousandth of the cost."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from spawn.engine.ports import Clock
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.boot.actor import Actor, World
from spawn.testing.ec2lab.boot.acts import ActPlan, Life
from spawn.testing.ec2lab.boot.control import Controls
from spawn.testing.ec2lab.boot.launches import Orders, read
from spawn.testing.ec2lab.boot.reaching import Services, Signed
from spawn.testing.ec2lab.boot.runs import Runs
from spawn.testing.ec2lab.machines import Ending, Hypervisor, Machine

_TICK_S = 0.1


class Mute:
    """A machine whose agent never starts: it runs, and its guard, if it has one, ends it."""

    def __init__(self, machine: Machine, orders: Orders, life: Life, world: World) -> None:
        self.machine = machine
        self.is_cut = False
        self._minutes = orders.guard_minutes
        self._life = life
        self._world = world
        self._powered_at = 0.0
        self._is_running = False
        self._pressed: Ending | None = None

    def power_on(self, now: float) -> None:
        """It boots. Only the first time its user data run, and with them its guard."""
        if self._powered_at:
            self._minutes = None
        self._powered_at, self._is_running, self._pressed, self.is_cut = now, False, None, False

    def press(self, now: float, ending: Ending) -> None:
        """Nothing has to end in it."""
        self._pressed = ending

    def notice(self, now: float) -> None:
        """Nobody is there to read it."""

    def step(self, now: float) -> Ending | None:
        """Run, and end at the guard's time."""
        age = now - self._powered_at
        if self.is_cut or (self._life.dies_s is not None and age >= self._life.dies_s):
            return Ending.DIED
        if not self._is_running and age >= self._life.running_s:
            self._is_running = True
            self._world.hypervisor.running(self.machine.instance_id)
        return Ending.SHUTDOWN if self._minutes is not None and age >= self._minutes * 60 else self._pressed

    def due(self, now: float) -> float | None:
        """The next of the moments at which something happens."""
        ages = [None if self._is_running else self._life.running_s, self._life.dies_s, None if self._minutes is None else self._minutes * 60]
        return min((self._powered_at + age for age in ages if age is not None and self._powered_at + age > now), default=None)


class ActedMachines:
    """Machines without processes. With a ManualClock nothing happens but in `tick`; with any other clock a thread ticks.

    The same plan and the same calls at the same times make the same machines do the same. `services`: how they reach AWS.
    """

    def __init__(self, hypervisor: Hypervisor, *, plan: ActPlan, clock: Clock, services: Services | None = None) -> None:
        reached = services or Signed(hypervisor)
        self.runs = Runs()
        self._world = World(hypervisor=hypervisor, services=reached, controls=Controls(reached), plan=plan, runs=self.runs)
        self._clock = clock
        self._asked: deque[Callable[[float], None]] = deque()
        self._actors: dict[str, Actor | Mute] = {}
        self._powered: dict[str, Actor | Mute] = {}
        self._orders: dict[bytes, Orders] = {}
        self._due: list[tuple[float, int, str]] = []
        self._next: dict[str, float] = {}
        self._numbers = itertools.count()
        self._made = 0
        self._ticking = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if not isinstance(clock, ManualClock):
            self._thread = threading.Thread(target=self._tick_on, name="acted-machines", daemon=True)
            self._thread.start()

    # Machines

    def boot(self, machine: Machine) -> None:
        """Power it on at the next tick. Running already: nothing."""
        at = self._now()
        self._asked.append(lambda now: self._boot(machine, at, now))

    def shut_down(self, instance_id: str, ending: Ending) -> None:
        """Press its power button: it records what runs, and is off then, or after the plan's `shutdown_s`. Gone already: nothing."""
        self._asked.append(lambda now: self._each(instance_id, now, lambda actor: actor.press(now, ending)))

    def cut(self, instance_id: str) -> None:
        """Cut the power: it does nothing any more. Gone already: nothing."""
        actor = self._powered.get(instance_id)
        if actor is not None:
            actor.is_cut = True
        self._asked.append(lambda now: self._each(instance_id, now, lambda cut: setattr(cut, "is_cut", True)))

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """Tell it that the spot market takes it back."""
        self._asked.append(lambda now: self._each(instance_id, now, lambda actor: actor.notice(now)))

    def close(self) -> None:
        """Nothing happens any more. Again: nothing."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._ticking:
            self._asked.clear()
            self._powered.clear()

    # Time

    def tick(self, now: float | None = None) -> None:
        """Do all that is due at this time (seconds since the epoch; the clock's when none is given)."""
        now = self._now() if now is None else now
        with self._ticking:
            while self._asked:
                self._asked.popleft()(now)
            while self._due and self._due[0][0] <= now:
                at, _, instance_id = heapq.heappop(self._due)
                if self._next.get(instance_id) == at:
                    self._step(instance_id, now)

    def due(self) -> float | None:
        """When `tick` has something to do next, in seconds since the epoch; None: nothing by itself."""
        if self._asked:
            return self._now()
        return self._due[0][0] if self._due else None

    def _tick_on(self) -> None:
        while not self._closing.wait(_TICK_S):
            self.tick()

    def _now(self) -> float:
        return self._clock.now() / 1000

    def _boot(self, machine: Machine, at: float, now: float) -> None:
        if machine.instance_id in self._powered:
            return
        actor = self._actors.get(machine.instance_id)
        if actor is None:
            actor = self._actors[machine.instance_id] = self._make(machine)
        actor.power_on(at)
        self._powered[machine.instance_id] = actor
        self._step(machine.instance_id, now)

    def _make(self, machine: Machine) -> Actor | Mute:
        life = self._world.plan.life_of(self._made)
        self._made += 1
        name = sha256(machine.user_data).digest()
        orders = self._orders.get(name)
        if orders is None:
            orders = read(machine.user_data, partial(self._world.services.get, machine))
            if orders.launch is not None:
                self._orders[name] = orders  # what this machine could not read another one of its launch may
        if orders.launch is None or not life.checks_in:
            return Mute(machine, orders, life, self._world)
        return Actor(machine, orders, orders.launch, life, self._world)

    def _each(self, instance_id: str, now: float, act: Callable[[Actor | Mute], None]) -> None:
        actor = self._powered.get(instance_id)
        if actor is not None:
            act(actor)
            self._step(instance_id, now)

    def _step(self, instance_id: str, now: float) -> None:
        actor = self._powered.get(instance_id)
        if actor is None or self._closing.is_set():
            return
        ending = actor.step(now)
        if ending is not None:
            del self._powered[instance_id]
            self._next.pop(instance_id, None)
            self.runs.powered_off(instance_id, now)
            if ending is Ending.SHUTDOWN and actor.machine.shutdown_behavior == "terminate":
                del self._actors[instance_id]
            self._world.hypervisor.ended(instance_id, ending)
            return
        due = actor.due(now)
        if due is not None and self._next.get(instance_id) != due:
            self._next[instance_id] = due
            heapq.heappush(self._due, (due, next(self._numbers), instance_id))
