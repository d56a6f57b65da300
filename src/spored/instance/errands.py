"""What has to be done in the bucket, in order, until it is done."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, NamedTuple, TypeVar

from spored.instance.pauses import FIRST_S, Pauses
from spored.instance.workers import Workers
from spored.loop import Loop, Timer

T = TypeVar("T")


class _Errand(NamedTuple):
    what: str
    call: Callable[[], Any]
    then: Callable[[Any], None]


class Office(NamedTuple):
    """What errands need to be run."""

    loop: Loop
    workers: Workers
    random: Callable[[], float]
    changed: Callable[[], None]  #: called when an errand begins to fail, fails in another way, or works again


class Errands:
    """One at a time, in the order they were given. One that fails is tried again with growing pauses, and the later ones wait for it."""

    def __init__(self, office: Office, lane: str) -> None:
        self._office = office
        self._lane = lane
        self._todo: deque[_Errand] = deque()
        self._running = False
        self._pauses = Pauses(office.random)
        self._pause: Timer | None = None
        self.trouble: str | None = None  #: why the first one failed last; None: it did not

    def __len__(self) -> int:
        return len(self._todo)

    def add(self, what: str, call: Callable[[], T], then: Callable[[T], None] = lambda _: None) -> None:
        """Call in a thread when all before it are done, and then `then` with what it gave, in the loop's."""
        self._todo.append(_Errand(what, call, then))
        self._go_on()

    def _go_on(self) -> None:
        if self._todo and not self._running:
            self._running = True
            self._office.workers.do(self._lane, self._todo[0].call, self._succeeded, self._failed)

    def _succeeded(self, value: object) -> None:
        errand = self._todo.popleft()
        self._running = False
        self._pauses.reset()
        if self.trouble is not None:
            self.trouble = None
            self._office.changed()
        errand.then(value)
        self._go_on()

    def _failed(self, error: Exception) -> None:
        text = f"{self._todo[0].what}: {str(error) or type(error).__name__}"
        changed, self.trouble = text != self.trouble, text
        self._pause = self._office.loop.after(self._pauses.next(), self._again)
        if changed:
            self._office.changed()

    def hurry(self) -> None:
        """Time is short: do not wait for the end of a pause, and pause no longer than a second from now on."""
        self._pauses = Pauses(self._office.random, longest_s=FIRST_S)
        if self._pause is not None:
            self._pause.cancel()
            self._again()

    def _again(self) -> None:
        self._pause = None
        self._running = False
        self._go_on()
