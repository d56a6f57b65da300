"""Ids: of jobs, of attempts, of instances, and how one is made from another.

Ids are made from what is passed in (a clock's reading, random digits): nothing here is drawn or looked up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from spawn.domain.errors import UsageError

JobId = NewType("JobId", str)
"""What a user or a Batch client calls a job: `array-20260127-100000`, `job-…`, or a UUID."""

ArrayKey = NewType("ArrayKey", str)
"""Ten hex digits, unique in a store; short enough to be part of every attempt and instance id."""

MAX_CHILDREN = 1 << 20
"""Most children of one array: an instance id has five hex digits for the position."""

MAX_ATTEMPTS = 255
"""Most attempts of one child over all retries: an instance id has two hex digits for it."""

_TASK_END = "0" * 15
_TASK = re.compile(rf"([0-9a-f]{{10}})([0-9a-f]{{5}})([0-9a-f]{{2}}){_TASK_END}")
_INSTANCE = re.compile(r"i-([0-9a-f]{10})([0-9a-f]{5})([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class AttemptId:
    """One attempt of one child: starts at most once, whatever crashes (design, rule 2 of durability)."""

    key: ArrayKey
    position: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.key}:{self.position}:{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> AttemptId:
        """Read `KEY:POSITION:ATTEMPT` back; anything else raises ValueError."""
        key, position, attempt = text.split(":")
        return cls(ArrayKey(key), int(position), int(attempt))

    @property
    def instance_id(self) -> str:
        """The id of the instance made for this attempt: `i-` and 17 hex digits, as EC2 writes them."""
        return f"i-{self.key}{self.position:05x}{self.attempt:02x}"

    @property
    def task_id(self) -> str:
        """The id of the task that ran this attempt: 32 hex digits, as ECS writes them; the last part of its log stream's name."""
        return f"{self.key}{self.position:05x}{self.attempt:02x}{_TASK_END}"

    @classmethod
    def of_task(cls, task_id: str) -> AttemptId | None:
        """The attempt that a task id of ours stands for; None for any other text."""
        match = _TASK.fullmatch(task_id)
        return None if match is None else cls(ArrayKey(match[1]), int(match[2], 16), int(match[3], 16))

    @classmethod
    def of_instance(cls, instance_id: str) -> AttemptId:
        """The attempt that an instance id of ours was made for; any other text raises UsageError."""
        match = _INSTANCE.fullmatch(instance_id)
        if match is None:
            raise UsageError(f"'{instance_id}' is not an instance id: expected i- and 17 hex digits")
        return cls(ArrayKey(match[1]), int(match[2], 16), int(match[3], 16))


def new_job_id(*, is_array: bool, at: datetime, taken: int) -> JobId:
    """The id of a job launched at a UTC second, the `taken`-th in that second: `array-20260127-100000`, then `…-2`, `…-3`."""
    suffix = f"-{taken + 1}" if taken else ""
    return JobId(f"{'array' if is_array else 'job'}-{at:%Y%m%d-%H%M%S}{suffix}")


def child_id(job: JobId, index: int) -> str:
    """The id of a child: `PARENT:INDEX` (spec 2.1)."""
    return f"{job}:{index}"
