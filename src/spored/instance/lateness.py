"""When it is too late for anything but records."""

from __future__ import annotations

from typing import Callable

from spored.loop import Loop


class Lateness:
    """The earliest of the times that several ends set. Whether it is late may be asked by any thread."""

    def __init__(self, loop: Loop, clock: Callable[[], float], hurry: Callable[[], None]) -> None:
        """`hurry` is called when it becomes late."""
        self._loop = loop
        self._clock = clock
        self._hurry = hurry
        self._times: dict[str, float] = {}

    def is_late(self) -> bool:
        """Whether only records are still written."""
        return self._clock() >= min(self._times.values(), default=float("inf"))

    def set(self, end: str, at: float | None) -> None:
        """This end makes it late at a time, or not any more. The same as before: nothing."""
        if self._times.get(end) == at:
            return
        others = {name: time for name, time in self._times.items() if name != end}
        self._times = others if at is None else {**others, end: at}
        if at is not None:
            self._loop.after(max(at - self._clock(), 0.0), self._due)

    def _due(self) -> None:
        if self.is_late():
            self._hurry()
