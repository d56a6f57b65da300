"""How long to wait before something is tried again."""

from __future__ import annotations

from typing import Callable

FIRST_S = 1.0
LONGEST_S = 60.0


class Pauses:
    """Pauses that grow: about 1 s, 2, 4, …, and never more than 60. `random` (0 to 1) shortens each by up to half, so that not all ask at once."""

    def __init__(self, random: Callable[[], float], *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._random = random
        self._first = first_s
        self._longest = longest_s
        self._next = first_s

    def next(self) -> float:
        """Seconds to wait now."""
        pause = self._next * (1 - self._random() / 2)
        self._next = min(self._next * 2, self._longest)
        return pause

    def reset(self) -> None:
        """It worked: the next pause is the first one again."""
        self._next = self._first
