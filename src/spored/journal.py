"""The journal: an append-only file, in segments, of what happened. It is the truth; everything else can be made again from it."""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import Callable

from spored import WIRE

SEGMENT_BYTES = 16 << 20
"""A new segment begins when one has passed this size."""


def segment_name(number: int) -> str:
    """The file of a segment."""
    return f"{number:06d}.jsonl"


class Journal:
    """Appends events. Lines are gathered and written together by `flush`, in order, whole or not at all.

    Where the disk is full (or the directory has become unwritable), `flush` says so, the lines stay in memory, and the next call tries again.
    """

    def __init__(self, directory: str, *, identity: str | None = None, segment: int = 0, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Go on with `segment`, whose torn end has been cut off; 0 begins a new journal."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._lines: list[str] = []
        self._after: list[Callable[[], None]] = []
        self._open: dict[int, int] = {}
        self.urgent = False  #: lines wait that tell more than that something goes on
        self._fd = -1
        self.identity = identity or secrets.token_hex(8)
        self.segment = segment
        self.offset = 0  #: how much of the segment is written
        self.trouble: OSError | None = None  #: why the last flush failed
        if segment:
            self._fd = os.open(self._path(segment), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self.offset = os.fstat(self._fd).st_size

    def _path(self, segment: int) -> str:
        return os.path.join(self._directory, segment_name(segment))

    def is_there(self) -> bool:
        """Whether the file that is being written still has its name: what is written to one without a name, no one will read."""
        if self._fd < 0:
            return True
        try:
            there, held = os.stat(self._path(self.segment)), os.fstat(self._fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    @property
    def pending(self) -> bool:
        """Whether there are lines that are not in the file yet."""
        return bool(self._lines)

    def write(self, line: str, *, urgent: bool = True) -> None:
        """Add an event, `line` ending in a newline; it is in the file after the next `flush`."""
        self._lines.append(line)
        if urgent:
            self.urgent = True

    def retract(self) -> None:
        """Take back the line written last, which must not have been flushed."""
        self._lines.pop()

    def after_flush(self, call: Callable[[], None]) -> None:
        """Call once what has been written until now is in the file."""
        self._after.append(call)

    def flush(self) -> bool:
        """Put every gathered line into the file with one write. False: there is no room, nothing was written."""
        if not self._lines:
            return True
        try:
            if self._fd < 0 or self.offset > self._segment_bytes:
                self._begin_segment()
            self._append("".join(self._lines).encode("ascii"))
        except OSError as error:
            self.trouble = error
            return False
        self.trouble = None
        self.urgent = False
        self._lines.clear()
        if self._after:
            calls, self._after = self._after, []
            for call in calls:
                call()
        return True

    def _append(self, data: bytes) -> None:
        done = os.write(self._fd, data)
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            os.ftruncate(self._fd, self.offset)
            raise
        self.offset += len(data)

    def _begin_segment(self) -> None:
        number = self.segment + 1
        first = json.dumps({"e": "journal", "id": self.identity, "t": round(time.time(), 6), "wire": WIRE}) + "\n"
        # Made under another name first: a segment that exists begins with its `journal` line, whatever crashes in between.
        draft = self._path(number) + ".new"
        fd = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, first.encode("ascii")) != len(first):
                raise OSError(28, "No space left on device")
            os.rename(draft, self._path(number))
        except OSError:
            os.close(fd)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self.segment, self.offset = fd, number, len(first)

    def opened(self) -> int:
        """Count one more attempt that begins in the current segment, and say which that is; give it to `closed` when the attempt has ended."""
        self._open[self.segment] = self._open.get(self.segment, 0) + 1
        return self.segment

    def closed(self, segment: int) -> None:
        """An attempt that began in `segment` has ended."""
        left = self._open[segment] - 1
        if left:
            self._open[segment] = left
        else:
            del self._open[segment]

    def acknowledge(self, segment: int) -> None:
        """Remove the segments before `segment` in which no attempt is open. Again: nothing."""
        for name in sorted(os.listdir(self._directory)):
            stem, dot, kind = name.partition(".")
            if dot and kind == "jsonl" and stem.isdigit() and int(stem) < min(segment, self.segment) and int(stem) not in self._open:
                os.unlink(os.path.join(self._directory, name))
