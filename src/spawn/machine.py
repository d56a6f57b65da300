"""This machine: its clock, and what of it the engine may use."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from spawn.config import engine_settings
from spawn.domain.durations import parse_duration
from spawn.domain.instants import Instant, from_seconds
from spawn.domain.quantities import parse_cpus, parse_memory
from spawn.domain.scheduling import Capacity

IDLE_EXIT: Final = timedelta(minutes=30)


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        """The present instant."""
        return from_seconds(time.time())


def machine_capacity() -> Capacity:
    """The vCPUs that this process may use and the memory of this machine, unless the user's settings say otherwise."""
    settings = engine_settings()
    cpus = len(os.sched_getaffinity(0)) * 1000
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    if "cpus" in settings:
        cpus = parse_cpus(str(settings["cpus"].value), field=settings["cpus"].origin)
    if "memory" in settings:
        memory = parse_memory(str(settings["memory"].value), field=settings["memory"].origin)
    return Capacity(cpus=cpus, memory=memory)


def idle_exit() -> timedelta:
    """After how long without work or requests the engine ends by itself."""
    setting = engine_settings().get("idle-exit")
    return IDLE_EXIT if setting is None else parse_duration(str(setting.value), field=setting.origin)


def ec2_poll_s() -> float | None:
    """How often EC2 and the buckets are looked at while something changes there, in seconds; None: the user says nothing about it."""
    setting = engine_settings().get("ec2-poll")
    return None if setting is None else parse_duration(str(setting.value), field=setting.origin).total_seconds()


def existing_place(path: str) -> str | None:
    """The directory below /tmp that is there now and that a path is in, or is; None when there is none."""
    if not path.startswith("/tmp/") or "\0" in path:
        return None
    place = Path(os.path.normpath(path))
    while not place.is_dir():
        place = place.parent
    return str(place) if place.is_relative_to("/tmp") and place != Path("/tmp") else None
