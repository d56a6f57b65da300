"""What is known of a single child: what the store keeps of it, and its attempt while one is under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from spawn.domain.instants import Instant
from spawn.domain.queues import LOCAL_ENVIRONMENT


class ChildRecord(NamedTuple):
    """What the store keeps of a child that has moved by itself."""

    status: int
    attempt: int  #: the latest attempt, 0 before the first
    round_start: int  #: attempts made before the current round; a round begins at submission and at every `spawn retry`
    reason: str | None  #: why it has this status, where no attempt says it; for a PENDING child: why it was cancelled
    started_at: Instant | None  #: of the latest attempt
    stopped_at: Instant | None
    ends_at: Instant | None  #: the end of its instance, when `spawn extend` has set one
    environment: str | None = None  #: the compute environment of the latest attempt
    losses: int = 0  #: attempts that the spot market took, since submission or the last `spawn retry`
    instance_id: str | None = None  #: of the latest attempt's instance, where instances have names of their own


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An attempt that has been handed to a provider and has not ended."""

    attempt: int
    round_start: int
    started_at: Instant | None = None
    ends_at: Instant | None = None
    stopping: str | None = None  #: the reason given when it was terminated
    environment: str = LOCAL_ENVIRONMENT  #: the compute environment that it was placed in
    instance_id: str | None = None  #: its instance, where instances have names of their own and it is known

    @property
    def made(self) -> int:
        """Attempts of this round, this one included."""
        return self.attempt - self.round_start
