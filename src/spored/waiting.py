"""The attempts that wait for room, and the room there is."""

from __future__ import annotations

from collections import deque

from spored.attempts import Array, Entry
from spored.specs import Spec


class Room:
    """CPU (thousandths of a vCPU) and memory (MiB) to share out; none until an engine has said how much."""

    def __init__(self) -> None:
        self.cpus = 0
        self.memory = 0
        self._cpus_taken = 0
        self._memory_taken = 0
        self.known = False

    def set(self, cpus: int, memory: int) -> None:
        """Share out so much from now on; what runs goes on."""
        self.cpus, self.memory, self.known = cpus, memory, True

    def fits(self, spec: Spec) -> bool:
        """Whether one more child of this kind may run now."""
        return self._cpus_taken + spec.cpus <= self.cpus and self._memory_taken + spec.memory <= self.memory

    def could_fit(self, spec: Spec) -> bool:
        """Whether it may run when nothing else does."""
        return spec.cpus <= self.cpus and spec.memory <= self.memory

    def too_large(self, spec: Spec) -> str:
        """Why one that could not fit never runs."""
        needs, has = (f"{cpus / 1000:g} vCPUs and {memory} MiB" for cpus, memory in ((spec.cpus, spec.memory), (self.cpus, self.memory)))
        return f"it needs {needs}, more than this machine shares out ({has})"

    def take(self, spec: Spec) -> None:
        """A child of this kind runs."""
        self._cpus_taken += spec.cpus
        self._memory_taken += spec.memory

    def give(self, spec: Spec) -> None:
        """It runs no more."""
        self._cpus_taken -= spec.cpus
        self._memory_taken -= spec.memory


class Waiting:
    """First in, first out over all arrays. The first one that does not fit keeps all later ones waiting, so that a large child is not passed
    over for ever by small ones; an array that is at its own limit is passed over, because only its own children can change that."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._lines: dict[str, deque[tuple[int, Entry]]] = {}
        self._entries: dict[str, Entry] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, attempt: str) -> bool:
        return attempt in self._entries

    def ids(self) -> list[str]:
        """All attempt ids that wait."""
        return list(self._entries)

    def add(self, entry: Entry) -> None:
        """Queue an attempt behind all others."""
        self._serial += 1
        self._lines.setdefault(entry.array.key, deque()).append((self._serial, entry))
        self._entries[entry.id] = entry

    def drop(self, attempt: str) -> bool:
        """Take an attempt out. False: it does not wait."""
        return self._entries.pop(attempt, None) is not None

    def first(self) -> Entry | None:
        """The attempt to start now, which stays in its place until it is dropped; None when no one may start."""
        best: tuple[int, Entry] | None = None
        for line in [*self._lines.values()]:
            head = self._head(line)
            if head is not None and (best is None or head[0] < best[0]) and not _at_limit(head[1].array):
                best = head
        if best is None or not self._room.known:
            return None
        spec = best[1].array.spec
        # What can never fit is given out too, to be refused with a reason instead of waiting for ever.
        return best[1] if self._room.fits(spec) or not self._room.could_fit(spec) else None

    def _head(self, line: deque[tuple[int, Entry]]) -> tuple[int, Entry] | None:
        entries = self._entries
        while True:
            head = line[0]
            if entries.get(head[1].id) is head[1]:
                return head
            line.popleft()
            if not line:
                del self._lines[head[1].array.key]
                return None


def _at_limit(array: Array) -> bool:
    return array.limit is not None and array.running >= array.limit
