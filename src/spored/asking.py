"""SIGTERM to the processes of one attempt, each of which gets it once, however many looks it takes until all of them are known."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from spored.loop import now
from spored.processes import Process, newest_pid, send, ticks_per_second

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0


class _Asked(NamedTuple):
    """When a process was sent its SIGTERM, as exactly as the start of another can be told from it."""

    tick: int  #: since boot
    newest: int  #: the pid that had been given out last; 0 where that is not told

    def is_before(self, process: Process) -> bool:
        """Whether `process` was begun afterwards. A tick is long for a fork: within one, the order of pids tells."""
        return process.pid > self.newest if process.started == self.tick else process.started > self.tick


class Asking:
    """Which processes of an attempt have been asked to end."""

    def __init__(self) -> None:
        self._asked: dict[tuple[int, int], _Asked] = {}
        self._last = 0.0

    @property
    def begun(self) -> bool:
        """Whether somebody has been asked."""
        return bool(self._asked)

    def ask(self, members: Iterable[Process], everyone: Mapping[int, Process]) -> None:
        """Send SIGTERM to the members that have had none yet, and let those go on that are suspended.

        One that a process has started after its own SIGTERM is its answer, such as a command that saves results: it is left alone as long as
        who started it lives, and so is what it starts in turn.
        """
        new = [process for process in members if (process.pid, process.started) not in self._asked and not self._is_an_answer(process, everyone)]
        for process in new:
            self._asked[process.pid, process.started] = _Asked(int(now() * ticks_per_second), newest_pid())
            send([process], signal.SIGTERM)
        send(new, signal.SIGCONT)
        if new:
            self._last = now()

    def _is_an_answer(self, process: Process, everyone: Mapping[int, Process]) -> bool:
        parent = everyone.get(process.parent)
        while parent is not None:
            asked = self._asked.get((parent.pid, parent.started))
            if asked is not None:
                return asked.is_before(process)
            process, parent = parent, everyone.get(parent.parent)
        return False

    def pause(self, moment: float) -> float:
        """Seconds until the next look for members that nobody has seen yet: as long again as has passed since one was found, up to a second."""
        return min(max(moment - self._last, _FIRST_PAUSE), _LONGEST_PAUSE)
