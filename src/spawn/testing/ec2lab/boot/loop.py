"""One thread that waits for everything: files, times and the ends of processes."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_NO_END = 3600.0


@dataclass(order=True, slots=True)
class Timer:
    """Something to do later; `cancel` forgets it."""

    at: float
    number: int
    act: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Do nothing when the time comes."""
        self.act = None


class Loop:
    """Calls back what was asked for, one at a time. In the main thread only."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._children: dict[int, Callable[[int], None]] = {}
        self._wake_r, self._wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self.watch(self._wake_r, lambda: None)

    def watch(self, fd: int, act: Callable[[], None]) -> None:
        """Call `act` whenever something can be read from `fd`."""
        self._selector.register(fd, selectors.EVENT_READ, act)

    def forget(self, fd: int) -> None:
        """Watch it no more."""
        self._selector.unregister(fd)

    def later(self, seconds: float, act: Callable[[], None]) -> Timer:
        """Call `act` after so long."""
        timer = Timer(time.monotonic() + max(0.0, seconds), next(self._numbers), act)
        heapq.heappush(self._timers, timer)
        return timer

    def on_end(self, pid: int, act: Callable[[int], None]) -> None:
        """Call `act` with the wait status when the child `pid` has ended."""
        self._children[pid] = act

    def turn(self) -> None:
        """Wait until something is due, and do it."""
        wait = max(0.0, self._timers[0].at - time.monotonic()) if self._timers else _NO_END
        for key, _ in self._selector.select(wait):
            if key.fd == self._wake_r:
                self._drain()
            elif key.fd in self._selector.get_map():
                key.data()
        self._reap()
        while self._timers and self._timers[0].at <= time.monotonic():
            act = heapq.heappop(self._timers).act
            if act is not None:
                act()

    def _drain(self) -> None:
        try:
            while os.read(self._wake_r, 4096):
                pass
        except BlockingIOError:
            pass

    def _reap(self) -> None:
        """Bury every child, also those that nobody asked about."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            act = self._children.pop(pid, None)
            if act is not None:
                act(status)
