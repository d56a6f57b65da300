"""Removes directories of ended attempts without holding up the loop."""

from __future__ import annotations

import os

from spored.family import Family
from spored.files import NOTHING, Inside, remove_empty

_BATCH = 200
# Some tools make their caches read-only; what a job wrote is its user's to remove all the same.
_REMOVE = b'nice -n 19 rm -rf -- "$@" 2>/dev/null || { chmod -R u+rwX -- "$@"; rm -rf -- "$@"; }'
_ENVIRONMENT = {b"PATH": b"/usr/bin:/bin:/usr/sbin:/sbin"}


class Sweeper:
    """Empty directories go at once; the others are given, many at a time, to one `rm` after the other."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._queue: list[bytes] = []
        self._busy = False

    @property
    def idle(self) -> bool:
        """Whether everything given is removed."""
        return not self._busy and not self._queue

    def remove(self, directory: bytes, inside: Inside = NOTHING) -> None:
        """Remove `directory`, which may hold `inside` and more. Again, or if it is not there: nothing."""
        if not remove_empty(directory, inside):
            self._queue.append(directory)
            self._next()

    def _next(self) -> None:
        if self._busy or not self._queue:
            return
        batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
        pid = os.posix_spawn(b"/bin/sh", [b"/bin/sh", b"-c", _REMOVE, b"sh", *batch], _ENVIRONMENT, setsid=True, setsigmask=())
        self._busy = True
        self._family.add(pid, self._done)

    def _done(self, _status: int) -> None:
        self._busy = False
        self._next()
