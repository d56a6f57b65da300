"""Who descends from the runner: its children by name, and which attempt every other process belongs to.

The runner is a subreaper, so whatever an attempt starts, however it detaches itself, stays a descendant of the runner. Which attempt it
belongs to is told, in this order, by the marks in its environment, by its session, by its parent, and by the log it writes to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

from spored.attempts import Attempt
from spored.processes import Process, log_of, snapshot

Helper = Callable[[int], None]
_COUNTED = 1 << 16
"""Bytes of pids to look at: ten thousand children at once are counted by a census instead."""
_FOREIGN = ""
"""Stands for the attempt of an orphan that belongs to none and is to be left alone."""


class Census(NamedTuple):
    """Who is there now."""

    everyone: dict[int, Process]
    members: dict[str, list[Process]]  #: by attempt id
    strays: list[Process]  #: orphans among the runner's children that no attempt is known to have started
    is_below: Callable[[Process], bool]  #: whether it descends from this runner (and not from a former one)


class Family:
    """Keeps the runner's children apart: attempts, helpers, and orphans that it has inherited."""

    def __init__(self, runner: bytes) -> None:
        self._runner = runner
        self._me = os.getpid()
        self._children: dict[int, Attempt | Helper] = {}
        self.orphans: dict[int, str | None] = {}  #: inherited children that a census has seen, and their attempts if these are known
        self.leaders: dict[int, Attempt] = {}  #: by the pid that is also the number of the attempt's session
        self._childless = False  #: the last look said that there is no child at all
        self._counter = _open_children_file()

    def add(self, pid: int, child: Attempt | Helper) -> None:
        """A process was made here: the first of an attempt, or a helper (called with its status at its end)."""
        self._children[pid] = child
        self._childless = False

    def reap(self) -> list[tuple[Attempt, int, Any]]:
        """Collect all children that have died: attempts, with status and usage, are returned; helpers are called."""
        dead: list[tuple[Attempt, int, Any]] = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.orphans.clear()
                self._childless = True
                return dead
            if pid == 0:
                return dead
            child = self._children.pop(pid, None)
            if child is None:
                self.orphans.pop(pid, None)
            elif isinstance(child, Attempt):
                dead.append((child, status, usage))
            else:
                child(status)

    def has_orphans(self) -> bool | None:
        """Whether there are inherited children that no census has seen yet; None where the kernel does not tell cheaply."""
        if self._childless:
            return False
        if self._counter < 0:
            return None
        data = os.pread(self._counter, _COUNTED, 0)
        return None if len(data) == _COUNTED else data.count(b" ") > len(self._children) + len(self.orphans)

    def census(self, logs: Callable[[], dict[bytes, str]]) -> Census:
        """Look at every process of the machine (some milliseconds). `logs` gives the attempt that writes to each log."""
        everyone = snapshot(self._runner)
        owners = _Owners(everyone, self._me, self._children, self.leaders)
        members: dict[str, list[Process]] = {}
        strays: list[Process] = []
        lonely = [p for p in everyone.values() if p.parent == self._me and p.pid not in self._children]
        writers = logs() if any(owners.of(p) is None and not p.foreign for p in lonely) else {}
        for process in lonely:
            if owners.of(process) is None and not process.foreign:
                owners.decide(process.pid, writers.get(log_of(process.pid)))
            owner = owners.of(process)
            if owner is None and not process.foreign:
                strays.append(process)
            self.orphans[process.pid] = _FOREIGN if process.foreign else owner
        for process in everyone.values():
            owner = owners.of(process)
            if owner is not None:
                members.setdefault(owner, []).append(process)
        return Census(everyone, members, strays, owners.is_below)


class _Owners:
    """Finds the attempt of each process, going up from parent to parent."""

    def __init__(self, everyone: dict[int, Process], me: int, children: dict[int, Attempt | Helper], leaders: dict[int, Attempt]) -> None:
        self._everyone = everyone
        self._me = me
        self._children = children
        self._leaders = leaders
        self._known: dict[int, str | None] = {}
        self._below = {me: True}

    def decide(self, pid: int, owner: str | None) -> None:
        """This is the attempt of the process `pid`, and so of all that descend from it and say nothing else."""
        if owner is not None:
            self._known = {known: value for known, value in self._known.items() if value is not None}
            self._known[pid] = owner

    def of(self, process: Process) -> str | None:
        """The attempt id, or None."""
        path: list[int] = []
        current: Process | None = process
        owner: str | None = None
        while current is not None and current.pid != self._me:
            if current.pid in self._known:
                owner = self._known[current.pid]
                break
            path.append(current.pid)
            if current.foreign:
                break
            owner = current.attempt or self._by_session(current)
            if owner is not None:
                break
            current = self._everyone.get(current.parent)
        for pid in path:
            self._known[pid] = owner
        return owner

    def _by_session(self, process: Process) -> str | None:
        # A session's number is no pid of another process as long as a process of it lives; below the runner it is therefore the attempt's own.
        leader = self._leaders.get(process.session)
        return leader.id if leader is not None and self.is_below(process) else None

    def is_below(self, process: Process) -> bool:
        """Whether it descends from the runner."""
        path = []
        current: Process | None = process
        while current is not None and current.pid not in self._below:
            path.append(current.pid)
            current = self._everyone.get(current.parent)
        below = False if current is None else self._below[current.pid]
        for pid in path:
            self._below[pid] = below
        return below


def _open_children_file() -> int:
    try:
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def logs_of(attempts: Iterable[Attempt]) -> dict[bytes, str]:
    """The attempt that writes to each log."""
    return {os.path.realpath(attempt.log): attempt.id for attempt in attempts}
