"""Outcomes: how an attempt ended, in the words that AWS Batch prints (spec 2.8) and that the retry rules of others match."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final, Self

from spawn.domain.durations import format_duration

EXITED: Final = "Essential container in task exited"
"""Status reason of a process that exited, well or badly."""

TIMED_OUT: Final = "Job attempt duration exceeded timeout"
"""Status reason of an attempt that ran longer than its timeout."""

NOT_STARTED: Final = "Task failed to start"
"""Status reason of an attempt whose process could not be made; the outcome's reason says why."""

OUT_OF_MEMORY: Final = "OutOfMemoryError: Container killed due to memory usage"
"""Reason of an attempt that was killed for the memory it took."""

INTERRUPTED: Final = "Spot interruption"
"""Reason of an attempt whose instance the spot market took back."""

SIGKILL: Final = 9


class OutcomeKind(Enum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"  #: exited with 0, or said so with `spored complete`
    FAILED = "failed"  #: exited badly, was killed by a signal, or said so
    REFUSED = "refused"  #: its process could not be made
    OUT_OF_MEMORY = "out_of_memory"  #: killed for the memory it took
    TIMED_OUT = "timed_out"  #: stopped, because the attempt ran longer than its timeout
    STOPPED = "stopped"  #: terminated by its user
    EXPIRED = "expired"  #: stopped, because its instance reached the end of its TTL
    LOST = "lost"  #: its machine or runner is gone; what the process did is unknown
    INTERRUPTED = "interrupted"  #: the spot market took its instance back


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended. The exit code is what was really reported; after signal n it is 128+n, as a container runtime says it."""

    kind: OutcomeKind
    status_reason: str  #: why the attempt ended
    exit_code: int | None = None  #: None: there is none
    signal: int | None = None  #: the signal that killed the process
    reason: str | None = None  #: the container's reason; absent on a plain exit
    message: str | None = None  #: what the script said with `spored complete --message`

    @classmethod
    def exited(cls, code: int) -> Self:
        """The process exited by itself: with 0 it succeeded, with anything else it failed."""
        kind = OutcomeKind.SUCCEEDED if code == 0 else OutcomeKind.FAILED
        return cls(kind=kind, exit_code=code, status_reason=EXITED)

    @classmethod
    def killed(cls, signal: int) -> Self:
        """A signal that nobody here sent ended the process."""
        return cls(kind=OutcomeKind.FAILED, exit_code=128 + signal, signal=signal, status_reason=EXITED)

    @classmethod
    def refused(cls, reason: str) -> Self:
        """The process could not be made; the reason begins with `CannotStartContainerError: ` or its like."""
        return cls(kind=OutcomeKind.REFUSED, reason=reason, status_reason=NOT_STARTED)

    @classmethod
    def out_of_memory(cls) -> Self:
        """The process was killed for the memory it took: exit code 137, as ECS reports it."""
        return cls(kind=OutcomeKind.OUT_OF_MEMORY, exit_code=128 + SIGKILL, signal=SIGKILL, reason=OUT_OF_MEMORY, status_reason=EXITED)

    @classmethod
    def timed_out(cls, code: int | None, signal: int | None) -> Self:
        """The attempt ran longer than its timeout; how its process then ended may be unknown (spec 2.7)."""
        return cls(kind=OutcomeKind.TIMED_OUT, exit_code=_exit_code(code, signal), signal=signal, status_reason=TIMED_OUT)

    @classmethod
    def stopped(cls, reason: str, *, code: int | None = None, signal: int | None = None) -> Self:
        """A user terminated it, and gave this reason (spec 2.9)."""
        return cls(kind=OutcomeKind.STOPPED, exit_code=_exit_code(code, signal), signal=signal, status_reason=reason)

    @classmethod
    def expired(cls, instance_id: str, ttl: timedelta, *, code: int | None = None, signal: int | None = None) -> Self:
        """Its instance ended while it ran, because the TTL was over."""
        text = f"Instance {instance_id} reached the end of its TTL of {format_duration(ttl)}"
        return cls(kind=OutcomeKind.EXPIRED, exit_code=_exit_code(code, signal), signal=signal, status_reason=text)

    @classmethod
    def lost(cls, instance_id: str, why: str | None = None) -> Self:
        """Its machine or runner is gone and left no record. Lost is not failed: the retry rules decide (design, durability 6)."""
        return cls(kind=OutcomeKind.LOST, status_reason=_host_gone(instance_id), reason=why)

    @classmethod
    def interrupted(cls, instance_id: str, *, code: int | None = None, signal: int | None = None) -> Self:
        """The spot market took its instance back; in AWS Batch's words, which retry rules match (`Host EC2*`)."""
        return cls(kind=OutcomeKind.INTERRUPTED, exit_code=_exit_code(code, signal), signal=signal, status_reason=_host_gone(instance_id), reason=INTERRUPTED)

    @classmethod
    def completed(cls, success: bool, message: str | None, *, code: int | None = None, signal: int | None = None) -> Self:
        """The script said how it went, with `spored complete`: that counts, the exit code is only recorded."""
        kind = OutcomeKind.SUCCEEDED if success else OutcomeKind.FAILED
        return cls(kind=kind, exit_code=_exit_code(code, signal), signal=signal, status_reason=EXITED, message=message)

    @property
    def succeeded(self) -> bool:
        """Whether the attempt ended well."""
        return self.kind is OutcomeKind.SUCCEEDED

    @property
    def is_lost(self) -> bool:
        """Whether nobody knows how it ended."""
        return self.kind is OutcomeKind.LOST


def _host_gone(instance_id: str) -> str:
    return f"Host EC2 (instance {instance_id}) terminated."


def _exit_code(code: int | None, signal: int | None) -> int | None:
    return 128 + signal if code is None and signal is not None else code
