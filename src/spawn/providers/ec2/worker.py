"""The thread in which the work of the provider ec2 is done: one step after another, as soon as the last one wants it or somebody wakes it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from spawn.domain.errors import StoreUnavailable
from spawn.domain.hindrances import Hindrance
from spawn.domain.instants import Instant
from spawn.engine.ports import Clock
from spawn.providers.ec2.orders import Orders

_AFTER_A_FAILURE_S: Final = 5.0
_AT_LEAST_EVERY_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.5
_log = logging.getLogger(__name__)


class Work(Protocol):
    """What is done in the thread (`work.FleetWork`)."""

    @property
    def reasons(self) -> Mapping[str, Counter[Hindrance]]:
        """Why attempts have not begun, by the array's key."""

    def step(self, now: Instant, *, look: bool = False) -> Instant | None:
        """One round; when the next one is wanted."""

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Delete an array's files in the rounds to come."""

    def close(self) -> None:
        """Let go of threads."""


class Worker:
    """Makes the work, and begins it, when there is some: what talks to AWS is not even imported before."""

    def __init__(self, orders: Orders, make_work: Callable[[], Work], clock: Clock) -> None:
        self._orders = orders
        self._make_work = make_work
        self._clock = clock
        self._work: Work | None = None
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._woken = self._closing = self._connected = False
        self._looks_wanted = self._looks_done = 0

    def connect(self, wake: Callable[[], None]) -> bool:
        """Go on with what the ledger has; True the first time."""
        first, self._connected, self._wake = not self._connected, True, wake
        if self._orders.has_work():
            self._begin()
        return first

    @property
    def reasons(self) -> Mapping[str, Counter[Hindrance]]:
        """Why attempts have not begun, by the array's key."""
        return {} if self._work is None else self._work.reasons

    def wake(self) -> None:
        """There is something to do."""
        if self._connected and not self._closing:
            self._begin()
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def discard(self, directory: str, done: Callable[[str], object]) -> None:
        """Delete an array's files, in the thread."""
        self._made().discard(directory, done)
        self.wake()

    def look(self, within_s: float) -> bool:
        """Return after a step that looked and began after this call: True. False: it has not ended within this time."""
        with self._changed:
            if self._thread is None or self._closing:
                return True
            self._looks_wanted += 1
            mine = self._looks_wanted
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._looks_done >= mine or self._closing, within_s)

    def stop(self, within_s: float | None = None) -> None:
        """End after the step that is under way; `within_s`: one that takes longer is left as a crash would leave it. Again: nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(within_s)

    def terminate_all(self, within_s: float) -> None:
        """Have everything terminated that is known; return when EC2 says that it ends, or when the time is over. What is left is asked for again later."""
        self._orders.end_all("the engine was stopped with --terminate")
        self.wake()
        pause, until = threading.Event(), time.monotonic() + within_s
        while self._orders.unended() and (left := until - time.monotonic()) > 0:
            if self.look(left):
                pause.wait(min(_LOOK_AGAIN_S, max(0.0, until - time.monotonic())))

    def close(self) -> None:
        """Let go of what the work holds. After `stop`."""
        if self._work is not None:
            self._work.close()

    def _made(self) -> Work:
        with self._changed:
            if self._work is None:
                self._work = self._make_work()
            return self._work

    def _begin(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ec2", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            with self._changed:
                looks, self._woken = self._looks_wanted, False
            next_at = self._step(look=looks > self._looks_done)
            with self._changed:
                self._looks_done = max(self._looks_done, looks)
                self._changed.notify_all()
                pause = _AT_LEAST_EVERY_S if next_at is None else min(_AT_LEAST_EVERY_S, max(0.0, (next_at - self._clock.now()) / 1000))
                self._changed.wait_for(lambda: self._woken or self._closing or self._looks_wanted > self._looks_done, pause)

    def _step(self, *, look: bool) -> Instant | None:
        before = self._orders.last_event()
        try:
            next_at = self._made().step(self._clock.now(), look=look)
        except StoreUnavailable:
            _log.exception("the ledger could not be written")
            return Instant(self._clock.now() + round(_AFTER_A_FAILURE_S * 1000))
        except Exception:
            _log.exception("a round of work on EC2 failed: it is done again")
            next_at = Instant(self._clock.now() + round(_AFTER_A_FAILURE_S * 1000))
        if self._orders.last_event() != before:
            self._wake()
        return next_at
