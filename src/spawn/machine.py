"""This machine: its clock, and what of it the engine may use."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from spawn.config import engine_settings
from spawn.domain.durations import parse_duration
from spawn.domain.errors import ConfigurationError
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


def make_own(directory: Path) -> None:
    """Make the state directory, or see that it is this user's, and close it to all others. `ConfigurationError` when it is someone else's."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.geteuid():
        raise ConfigurationError(f"the state directory {directory} belongs to another user: set SPAWN_STATE_DIR to a directory of your own")
    directory.chmod(0o700)


def take_lock(path: Path) -> int | None:
    """Hold a lock file, with this process's id in it, for as long as the process lives; None when another process holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def existing_place(path: str) -> str | None:
    """The directory below /tmp that is there now and that a path is in, or is; None when there is none."""
    if not path.startswith("/tmp/") or "\0" in path:
        return None
    place = Path(os.path.normpath(path))
    while not place.is_dir():
        place = place.parent
    return str(place) if place.is_relative_to("/tmp") and place != Path("/tmp") else None
