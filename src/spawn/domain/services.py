"""Service environments and quota shares: what AWS Batch runs SageMaker service jobs by. They are kept and shown; nothing here is scheduled by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from spawn.domain.errors import InvalidField
from spawn.domain.names import check_name
from spawn.domain.queues import Health, Switch

MAX_CAPACITY_LIMITS: Final = 5
"""Most capacity limits of a quota share."""

MAX_QUOTA_SHARES: Final = 20
"""Most quota shares of a job queue."""

UNLIMITED: Final = -1
"""The borrow limit that is none."""


class ServiceType(Enum):
    """Whose jobs run in a service environment."""

    SAGEMAKER_TRAINING = "SAGEMAKER_TRAINING"


class Sharing(Enum):
    """What a quota share does with capacity that it does not use."""

    RESERVE = "RESERVE"  #: keeps it
    LEND = "LEND"  #: lends it to others
    LEND_AND_BORROW = "LEND_AND_BORROW"  #: lends it, and borrows that of others


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityLimit:
    """At most so many of a unit: an instance type, or `NUM_INSTANCES` for all types together."""

    maximum: int
    unit: str

    def __post_init__(self) -> None:
        if self.maximum < 0:
            raise InvalidField("capacityLimits.maxCapacity", f"{self.maximum} is below 0")
        if not self.unit:
            raise InvalidField("capacityLimits.capacityUnit", "it is empty: name an instance type such as ml.m5.large, or NUM_INSTANCES")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEnvironment:
    """Where service jobs would run, and how many at once."""

    name: str
    type: ServiceType
    limits: tuple[CapacityLimit, ...]
    state: Switch = Switch.ENABLED
    status: Health = Health.VALID
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("serviceEnvironmentName", self.name)
        _check_limits(self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaShare:
    """A part of a queue of service jobs, with a capacity of its own."""

    queue: str
    share: str
    limits: tuple[CapacityLimit, ...]
    sharing: Sharing
    borrow_limit: int | None = None  #: percent of its own capacity that it may borrow; None unless it borrows
    preempts: bool  #: whether its jobs may be preempted by more urgent ones of the same share
    state: Switch = Switch.ENABLED
    status: Health = Health.VALID
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("quotaShareName", self.share)
        _check_limits(self.limits)
        if len(self.limits) > MAX_CAPACITY_LIMITS:
            raise InvalidField("capacityLimits", f"{len(self.limits)} are more than {MAX_CAPACITY_LIMITS}")
        if (self.borrow_limit is None) == (self.sharing is Sharing.LEND_AND_BORROW):
            raise InvalidField("resourceSharingConfiguration.borrowLimit", f"it goes with LEND_AND_BORROW alone, not with {self.sharing.value}")
        if self.borrow_limit is not None and self.borrow_limit < UNLIMITED:
            raise InvalidField("resourceSharingConfiguration.borrowLimit", f"{self.borrow_limit} is below {UNLIMITED}")

    @property
    def name(self) -> str:
        """What it is found by: shares of different queues may be called alike."""
        return f"{self.queue}/quota-share/{self.share}"


def _check_limits(limits: tuple[CapacityLimit, ...]) -> None:
    if not limits:
        raise InvalidField("capacityLimits", "there is none: at least one is needed")
    units = [limit.unit for limit in limits]
    if doubled := next((unit for unit in units if units.count(unit) > 1), None):
        raise InvalidField("capacityLimits", f"'{doubled[:60]}' is limited twice")
