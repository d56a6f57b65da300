"""Ending with all that runs: `spawn engine stop --terminate`."""

from __future__ import annotations

import threading
from typing import Final

from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.instants import Instant
from spawn.engine.commands import terminate
from spawn.engine.loop import Engine
from spawn.engine.state import EngineState

_REASON: Final = "The engine was stopped with --terminate"
_FOR_EVER: Final = Instant(1 << 62)
_LOOK_EVERY_S: Final = 0.05
_BEYOND_GRACE_S: Final = 10.0


def terminate_everything(engine: Engine) -> float:
    """Have every array and every kept instance terminated; the longest grace of an array, in seconds. Again: nothing."""
    grace_s = engine.call(terminate_all)
    while engine.call(_end_kept):
        pass
    return grace_s


def wait_until_nothing_runs(engine: Engine, grace_s: float) -> None:
    """Return when nothing runs on this machine, or when the grace and 10 s are over."""
    pause = threading.Event()
    waited = 0.0
    while engine.call(lambda state: state.usage().running) and waited < grace_s + _BEYOND_GRACE_S:
        pause.wait(_LOOK_EVERY_S)
        waited += _LOOK_EVERY_S


def terminate_all(state: EngineState) -> float:
    """Terminate every array that has not settled; the longest grace of one, in seconds."""
    jobs: list[JobId] = [array.job.id for array in state.book.by_key.values() if not array.settled]
    grace_s = max((state.book.by_id[job].job.grace.total_seconds() for job in jobs), default=0.0)
    for job in jobs:
        terminate(state, job, None, reason=_REASON, grace_s=None, dry_run=False)
    return grace_s


def _end_kept(state: EngineState) -> int:
    """End some of the kept instances; how many there were."""
    kept = state.store.kept_instances(due=_FOR_EVER)
    by_array: dict[ArrayKey, list[tuple[int, int]]] = {}
    for instance in kept:
        by_array.setdefault(instance.key, []).append((instance.position, instance.attempt))
    for key, attempts in by_array.items():
        array = state.book.by_key.get(key) or state.store.array_by_key(key)
        if array is not None:
            state.end_instances(array, attempts)
    return len(kept)
