"""Ends attempts: SIGTERM to all their processes, SIGKILL after a grace, again until none is left; and sweeps up what others left behind."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable
from typing import Callable

from spored import cgroups
from spored.asking import Asking
from spored.attempts import Attempt
from spored.family import Census, Family, logs_of
from spored.loop import Loop, Timer, now
from spored.processes import Process, send, ticks_per_second

LEFTOVER_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for what an attempt left behind when it ended by itself."""
_UNKILLABLE = 30.0
"""Seconds after SIGKILL when a process that still does not die (one that waits for a dead disk, say) no longer holds up its attempt's end."""
_SUPERVISOR_PATIENCE = 15.0
"""Seconds that a supervisor has to kill and remove its container; after that it is killed, and the runner removes the container."""
_SWEEP_WAIT = 0.5
_REMEMBERED = 1000
_CENSUS_SHARE = 20
"""A census is taken at most so often that it costs a twentieth of the time."""


class _Doom:
    __slots__ = ("asking", "attempt", "kill_at", "many", "patience", "then")

    def __init__(self, attempt: Attempt, kill_at: float) -> None:
        self.attempt = attempt
        self.kill_at = kill_at
        self.then: list[Callable[[Attempt], None]] = []
        self.asking = Asking()
        self.many = False  #: it had more than its first process
        self.patience = 0.05


class Undertaker:
    """All attempts that are to end are looked after together, so that a thousand of them need one look at the machine."""

    def __init__(self, loop: Loop, family: Family, live: Callable[[], Iterable[Attempt]]) -> None:
        """`live` gives the attempts whose processes may go on: those that run or whose instance is kept."""
        self._loop = loop
        self._family = family
        self._live = live
        self._doomed: dict[str, _Doom] = {}
        self._condemned: dict[tuple[int, int], float] = {}
        self._ended: deque[Attempt] = deque(maxlen=_REMEMBERED)  #: whose logs a process may still write to
        self._timer: Timer | None = None
        self._earliest = 0.0

    def doom(self, attempt: Attempt, grace: float, then: Callable[[Attempt], None]) -> None:
        """End every process of `attempt`, then call `then`. Again: the shorter grace counts, and the same `then` is called once."""
        kill_at = now() + grace
        doom = self._doomed.setdefault(attempt.id, _Doom(attempt, kill_at))
        doom.kill_at = min(doom.kill_at, kill_at)
        if then not in doom.then:
            doom.then.append(then)
        attempt.doomed = True
        self._plan(0.0)

    def changed(self, attempt: Attempt) -> None:
        """The first process of a doomed attempt has died, or (where making it took a while) has come to life."""
        doom = self._doomed[attempt.id]
        alone = attempt.over and doom.asking.begun and not doom.many and attempt.cgroup is None
        if alone and self._family.has_orphans() is False and attempt.id not in self._family.orphans.values():
            self._bury(doom)
        else:
            self._plan(0.0)

    def orphans_changed(self) -> None:
        """Inherited processes have died: perhaps the last of a doomed attempt."""
        if self._condemned or (self._doomed and any(doom.attempt.over for doom in self._doomed.values())):
            self._plan(0.0)

    def sweep(self, ended: Attempt) -> None:
        """Look, in a while, for processes of attempts that have ended, like this one, unless there cannot be any."""
        self._ended.append(ended)
        if self._family.has_orphans() is not False or None in self._family.orphans.values():
            self._plan(_SWEEP_WAIT)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be ended, as far as known."""
        return not self._doomed and not self._condemned

    def _plan(self, wait: float) -> None:
        due = max(now() + wait, self._earliest)
        if self._timer is not None:
            if self._timer.due <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.after(due - now(), self._work)

    def _work(self) -> None:
        self._timer = None
        moment = now()
        live = list(self._live())
        census = self._family.census(lambda: logs_of([*self._ended, *live]))
        self._earliest = moment + _CENSUS_SHARE * (now() - moment) if len(census.everyone) > 300 else moment
        for doom in list(self._doomed.values()):
            self._end(doom, census, moment)
        self._end_strays(census, live, moment)
        waits = [_next_look(doom, moment) for doom in self._doomed.values()]
        waits += [max(at - moment, 0.05) for at in self._condemned.values()]
        if waits:
            self._plan(min(waits))

    def _end(self, doom: _Doom, census: Census, moment: float) -> None:
        attempt = doom.attempt
        members = census.members.get(attempt.id, [])
        if attempt.placement.engine is not None:
            # its supervisor, while there is one, ends the container and all that the engine's programs do for it
            members = [] if attempt.over else [process for process in members if process.pid == attempt.pid]
        elif attempt.cgroup is not None:
            known = {process.pid for process in members}
            inside = cgroups.processes(attempt.cgroup)
            members = members + [census.everyone[pid] for pid in inside if pid in census.everyone and pid not in known]
        if attempt.over and (not members or moment > doom.kill_at + _UNKILLABLE):
            self._bury(doom)
        elif moment < doom.kill_at or not doom.asking.begun:
            doom.many = doom.many or len(members) > 1
            doom.asking.ask(members, census.everyone)
        else:
            doom.patience = min(doom.patience * 2, 1.0)
            gently = attempt.placement.engine is not None and moment < doom.kill_at + _SUPERVISOR_PATIENCE
            send(members, signal.SIGUSR1 if gently else signal.SIGKILL)

    def _bury(self, doom: _Doom) -> None:
        del self._doomed[doom.attempt.id]
        doom.attempt.doomed = False
        for call in doom.then:
            call(doom.attempt)

    def _end_strays(self, census: Census, live: list[Attempt], moment: float) -> None:
        condemned, self._condemned = self._condemned, {}
        for process in _without_owner(census, live, set(self._doomed)):
            name = (process.pid, process.started)
            kill_at = condemned.get(name)
            if kill_at is None:
                send([process], signal.SIGTERM)
                send([process], signal.SIGCONT)
                kill_at = moment + LEFTOVER_GRACE
            elif moment >= kill_at:
                send([process], signal.SIGKILL)
            self._condemned[name] = kill_at


def _without_owner(census: Census, live: list[Attempt], doomed: set[str]) -> list[Process]:
    """The processes whose attempt has ended, and the strays that began before any attempt that lives: none of these can have started them."""
    alive = {attempt.id for attempt in live} | doomed
    oldest = min((attempt.began for attempt in live), default=float("inf"))
    left = [process for owner, members in census.members.items() if owner not in alive for process in members if census.is_below(process)]
    return left + [process for process in census.strays if (process.started + 2) / ticks_per_second < oldest]


def _next_look(doom: _Doom, moment: float) -> float:
    if moment >= doom.kill_at:
        return doom.patience
    pause = doom.asking.pause(moment)
    return min(doom.kill_at - moment, pause, 0.25) if doom.attempt.over else min(doom.kill_at - moment, pause)
