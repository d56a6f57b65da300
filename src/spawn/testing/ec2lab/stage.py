"""What every part of a laboratory shares: its plan, clock, lock, dice and agenda."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spawn.engine.ports import Clock
from spawn.testing.ec2lab.plan import LabPlan


class Stage:
    """Time passes here only when somebody looks at the clock: whatever is due happens in `tick`, in the order in which it is due."""

    def __init__(self, plan: LabPlan, clock: Clock, account: str) -> None:
        self.plan = plan
        self.clock = clock
        self.account = account
        self.dice = random.Random(plan.seed)
        self.began = self.now()
        self._lock = threading.RLock()
        self._depth = 0
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._outbox: deque[Callable[[], object]] = deque()
        self._sending = threading.Lock()
        self._closed = False
        self.failures: list[Exception] = []  #: what went wrong in the laboratory itself

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.clock.now() / 1000

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Have the laboratory to oneself. What was put off with `afterwards` is done when the last one has left."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                last = self._depth == 0
        if last:
            self._send()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Have the laboratory to oneself in a call that a machine makes: nothing is sent to machines from within it."""
        with self._lock:
            yield

    def at(self, when: float, act: Callable[[], object]) -> None:
        """Do something when the clock says so."""
        with self._lock:
            heapq.heappush(self._agenda, (when, next(self._numbers), act))

    def afterwards(self, act: Callable[[], object]) -> None:
        """Do something in order, but outside of the lock: machines have locks of their own."""
        self._outbox.append(act)

    def due(self) -> float | None:
        """When the next thing on the agenda is due."""
        with self._lock:
            return self._agenda[0][0] if self._agenda else None

    def tick(self) -> None:
        """Do all that is due."""
        while (due := self.due()) is not None and due <= self.now():
            with self.acting():
                if self._agenda and self._agenda[0][0] <= self.now():
                    self._do(heapq.heappop(self._agenda)[2])
        self._send()

    def close(self) -> None:
        """Send nothing to machines any more."""
        self._closed = True

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            # one machine that cannot be had must not keep the clock from going on
            self.failures.append(error)

    def _send(self) -> None:
        # whoever finds another thread sending leaves the rest to it; it looks again before it goes
        while self._outbox and self._sending.acquire(blocking=False):
            try:
                while self._outbox:
                    act = self._outbox.popleft()
                    if not self._closed:
                        self._do(act)
            finally:
                self._sending.release()
