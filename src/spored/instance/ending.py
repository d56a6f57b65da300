"""When this machine ends, and how: its guard, its TTL, what follows its last attempt, and idleness."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable

from spored.instance.attempts import Attempts, Stop
from spored.instance.deadlines import HURRY_S, Lifetime, begun
from spored.instance.ledger import Memory
from spored.instance.machine import Machine
from spored.instance.pauses import Pauses
from spored.instance.service import ServiceError
from spored.instance.settings import Settings
from spored.instance.workers import Workers
from spored.loop import Loop

_GUARD_AGAIN_S = 60.0
_HALT_AGAIN_S = 30.0
_SAID_WITHIN_S = 2.0
_SAID_AGAIN_S = 0.05
_SUSPENDED_S = 10.0
_BACK_WITHIN_S = 300.0
_VISITORS_EVERY_S = 15.0
_NO_HIBERNATION = frozenset({"UnsupportedHibernationConfiguration", "UnsupportedOperation", "InvalidParameterCombination"})


@dataclass(frozen=True)
class World:
    """What an end needs to know and to do."""

    loop: Loop
    workers: Workers
    machine: Machine
    memory: Memory
    clock: Callable[[], float]
    random: Callable[[], float]
    tell: Callable[[str], None]
    changed: Callable[[], None]
    said: Callable[[], bool]  #: whether what changed is in the bucket
    suspended: Callable[[], float]  #: for how long this machine has been suspended since it booted


class Ending:
    """Looks, whenever something has changed and every second, whether this machine is to end."""

    def __init__(self, world: World, attempts: Attempts, lifetime: Lifetime, settings: Settings, ttl_s: float | None, grace_s: float) -> None:
        self._world = world
        self._attempts = attempts
        self.lifetime = lifetime
        self.settings = settings
        self._ttl_s = ttl_s
        self._grace_s = grace_s
        self.why: str | None = None  #: why it is about to end; None: it is not
        self.is_interrupted = False
        self._stopped_by_ttl = False
        self._idle_since: float | None = None
        self._visitors: tuple[float, bool] = (float("-inf"), False)
        self._suspended = world.suspended()
        self._pauses = Pauses(world.random)

    # --- the end that is set

    def begin(self, *, is_new_boot: bool, is_visited: bool = False) -> None:
        """Set the guard. At a boot after the one that completed everything, nothing is completed again: somebody started this instance to look at it.

        `is_visited`: so it is at this boot though nothing was completed, because what ran was stopped with the machine and nothing waits.
        """
        memory = self._world.memory
        if is_visited or (is_new_boot and memory.values.get("acted")):
            memory.set(acted=False, spent=True)
        self._guard()

    def move(self, lifetime: Lifetime) -> None:
        """Set another end, and the guard with it. The same one: nothing but that it is remembered."""
        moved, self.lifetime = lifetime.ends_at != self.lifetime.ends_at, lifetime
        self._world.memory.set(ends_at=lifetime.ends_at, told=lifetime.told)
        if moved:
            self._guard()
            self._world.changed()

    def renew_guard(self) -> None:
        """Set the guard once more: a script, or a restart of what keeps it, may have taken it away without a word."""
        self._guard()

    def _guard(self) -> None:
        ends_at = self.lifetime.ends_at
        if ends_at is not None and self.why is None:
            left = max(ends_at - self._world.clock(), 0.0)
            self._world.workers.do("machine", lambda: self._world.machine.guard(left), self._guarded, lambda _: self._guarded(False))

    def _guarded(self, is_set: bool) -> None:
        if not is_set:
            self._world.loop.after(_GUARD_AGAIN_S, self._guard)

    @property
    def late_at(self) -> float | None:
        """From when on only records are still written."""
        ends_at, stops_at = self.lifetime.ends_at, self.lifetime.stops_at(self._grace_s)
        return None if ends_at is None or stops_at is None else max(ends_at - HURRY_S, ends_at - (ends_at - stops_at) / 4)

    # --- looking

    def look(self, *, is_done: bool) -> None:
        """End the machine if it is time; `is_done`: nothing is left to run or to record."""
        self._heed_suspension()
        if self.why is not None:
            return
        now, ends_at, stops_at = self._world.clock(), self.lifetime.ends_at, self.lifetime.stops_at(self._grace_s)
        if ends_at is not None and stops_at is not None and now >= stops_at and not self._stopped_by_ttl and not is_done:
            self._stopped_by_ttl = True
            self._attempts.stop_all(Stop("ttl", self._grace_s))
        if ends_at is not None and (now >= ends_at or (self._stopped_by_ttl and not self._attempts.active)):
            self._halt("its time is over (TTL)")
        elif is_done:
            self._complete()
            self._heed_idleness(now)
        else:
            self._idle_since = None

    def _complete(self) -> None:
        """All is recorded: do what the launch said to do then."""
        how, memory = self.settings.on_complete, self._world.memory
        if how == "none" or memory.values.get("spent"):
            return
        if self.is_interrupted and how != "terminate":
            return  # EC2 stops it in a moment by itself
        memory.set(acted=True)
        self._end(how, "all its attempts have ended")

    def _heed_idleness(self, now: float) -> None:
        idle_s = self.settings.idle_s
        if self.why is not None or idle_s is None:
            return
        if self._has_visitors(min(_VISITORS_EVERY_S, idle_s / 4)):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= idle_s:
            self._end(self.settings.on_complete, f"it has been idle for {idle_s:g} s")

    def _has_visitors(self, every_s: float) -> bool:
        looked_at, seen = self._visitors
        if time.monotonic() - looked_at >= every_s:
            seen = self._world.machine.has_visitors()
            self._visitors = (time.monotonic(), seen)
        return seen

    def _heed_suspension(self) -> None:
        """Back from hibernation: this is a new life, unless the old one has time left."""
        suspended = self._world.suspended()
        if suspended - self._suspended > _SUSPENDED_S:
            self._suspended = suspended
            self.why = None
            self._world.memory.set(acted=False, spent=True)
            life = begun(self._world.clock(), self._ttl_s, self.lifetime.ends_at)
            self.move(Lifetime(life.booted_at, life.ends_at, self.lifetime.told))
            self._guard()

    # --- ending

    def _end(self, how: str, why: str) -> None:
        if how in ("stop", "hibernate"):
            self._announce(why)
            self._stop(hibernate=how == "hibernate")
        else:
            self._halt(why)

    def _announce(self, why: str) -> None:
        self.why = why
        self._world.tell(f"this instance ends: {why}")
        self._world.changed()

    def _halt(self, why: str) -> None:
        self._announce(why)
        until = time.monotonic() + _SAID_WITHIN_S

        def when_said() -> None:
            if self._world.said() or time.monotonic() >= until:
                self._halt_now()
            else:
                self._world.loop.after(_SAID_AGAIN_S, when_said)

        self._world.loop.after(_SAID_AGAIN_S, when_said)

    def _halt_now(self) -> None:
        self._world.loop.after(_HALT_AGAIN_S, self._halt_now)
        self._world.workers.do("machine", self._world.machine.halt, lambda _: None, lambda error: self._world.tell(str(error)))

    def _stop(self, *, hibernate: bool) -> None:
        world = self._world
        world.workers.do(
            "machine", lambda: world.machine.stop(hibernate=hibernate), lambda _: self._stops(hibernate), lambda e: self._stop_failed(e, hibernate)
        )

    def _stops(self, hibernate: bool) -> None:
        """EC2 has taken the request. A machine that hibernates must not find a schedule that has passed when it wakes; one that then does not sleep gets
        its guard back."""
        if hibernate:
            self._world.workers.do("machine", self._world.machine.unguard, lambda _: None, lambda _: None)
        self._world.loop.after(_BACK_WITHIN_S, self._still_here)

    def _still_here(self) -> None:
        self.why = None
        self._guard()

    def _stop_failed(self, error: Exception, hibernate: bool) -> None:
        self._world.tell(f"{error}; the instance lives on until its TTL or until that succeeds")
        again = hibernate and not (isinstance(error, ServiceError) and error.code in _NO_HIBERNATION)
        self._world.loop.after(self._pauses.next(), lambda: self._stop(hibernate=again))


def suspended_for() -> float:
    """For how long this machine has been suspended since it booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
