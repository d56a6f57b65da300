"""One acted instance: it does over time what docs/wire-ec2.md says that an instance does, without any process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spawn.testing.ec2lab.boot.acts import ActPlan, Life
from spawn.testing.ec2lab.boot.attempting import Attempting
from spawn.testing.ec2lab.boot.control import Controls
from spawn.testing.ec2lab.boot.launches import Launch, Orders, Task
from spawn.testing.ec2lab.boot.reaching import Services, Unreachable
from spawn.testing.ec2lab.boot.runs import Runs
from spawn.testing.ec2lab.boot.sources import Source
from spawn.testing.ec2lab.boot.uploads import Outbox
from spawn.testing.ec2lab.machines import Ending, Hypervisor, Machine

_RECORD_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all acted machines share."""

    hypervisor: Hypervisor
    services: Services
    controls: Controls
    plan: ActPlan
    runs: Runs


class Actor:
    """A machine with a readable launch, from its power on. `step` does what is due."""

    def __init__(self, machine: Machine, orders: Orders, launch: Launch, life: Life, world: World) -> None:
        self.machine = machine
        self._orders = orders
        self._launch = launch
        self._life = life
        self._world = world
        self._outbox = Outbox(world.services, machine, launch, life)
        self._source = Source(world.services, machine, launch)
        self._attempts: dict[str, Attempting] = {}
        self._slots = launch.slots or max(1, machine.vcpus)
        self._stopped: set[str] = set()
        self._is_visited = False
        self._power_on(0.0)

    def _power_on(self, now: float) -> None:
        self._powered_at = now
        self._is_running = self._is_ready = False
        self._ends_at: float | None = None if self._launch.ttl_s is None else now + self._launch.ttl_s
        self._guard_at = None if self._orders.guard_minutes is None else now + self._orders.guard_minutes * 60
        self._told_end: float | None = None
        self._seq = 0
        self._control_at = self._beat_at = 0.0
        self._off_at: float | None = None
        self._pressed: tuple[Ending, float] | None = None
        self._interrupted_at: float | None = None
        self._idle_since = now
        self._said: dict[str, Any] = {}
        self._source.power_on()
        self._asked_to_stop = False
        self.is_cut = False

    # What befalls it

    def power_on(self, now: float) -> None:
        """It boots, for the first time or again; what ran when the power went is lost. Again with nothing to do, it waits for whoever started it."""
        self._is_visited = bool(self._powered_at)
        self._power_on(now)
        for attempting in list(self._attempts.values()):
            if not attempting.is_closing:
                self._end(attempting, now, end="lost")

    def press(self, now: float, ending: Ending) -> None:
        """Its power button is pressed. Again: nothing."""
        if self._pressed is None:
            self._pressed = ending, now + self._world.plan.shutdown_s

    def notice(self, now: float) -> None:
        """The spot market takes it back."""
        self._interrupted_at = now

    def step(self, now: float) -> Ending | None:
        """Do what is due, and say how it has ended, if it has."""
        age = now - self._powered_at
        if self.is_cut or (self._life.dies_s is not None and age >= self._life.dies_s):
            return Ending.DIED
        if not self._is_running and age >= self._life.running_s:
            self._is_running = True
            self._world.hypervisor.running(self.machine.instance_id)
        if self._off_at is not None and now >= self._off_at:
            return self._how()
        end = self._ends_at if self._is_ready else self._guard_at
        if end is not None and now >= end:
            return self._how()
        if not self._life.checks_in or age < self._life.ready_s:
            return None if self._pressed is None else self._pressed[0]
        self._is_ready = True
        self._act(now, age)
        if self._pressed is not None and ((not self._outbox and not self._attempts) or now >= self._pressed[1]):
            return self._pressed[0]
        return None

    def _how(self) -> Ending:
        return Ending.SHUTDOWN if self._pressed is None else self._pressed[0]

    def due(self, now: float) -> float | None:
        """When `step` has something to do again; None: never by itself."""
        times = [self._off_at, self._pressed[1] if self._pressed else None]
        if self._life.dies_s is not None:
            times.append(self._powered_at + self._life.dies_s)
        if not self._is_running:
            times.append(self._powered_at + self._life.running_s)
        if not self._is_ready:
            times.append(self._guard_at)
            if self._life.checks_in:
                times.append(self._powered_at + self._life.ready_s)
        else:
            times += [self._ends_at, self._control_at, self._outbox.retry_at, self._stops_at]
            times += [self._beat_at] if self._world.plan.detail else []
            times += [self._source.ask_at] if self._source.is_pool and self._has_room else []
            times += [self._idle_since + self._launch.idle_s] if self._launch.idle_s is not None and not self._attempts else []
            times += [attempting.due for attempting in self._attempts.values()]
        later = [time for time in times if time is not None and time > now]
        return min(later, default=None)

    # What it does

    def _act(self, now: float, age: float) -> None:
        self._heed_control(now, age)
        for attempting in list(self._attempts.values()):
            attempting.go_on(now, self._closer(attempting))
        why = self._why_to_end(now)
        if why is not None:
            for attempting in list(self._attempts.values()):
                attempting.stop(now, why, self._closer(attempting))
        self._outbox.send(now, age)
        if why is None:
            self._start_more(now, age)
            self._outbox.send(now, age)
        self._source.keep(now, [attempting.task for attempting in self._attempts.values()])
        self._finish(now, why)
        self._say(now, age, why)

    @property
    def _stops_at(self) -> float | None:
        if self._ends_at is None:
            return None
        return max(self._ends_at - self._launch.grace_s - _RECORD_S, (self._powered_at + self._ends_at) / 2)

    def _why_to_end(self, now: float) -> str | None:
        """Why nothing may run here any more."""
        if self._interrupted_at is not None:
            return "interrupted"
        if self._pressed is not None:
            return "stopped"
        stops_at = self._stops_at
        return "ttl" if stops_at is not None and now >= stops_at else None

    def _heed_control(self, now: float, age: float) -> None:
        if now < self._control_at:
            return
        self._control_at = now + self._launch.control_s
        try:
            control = self._world.controls.at(now, self.machine, self._launch)
        except Unreachable:
            return
        self._seq = control.seq
        told = control.end_of(self.machine.instance_id)
        if told is not None and told != self._told_end and told > self._powered_at:
            self._ends_at = self._told_end = told
        for identity, stop in control.stop.items():
            if identity in self._stopped:
                continue
            self._stopped.add(identity)
            attempting = self._attempts.get(identity)
            if attempting is not None:
                attempting.stop(now, "ttl" if stop.get("why") == "ttl" else "stopped", self._closer(attempting))

    def _end(self, attempting: Attempting, now: float, *, end: str) -> None:
        attempting.end(now, self._closer(attempting), end=end)

    def _closer(self, attempting: Attempting) -> Callable[[], None]:
        def close() -> None:
            self._attempts.pop(attempting.id, None)
            self._source.settled(attempting.task)

        return close

    # Attempts

    @property
    def _has_room(self) -> bool:
        return self._source.has_more and len(self._attempts) < self._slots

    def _start_more(self, now: float, age: float) -> None:
        """Claim and start as many as there are free slots."""
        while self._has_room and not self._outbox.is_waiting(now):
            task = self._source.next(now, free=self._slots - len(self._attempts), busy=bool(self._attempts))
            if task is None:
                return
            attempting = Attempting(
                task=task,
                act=self._world.plan.act_of(task.index, task.attempt),
                launch=self._launch,
                instance_id=self.machine.instance_id,
                outbox=self._outbox,
                runs=self._world.runs,
                detail=self._world.plan.detail,
            )
            if attempting.id in self._stopped:
                self._attempts[attempting.id] = attempting
                self._end(attempting, now, end="dropped")
                continue
            try:
                mine = attempting.id not in self._attempts and self._claim(task, now, age)
            except Unreachable as error:
                self._outbox.failed(now, error)
                self._source.put_back(task)
                return
            if mine:
                self._attempts[attempting.id] = attempting
                self._is_visited = False
                attempting.start(now)
            elif attempting.id not in self._attempts:
                self._source.settled(task)

    def _claim(self, task: Task, now: float, age: float) -> bool:
        """Whether this instance may run it. Unreachable when that is not known."""
        key = f"{task.index}/{task.attempt}/claim.json"
        if self._outbox.write(key, json.dumps({"wire": 1, "instance_id": self.machine.instance_id, "at": now}).encode(), age, only_new=True):
            return True
        there = self._world.services.get(self.machine, self._launch.bucket, self._launch.prefix + key)
        if there is None or json.loads(there)["instance_id"] != self.machine.instance_id:
            return False
        # its own, from a try whose answer was lost: unless it was settled, it has not begun
        return self._world.services.get(self.machine, self._launch.bucket, f"{self._launch.prefix}{task.index}/{task.attempt}/outcome.json") is None

    # Its end

    def _finish(self, now: float, why: str | None) -> None:
        """End the machine as `on_complete` says, when everything has ended and is recorded."""
        if self._attempts or self._outbox or (self._source.has_more and why is None):
            self._idle_since = now
            return
        if self._off_at is not None or self._pressed is not None or self._interrupted_at is not None:
            return
        if why == "ttl":
            self._off_at = now + self._world.plan.end_s
            return
        idle = self._launch.idle_s is not None and now >= self._idle_since + self._launch.idle_s
        how = "none" if self._is_visited else self._launch.on_complete
        if how == "terminate" or (how == "none" and idle):
            self._off_at = now + self._world.plan.end_s
        elif how in {"stop", "hibernate"} and not self._asked_to_stop:
            try:
                self._world.services.stop_instance(self.machine, hibernate=self._launch.on_complete == "hibernate")
                self._asked_to_stop = True
            except Unreachable as error:
                self._outbox.failed(now, error)

    def _say(self, now: float, age: float, why: str | None) -> None:
        """Write `instances/INSTANCE_ID.json`, when it says something new, or as a sign of life."""
        ending = why if self._pressed is not None else "terminate" if self._off_at is not None else None
        said = {
            "ends_at": self._ends_at,
            "control_seq": self._seq,
            "running": sorted(self._attempts) if self._world.plan.detail else [],
            "unsent": self._outbox.trouble,
            "interrupted_at": self._interrupted_at,
            "ending": ending,
        }
        if (said == self._said and (now < self._beat_at or not self._world.plan.detail)) or self._outbox.is_waiting(now):
            return
        fixed = {"wire": 1, "instance_id": self.machine.instance_id, "launch_index": self.machine.launch_index, "token": self._launch.token}
        fixed |= {"type": self.machine.type, "zone": self.machine.zone, "booted_at": self._powered_at, "at": now, "spored": "0", "python": "3.9.0"}
        try:
            self._outbox.write(f"instances/{self.machine.instance_id}.json", json.dumps({**fixed, **said}).encode(), age)
        except Unreachable as error:
            self._outbox.failed(now, error)
            return
        if not self._outbox:
            self._outbox.succeeded()
        self._said, self._beat_at = said, now + self._launch.beat_s
