"""What a provider tells of attempts: events in the past tense, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant
from spawn.domain.states import InstanceState


@dataclass(frozen=True, slots=True)
class Started:
    """The process of an attempt runs."""

    attempt: AttemptId
    at: Instant


@dataclass(frozen=True, slots=True)
class Completed:
    """The script called `spored complete`; its process may go on for a while."""

    attempt: AttemptId
    at: Instant
    success: bool
    message: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt took: CPU seconds (user and system) and the most memory in KiB at once; None where nobody measured."""

    cpu_s: float | None = None
    max_rss_kib: int | None = None


class EndKind(NamedTuple):
    """How a process ended, as the provider saw it: exit code or signal, and why when not by itself."""

    code: int | None
    signal: int | None
    why: str | None  #: None, timeout, ttl, stopped, oom, completed, interrupted


@dataclass(frozen=True, slots=True)
class Ended:
    """The process of an attempt is gone."""

    attempt: AttemptId
    at: Instant
    how: EndKind
    usage: Usage
    incomplete: str | None = None  #: what of its log and outputs could not be kept


@dataclass(frozen=True, slots=True)
class Refused:
    """The process of an attempt could not be made; `reason` is a container runtime's (`CannotStartContainerError: …`)."""

    attempt: AttemptId
    at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The attempt was handed over, never began, and never will."""

    attempt: AttemptId
    at: Instant


@dataclass(frozen=True, slots=True)
class Lost:
    """Whatever ran the attempt died; nobody knows how it would have ended."""

    attempt: AttemptId
    at: Instant
    why: str | None = None  #: what is known of how it died: `never checked in`, EC2's state reason
    market: bool = False  #: the spot market took its instance back


@dataclass(frozen=True, slots=True)
class Launched:
    """An instance was launched for the attempt; a provider whose instances have names of their own tells so before Started."""

    attempt: AttemptId
    at: Instant
    instance_id: str


@dataclass(frozen=True, slots=True)
class InstanceChanged:
    """The instance of an attempt, under way or ended, took another state."""

    attempt: AttemptId
    at: Instant
    instance_id: str
    state: InstanceState


@dataclass(frozen=True, slots=True)
class AllLost:
    """The provider has no memory of anything before now: what is not known to have ended is lost."""

    at: Instant


ProviderEvent = Started | Completed | Ended | Refused | Dropped | Lost | AllLost | Launched | InstanceChanged


class News(NamedTuple):
    """Events in the order in which they happened, and the place after the last of them."""

    events: list[ProviderEvent]
    place: str | None
    more: bool  #: whether there is more than one turn takes
