"""Consumable resources: what jobs take while they run, and wait for when there is none left (AWS Batch, consumable resources)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from spawn.domain.instants import Instant


class Consumption(Enum):
    """Whether what a job took comes back."""

    REPLENISHABLE = "REPLENISHABLE"  #: when the job ends
    NON_REPLENISHABLE = "NON_REPLENISHABLE"  #: never


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumableResource:
    """A named quantity that jobs take from."""

    name: str
    total: int
    consumption: Consumption = Consumption.REPLENISHABLE
    used: int = 0  #: what jobs have used up for ever; only of one that is not replenishable
    created_at: Instant
    tags: Mapping[str, str] = field(default_factory=dict)
