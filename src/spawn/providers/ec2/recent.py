"""What was looked up of an account a moment ago: a launch that was planned is checked again without asking for all of it once more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar, cast

from spawn.domain.instants import Instant

T = TypeVar("T")

FRESH_MS: Final = 60_000
"""How long an answer counts."""

_MOST: Final = 1_000


class Recent:
    """Answers of one access. Safe to use from any thread; two that ask at once may both ask AWS. What failed is asked again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._answers: dict[Hashable, tuple[Instant, Any]] = {}

    def answer(self, key: Hashable, at: Instant, ask: Callable[[], T]) -> T:
        """What is remembered under a key since less than a minute, else what `ask` says now."""
        with self._guard:
            found = self._answers.get(key)
        if found is not None and 0 <= at - found[0] < FRESH_MS:
            return cast(T, found[1])
        answer = ask()
        with self._guard:
            if len(self._answers) >= _MOST:
                self._answers.clear()
            self._answers[key] = at, answer
        return answer
