"""Consumable resources: what jobs take while they run, and wait for when there is none left (AWS Batch, consumable resources)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from spawn.domain.errors import InvalidField
from spawn.domain.instants import Instant, later
from spawn.domain.names import check_name

MAX_QUANTITY: Final = 2**63 - 1
"""Largest quantity: what AWS Batch calls a long."""

TOKENS_KEPT: Final = 100
"""Most client tokens that are remembered of one resource."""

TOKEN_LIFE: Final = timedelta(hours=8)
"""How long a client token tells a request that is sent again from a new one."""


class Consumption(Enum):
    """Whether what a job took comes back."""

    REPLENISHABLE = "REPLENISHABLE"  #: when the job ends
    NON_REPLENISHABLE = "NON_REPLENISHABLE"  #: never


class Operation(Enum):
    """What an update does to the quantity."""

    SET = "SET"  #: it is what is given
    ADD = "ADD"  #: it is so much more
    REMOVE = "REMOVE"  #: it is so much less


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A request to change the quantity, and when it was made; the same one with the same token is not made twice."""

    operation: Operation
    quantity: int
    token: str | None
    at: Instant

    def repeats(self, other: Update) -> bool:
        """Whether this is another request sent again."""
        same = (self.token, self.operation, self.quantity) == (other.token, other.operation, other.quantity)
        return same and self.token is not None and self.at < later(other.at, TOKEN_LIFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumableResource:
    """A named quantity that jobs take from. Deleting it is allowed at any time: jobs that need it wait until it is there again."""

    name: str
    total: int
    consumption: Consumption = Consumption.REPLENISHABLE
    used: int = 0  #: what jobs have used up for ever; only of one that is not replenishable
    created_at: Instant
    tags: Mapping[str, str] = field(default_factory=dict)
    updates: tuple[Update, ...] = ()  #: the latest that came with a token, the newest last

    def __post_init__(self) -> None:
        check_name("consumableResourceName", self.name)
        if not 0 <= self.total <= MAX_QUANTITY:
            raise InvalidField("totalQuantity", f"{self.total} is not between 0 and {MAX_QUANTITY}")

    @property
    def remaining(self) -> int:
        """The quantity that there is, in use or not: what was used up for ever counts no more. AWS Batch calls it the total quantity."""
        return max(0, self.total - self.used)

    def updated(self, update: Update) -> ConsumableResource:
        """The resource after an update; unchanged when it is an earlier one sent again. InvalidField when less than nothing would be left."""
        if any(update.repeats(earlier) for earlier in self.updates):
            return self
        if update.quantity < 0:
            raise InvalidField("quantity", f"{update.quantity} is below 0")
        if update.operation is Operation.SET:
            quantity = update.quantity
        else:
            quantity = self.remaining + (update.quantity if update.operation is Operation.ADD else -update.quantity)
        if not 0 <= quantity <= MAX_QUANTITY - self.used:
            raise InvalidField("quantity", f"{update.operation.value} {update.quantity} to {self.remaining} would make {quantity}: it is 0 to {MAX_QUANTITY}")
        kept = self.updates if update.token is None else (*self.updates, update)[-TOKENS_KEPT:]
        return replace(self, total=quantity + self.used, updates=kept)
