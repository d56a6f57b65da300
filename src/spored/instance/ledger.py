"""What this instance has taken on and what it is done with, kept over crashes and reboots."""

from __future__ import annotations

import errno
import json
import os
import threading
from typing import Any, NamedTuple

from spored.instance.config import Assignment


class Entry(NamedTuple):
    """An attempt that this instance has claimed."""

    assignment: Assignment
    recorded: bool


class Ledger:
    """An append-only file of claims and records. The journal of the runner knows of an attempt how it went; only this knows its index.

    May be used by several threads. OSError when the disk takes nothing: then nothing was written, and the call is to be made again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.entries = read_ledger(path)
        self._cut_torn_end()

    def _cut_torn_end(self) -> None:
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self._path, whole)

    def claimed(self, assignment: Assignment) -> None:
        """Write down, before it may start, that it is this instance's."""
        self._append({"claimed": assignment.child})
        self.entries[assignment] = Entry(assignment, False)

    def recorded(self, assignment: Assignment) -> None:
        """Its record is in the bucket, or another instance's is: there is nothing left to do."""
        self._append({"recorded": assignment.child})
        self.entries[assignment] = Entry(assignment, True)

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._lock, open(fd, "wb", buffering=0) as file:
            end = os.fstat(fd).st_size
            if file.write(data) != len(data):
                os.ftruncate(fd, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
            os.fsync(fd)


def read_ledger(path: str) -> dict[Assignment, Entry]:
    """What the ledger says, in the order of the claims. A line that cannot be read is passed over."""
    entries: dict[Assignment, Entry] = {}
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            said = json.loads(line)
            recorded = "recorded" in said
            assignment = Assignment(*said["recorded" if recorded else "claimed"])
        except (ValueError, KeyError, TypeError):
            continue
        entries[assignment] = Entry(assignment, recorded)
    return entries


class Memory:
    """A small JSON object that outlives this process, written whole."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.values: dict[str, Any] = {}
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return
        if isinstance(found, dict):
            self.values = found

    def set(self, **values: Any) -> None:
        """Remember these too; where the disk takes nothing, only until this process ends. Nothing is written when they are known."""
        if all(name in self.values and self.values[name] == value for name, value in values.items()):
            return
        self.values.update(values)
        try:
            write_privately(self._path, json.dumps(self.values))
        except OSError:
            pass


def write_privately(path: str, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path + ".new"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
