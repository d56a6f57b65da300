"""What podman leaves beside a container: a keeper of its own session, known by the files of the attempt that its command line names."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

from spored.processes import Process, send, snapshot

_PATIENCE = 0.5
"""Seconds in which keepers end by themselves after their container."""
_LOOK = 0.05


def end_keepers(places: Iterable[str]) -> None:
    """Kill those that stay although the containers noted in `places` are removed, and all that they started: podman was killed while it started one."""
    marks = [os.fsencode(place) + b"/" for place in places]
    until = time.monotonic() + _PATIENCE
    while marks:
        keepers = _keepers(marks)
        if not keepers:
            return
        if time.monotonic() > until:
            send(keepers, signal.SIGKILL)
            return
        time.sleep(_LOOK)


def _keepers(marks: list[bytes]) -> list[Process]:
    everyone = snapshot(b"")
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = [pid for pid in everyone if pid != os.getpid() and any(word.startswith(mark) for word in _words(pid) for mark in marks)]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, ())
    return [everyone[pid] for pid in found]


def _words(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
