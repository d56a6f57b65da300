"""Instances: the machine, or on this machine the private sandbox, that one attempt has to itself, and when it ends.

Its life is apart from the outcome of the attempt: a child may have succeeded while its instance runs on, so that its user can look around.
Every instance has an end that needs no one's help.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from spawn.domain.errors import InvalidField
from spawn.domain.instants import Instant, later
from spawn.domain.states import NOT_STARTED, InstanceState, Status

KEPT: Final = timedelta(hours=24)
"""How long an instance with neither a TTL nor an idle time lives on after its attempt has ended."""


class OnComplete(Enum):
    """What becomes of the instance when its attempt has ended."""

    TERMINATE = "terminate"  #: it ends at once
    STOP = "stop"  #: nothing runs in it any more; its files stay until its end
    NONE = "none"  #: it runs on until its end

    @classmethod
    def parse(cls, text: str, *, field: str = "--on-complete") -> OnComplete:
        """Read `terminate`, `stop` or `none`; InvalidField else."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidField(field, f"'{text[:60]}' is not one of terminate, stop, none") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long an instance lives: at most `ttl` from its start, and `idle` after its attempt has ended."""

    ttl: timedelta | None = None
    idle: timedelta | None = None
    on_complete: OnComplete = OnComplete.NONE

    def __post_init__(self) -> None:
        for field, duration in (("ttl", self.ttl), ("idle", self.idle)):
            if duration is not None and duration <= timedelta():
                raise InvalidField(field, "it must be more than nothing")


def deadline(lifetime: Lifetime, started_at: Instant | None, ended_at: Instant | None, *, extended_to: Instant | None = None) -> Instant | None:
    """When the instance of an attempt ends, as far as is known now; None: it has no end yet, or there is no instance.

    While the attempt runs: its start and the TTL. After it: at once with TERMINATE; else at the end of its TTL or its idle time, whichever
    comes first, and 24 h after the attempt when it has neither. `spawn extend` overrules both times, but not TERMINATE.
    """
    if started_at is None:
        return None
    if ended_at is not None and lifetime.on_complete is OnComplete.TERMINATE:
        return ended_at
    if extended_to is not None:
        return extended_to
    ends = [later(started_at, lifetime.ttl)] if lifetime.ttl is not None else []
    if ended_at is not None and (lifetime.idle is not None or not ends):
        ends.append(later(ended_at, lifetime.idle or KEPT))
    return min(ends, default=None)


def state_of(status: Status, on_complete: OnComplete, *, ends_at: Instant | None, now: Instant, stopping: bool = False, gone: bool = False) -> InstanceState:
    """The state of a child's instance, from the child's status and the instance's deadline.

    `stopping`: it was asked to end, by its user or its time. `gone`: it ended before its time, because it was terminated or lost; a
    child that settled without a start never had one, and says the same: TERMINATED.
    """
    if gone:
        return InstanceState.TERMINATED
    over = ends_at is not None and ends_at <= now
    if status in NOT_STARTED or status is Status.STARTING:
        return InstanceState.PENDING
    if status is Status.RUNNING:
        return InstanceState.SHUTTING_DOWN if stopping or over else InstanceState.RUNNING
    if ends_at is None or over:
        return InstanceState.TERMINATED
    if stopping:
        return InstanceState.SHUTTING_DOWN
    return InstanceState.STOPPED if on_complete is OnComplete.STOP else InstanceState.RUNNING
