"""What a runner does first: end what its predecessor left running, so that nothing runs twice and nothing is forgotten."""

from __future__ import annotations

import json
import os
import select
import signal
import time

from spored import cgroups
from spored.home import Home, log
from spored.loop import now
from spored.notes import noted_attempts
from spored.processes import Process, log_of, send, snapshot, ticks_per_second
from spored.replay import Past
from spored.specs import text_bytes

_PATIENCE = 10.0
"""Seconds to wait for killed processes to be gone."""
_SLACK = 2.0
"""Seconds by which the wall clock may have been set since the journal was written."""


def end_remains(home: Home, past: Past) -> None:
    """Kill every process that is left of an attempt without an end, but for what runs in containers. Those of instances that are kept live on."""
    until = now() + _PATIENCE
    notes = _notes(home)
    while True:
        remains = _remains(home, past, notes)
        if not remains:
            return
        send(remains, signal.SIGKILL)
        if now() > until:
            log(f"processes that do not die: {[process.pid for process in remains]}")
            return
        _wait_for(remains[0].pid)


def _remains(home: Home, past: Past, notes: dict[str, tuple[bytes, bool]]) -> list[Process]:
    everyone = snapshot(text_bytes(home.path))
    me = os.getpid()
    found = {process.pid for process in everyone.values() if process.attempt in past.open}
    found |= {pid for attempt, group in cgroups.former(home.path).items() if attempt in past.open for pid in cgroups.processes(group)}
    found |= _sessions(everyone, past, found)
    found |= _writers(everyone, past, notes)
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
    # of an attempt in a container its supervisor goes: whose keepers are killed, a container is hard to remove
    contained = noted_attempts(home.path)
    todo = [pid for pid in found if pid not in everyone or everyone[pid].attempt not in contained]
    while todo:
        for pid in children.get(todo.pop(), ()):
            if pid not in found and not everyone[pid].foreign:
                found.add(pid)
                todo.append(pid)
    return [everyone[pid] for pid in found if pid in everyone and pid != me and not everyone[pid].foreign]


def _sessions(everyone: dict[int, Process], past: Past, marked: set[int]) -> set[int]:
    """Processes without a mark in the session of an open attempt. Its number may have been given to a stranger since: someone in
    it must be known by the mark, or its first process must have started when the journal says so."""
    zero = time.time() - now()
    found: set[int] = set()
    for attempt in past.open.values():
        if not attempt.pid:
            continue
        session = {process.pid for process in everyone.values() if process.session == attempt.pid}
        leader = everyone.get(attempt.pid)
        known = bool(session & marked)
        if leader is not None and not known:
            known = abs(leader.started / ticks_per_second + zero - attempt.started) < _SLACK
        if known:
            found |= session
    return found


def _writers(everyone: dict[int, Process], past: Past, notes: dict[str, tuple[bytes, bool]]) -> set[int]:
    """Processes without a mark whose output goes to a log of an array with open attempts (and without kept ones, whose logs look the same)."""
    places = tuple(notes[key][0] + b"/" for key in {identity.split(":")[0] for identity in past.open} if key in notes and not notes[key][1])
    if not places:
        return set()
    unmarked = [process.pid for process in everyone.values() if process.attempt is None and not process.foreign and process.pid != os.getpid()]
    return {pid for pid in unmarked if log_of(pid).startswith(places)}


def _notes(home: Home) -> dict[str, tuple[bytes, bool]]:
    """Of each array that the former runner knew: where its files are, and whether its instances are kept."""
    notes = {}
    for key in os.listdir(home.arrays):
        try:
            with open(os.path.join(home.arrays, key), encoding="ascii") as file:
                note = json.load(file)
            notes[key] = (os.path.realpath(text_bytes(note["directory"])), bool(note["keep"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return notes


def abandoned_tmps(home: Home, past: Past) -> list[bytes]:
    """The private /tmps of attempts that were lost, where no instance is kept that could own one of them."""
    notes = _notes(home)
    found: list[bytes] = []
    for key, shard in sorted({(identity.split(":")[0], int(identity.split(":")[1]) // 1000) for identity in past.open}):
        if key not in notes or notes[key][1]:
            continue
        directory = b"%b/%d" % (notes[key][0], shard)
        try:
            found += [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(b".tmp")]
        except OSError:
            continue
    return found


def _wait_for(pid: int) -> None:
    """Wait until this process has gone, but no longer than 0.2 s."""
    try:
        fd = os.pidfd_open(pid)
    except (OSError, AttributeError):
        select.select([], [], [], 0.02)
        return
    try:
        select.select([fd], [], [], 0.2)
    finally:
        os.close(fd)
