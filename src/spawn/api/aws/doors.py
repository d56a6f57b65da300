"""What the handlers of both services stand on."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from spawn.domain.ids import JobId
from spawn.engine.loop import Engine
from spawn.engine.ports import AttemptFiles, Clock, Records


def draw_job_id() -> JobId:
    """A random UUID, as AWS Batch gives them (spec 2.1)."""
    return JobId(str(uuid.uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The engine for changes, the records for looking; neither is known to the other side of the wire."""

    engine: Engine
    records: Records
    files: AttemptFiles
    clock: Clock
    draw_id: Callable[[], JobId] = draw_job_id
