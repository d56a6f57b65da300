"""What the runner does about containers whose supervisor did not see to everything."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable

from spored.attempts import Attempt
from spored.environment import DETACHED_MARK
from spored.family import Family
from spored.home import Home, this_program
from spored.notes import place_of

_NULL = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)


class Containers:
    """The containers of the attempts of this runner."""

    def __init__(self, home: Home, family: Family) -> None:
        self._home = home
        self._family = family
        self._removing: dict[str, bool] = {}  #: by attempt id; True: the remover has ended

    def are_gone(self, attempt: Attempt, then: Callable[[Attempt], Any]) -> bool:
        """Whether nothing is left of the container of an attempt whose supervisor has ended. If not, it is removed now, and `then` called once afterwards."""
        place = place_of(self._home.path, attempt.id)
        if attempt.id in self._removing:
            if self._removing[attempt.id]:
                del self._removing[attempt.id]
                return True
            return False
        if (attempt.verdict is not None and attempt.verdict.removed) or not os.path.isdir(place):
            return True
        self._removing[attempt.id] = False

        def ended(_: int) -> None:
            self._removing[attempt.id] = True
            if not attempt.doomed:  # else whoever ends it calls
                then(attempt)

        self._family.add(self._begin_remover(attempt.id), ended)
        return False

    def _begin_remover(self, attempt: str) -> int:
        command = [sys.executable, "-IS", this_program(), "container", "--runner", self._home.path, "--remove", attempt]
        actions = [(os.POSIX_SPAWN_DUP2, _NULL, fd) for fd in (0, 1)]
        return os.posix_spawn(sys.executable, command, {DETACHED_MARK: "1"}, file_actions=actions, setsid=True, setsigmask=())
