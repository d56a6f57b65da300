"""What a finished process used."""

from __future__ import annotations

import os
import time
from typing import Any

from spored.attempts import Exit

_floor = 0


def exit_of(status: int, usage: Any) -> Exit:
    """The end of a process from what wait4 said of it."""
    number = os.WTERMSIG(status)
    code, killer = (None, number) if number else (os.WEXITSTATUS(status), None)
    return Exit(code, killer, usage.ru_utime, usage.ru_stime, _peak(usage.ru_maxrss), time.time())


def _peak(maxrss: int) -> int | None:
    """The peak memory in KiB; None when it was less than this process itself has.

    A process made with vfork shares its maker's memory until it executes its program, and Linux counts that as its own peak: of
    a child that used less than its maker, the true peak is not known to anyone.
    """
    global _floor
    if maxrss > _floor:
        _floor = _own_peak()
    return maxrss if maxrss > _floor else None


def _own_peak() -> int:
    """This process's peak memory in KiB, with room for how coarsely the kernel counts."""
    with open("/proc/self/status", "rb") as file:
        status = file.read()
    at = status.find(b"VmHWM:") + 6
    peak = int(status[at : status.find(b"kB", at)])
    return peak + peak // 20 + 512
