"""How acted machines behave: what their attempts do, and what befalls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one attempt does. Times are in seconds from its start."""

    duration_s: float = 60.0
    code: int | None = 0
    signal: int | None = None  #: then `code` must be None
    completed: tuple[str, str | None] | None = None  #: `spored complete`: status and message
    completed_after_s: float = 0.0
    log: bytes = b""
    outputs: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.code is None) == (self.signal is None):
            raise ValueError(f"an attempt ends with a code or a signal, not with code {self.code} and signal {self.signal}")
        if self.duration_s < 0 or self.completed_after_s < 0:
            raise ValueError("an attempt cannot last less than 0 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What befalls one machine. Times are in seconds from its power on."""

    running_s: float = 10.0  #: until EC2 says `running`
    ready_s: float = 30.0  #: until it checks in
    checks_in: bool = True  #: false: its agent never starts, and only its guard ends it
    dies_s: float | None = None  #: when its host fails
    cannot_write: tuple[float, float] | None = None  #: between these times the bucket takes nothing from it

    def can_write(self, age_s: float) -> bool:
        """Whether the bucket takes something from it at this age."""
        return self.cannot_write is None or not self.cannot_write[0] <= age_s < self.cannot_write[1]


def _sixty_seconds(_index: int, _attempt: int, _random: Random) -> Act:
    return Act()


def _nothing_befalls(_nth: int, _random: Random) -> Life:
    return Life()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActPlan:
    """What is acted. The functions get a random source that depends on the seed and on whom it is about, on nothing else."""

    seed: int = 0
    attempt: Callable[[int, int, Random], Act] = _sixty_seconds  #: of (index, attempt)
    machine: Callable[[int, Random], Life] = _nothing_befalls  #: of how many machines were made before it
    end_s: float = 5.0  #: from `shutdown -h now` to the power's end
    shutdown_s: float = 20.0  #: a machine that is told to end is off then at the latest
    detail: bool = True  #: false: no `started`, no news but of the end, and no beat, for arrays of many thousands

    def act_of(self, index: int, attempt: int) -> Act:
        """What this attempt does."""
        return self.attempt(index, attempt, Random(f"{self.seed}:{index}:{attempt}"))

    def life_of(self, nth: int) -> Life:
        """What befalls this machine."""
        return self.machine(nth, Random(f"{self.seed}:machine:{nth}"))
