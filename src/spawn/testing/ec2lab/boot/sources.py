"""Where an acted instance's attempts come from: its own part of the launch, or a queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from spawn.testing.ec2lab.boot.launches import Launch, Task
from spawn.testing.ec2lab.boot.reaching import Services, Unreachable
from spawn.testing.ec2lab.machines import Machine

_ASK_S = 5.0
_KEEP_S = 20.0


class Source:
    """Gives one attempt after the other. A queue that gave nothing twice in a row, while nothing ran, is empty."""

    def __init__(self, services: Services, machine: Machine, launch: Launch) -> None:
        self.has_more = True
        self.ask_at = 0.0
        self._services = services
        self._machine = machine
        self._pool = launch.pool
        self._tasks = launch.tasks(machine.launch_index)
        self._again: deque[Task] = deque()
        self._receipts: dict[Task, str] = {}
        self._empty = 0
        self._kept_at = 0.0

    @property
    def is_pool(self) -> bool:
        """Whether it has to be asked from time to time."""
        return self._pool is not None

    def power_on(self) -> None:
        """Begin again to ask."""
        self.has_more, self.ask_at, self._empty = True, 0.0, 0

    def next(self, now: float, *, free: int, busy: bool) -> Task | None:
        """What to do next; None: nothing now."""
        if self._again:
            return self._again.popleft()
        if self._pool is None:
            task = next(self._tasks, None)
            self.has_more = task is not None
            return task
        if now >= self.ask_at:
            self._receive(now, self._pool, free, busy=busy)
        return self._again.popleft() if self._again else None

    def _receive(self, now: float, pool: str, free: int, *, busy: bool) -> None:
        try:
            messages = self._services.receive(self._machine, pool, free)
        except Unreachable:
            self.ask_at = now + _ASK_S
            return
        self.ask_at = now if messages else now + _ASK_S
        self._empty = 0 if messages else self._empty + 1
        self.has_more = self._empty < 2 or busy
        for message in messages:
            task = Task(position=message.body["position"], index=message.body["index"], attempt=message.body["attempt"])
            self._receipts[task] = message.receipt
            self._again.append(task)

    def put_back(self, task: Task) -> None:
        """It could not be claimed yet: it is next again."""
        self._again.appendleft(task)

    def keep(self, now: float, tasks: Iterable[Task]) -> None:
        """Hide the messages of what is under way from other instances, every 20 s."""
        if self._pool is None or now < self._kept_at + _KEEP_S:
            return
        self._kept_at = now
        for task in [*tasks, *self._again]:
            if task in self._receipts:
                try:
                    self._services.keep(self._machine, self._pool, self._receipts[task])
                except Unreachable:
                    continue

    def settled(self, task: Task) -> None:
        """It is recorded, or another instance's: its message may go."""
        receipt = self._receipts.pop(task, None)
        if receipt is not None and self._pool is not None:
            try:
                self._services.delete(self._machine, self._pool, receipt)
            except Unreachable:
                pass  # it comes again, and its claim tells that it is done
