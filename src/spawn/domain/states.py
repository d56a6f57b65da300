"""The statuses of jobs, the one table of their moves, and the states of instances."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class Status(IntEnum):
    """Where a job is on its way; the number is the byte an array job keeps for each child (AWS Batch, job states)."""

    SUBMITTED = 0  #: taken, not looked at yet
    PENDING = 1  #: waits for another job to succeed; the state of an array's parent until it settles
    RUNNABLE = 2  #: waits for room in a compute environment
    STARTING = 3  #: written down as handed to a provider; the attempt may or may not have begun
    RUNNING = 4  #: its process runs
    SUCCEEDED = 5  #: ended well
    FAILED = 6  #: ended badly, was cancelled, or can never run


_S = Status

MOVES: Final[dict[Status, frozenset[Status]]] = {
    _S.SUBMITTED: frozenset({_S.PENDING, _S.RUNNABLE, _S.FAILED}),
    _S.PENDING: frozenset({_S.RUNNABLE, _S.FAILED}),
    _S.RUNNABLE: frozenset({_S.STARTING, _S.FAILED}),
    # back to RUNNABLE: the attempt failed or was lost and its retry rules allow another one
    _S.STARTING: frozenset({_S.RUNNING, _S.RUNNABLE, _S.SUCCEEDED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.RUNNABLE}),
    # a settled child moves again only when its user asks for another run (`spawn retry`)
    _S.SUCCEEDED: frozenset({_S.RUNNABLE, _S.PENDING}),
    _S.FAILED: frozenset({_S.RUNNABLE, _S.PENDING}),
}
"""Every legal move of a child (spec 2.2). STARTING to SUCCEEDED or FAILED without RUNNING is what a provider reports that only looks now and then."""

PARENT_STATUSES: Final = frozenset({_S.SUBMITTED, _S.PENDING, _S.SUCCEEDED, _S.FAILED})
"""The only statuses an array's parent may have (spec 2.3, rule 1)."""

SETTLED: Final = frozenset({_S.SUCCEEDED, _S.FAILED})
"""Nothing more happens by itself."""

NOT_STARTED: Final = frozenset({_S.SUBMITTED, _S.PENDING, _S.RUNNABLE})
"""No attempt is under way: cancelling takes effect."""

UNDER_WAY: Final = frozenset({_S.STARTING, _S.RUNNING})
"""An attempt has been handed to a provider and has not ended."""


class InstanceState(Enum):
    """The states of an instance, in EC2's words; apart from the outcome of the attempt that it was made for."""

    PENDING = "pending"  #: the child has not started: its machine or sandbox does not exist yet
    RUNNING = "running"  #: exists; its child may run, or be done while its user still looks around
    STOPPING = "stopping"  #: asked to stop
    STOPPED = "stopped"  #: nothing runs in it, its files are kept
    SHUTTING_DOWN = "shutting-down"  #: asked to end
    TERMINATED = "terminated"  #: gone, with what was in it
