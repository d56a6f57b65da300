"""The event loop: what can be read, what is due, and what has died, in one thread."""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from typing import Callable

_CLOCK = time.CLOCK_BOOTTIME
_clock_gettime = time.clock_gettime
_LONGEST_WAIT = 60.0
"""A timer may be late by this much after a suspend, which epoll's clock does not count."""


def now() -> float:
    """Seconds on a clock that never jumps and goes on while the machine is suspended."""
    return _clock_gettime(_CLOCK)


class Timer:
    """Something to be called at a time, unless cancelled before."""

    __slots__ = ("call", "due", "loop")

    def __init__(self, due: float, call: Callable[[], None], loop: Loop) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call
        self.loop = loop

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due

    def cancel(self) -> None:
        """Never call it. Again, or after it was called: nothing."""
        if self.call is not None:
            self.call = None
            self.loop.cancelled += 1


class Loop:
    """Waits, and calls. `signals` maps each signal to what it does; SIGCHLD among them."""

    def __init__(self, signals: dict[int, Callable[[], None]]) -> None:
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._soon: list[Callable[[], None]] = []
        self._signals = signals
        self.cancelled = 0
        self._woken, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, _nothing)
        self.watch(self._woken, self._signalled)

    def watch(self, fd: int, call: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        """Call with the events whenever `fd` has some of `events`. Again: the later call and events count."""
        if fd in self._readers:
            self._poll.modify(fd, events)
        else:
            self._poll.register(fd, events)
        self._readers[fd] = call

    def unwatch(self, fd: int) -> None:
        """Forget `fd`, before it is closed."""
        if self._readers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, wait: float, call: Callable[[], None]) -> Timer:
        """Call once, `wait` seconds from now."""
        timer = Timer(now() + wait, call, self)
        heapq.heappush(self._timers, timer)
        return timer

    def soon(self, call: Callable[[], None]) -> None:
        """Call once, at the end of this turn."""
        self._soon.append(call)

    def turn(self) -> None:
        """Wait until something happens, then call all it concerns."""
        timers = self._timers
        if self._soon:
            patience: float | None = 0.0
        else:
            patience = min(max(timers[0].due - now(), 0.0), _LONGEST_WAIT) if timers else None
        for fd, events in self._poll.poll(patience):
            reader = self._readers.get(fd)  # an earlier call of this turn may have closed it
            if reader is not None:
                reader(events)
        if timers and timers[0].due <= now():
            self._fire()
        while self._soon:
            calls, self._soon = self._soon, []
            for call in calls:
                call()

    def _fire(self) -> None:
        timers = self._timers
        moment = now()
        while timers and (timers[0].due <= moment or timers[0].call is None):
            timer = heapq.heappop(timers)
            if timer.call is None:
                self.cancelled -= 1
                continue
            call, timer.call = timer.call, None
            call()
        if self.cancelled > 1000 and self.cancelled > len(timers) // 2:
            # Timeouts of hours must not keep the attempts alive that ended long before them.
            self._timers = [timer for timer in timers if timer.call is not None]
            heapq.heapify(self._timers)
            self.cancelled = 0

    def _signalled(self, _events: int) -> None:
        for number in set(os.read(self._woken, 4096)):
            call = self._signals.get(number)
            if call is not None:
                call()


def _nothing(_number: int, _frame: object) -> None:
    pass
