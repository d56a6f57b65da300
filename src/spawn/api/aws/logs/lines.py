"""The events in the file of a log: a line each, found from any place in the file without reading more than that place's surroundings.

A file is looked at in blocks of 128 KiB. An event ends after every newline, at the end of a block that has none (so that it is never longer than
CloudWatch's 256 KiB), and at the end of the file once its attempt has ended. Where events end thus depends on one block alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

BLOCK: Final = 128 * 1024
"""How much of a file is read at once."""

_KEPT_BLOCKS: Final = 4


class Line(NamedTuple):
    """An event in a file: from a byte to another one, the newline at its end included."""

    start: int
    end: int
    message: str  #: without the newline; bytes that are no UTF-8 are replaced


class LogFile:
    """The events of one log, up to the size that it had when it was opened here. A file that is not there has none. `ended`: nothing follows."""

    def __init__(self, path: Path, *, ended: bool, block: int = BLOCK) -> None:
        self._path = path
        self._block_size = block
        self._ended = ended
        try:
            stat = path.stat()
            self.size, self.changed_ms = stat.st_size, stat.st_mtime_ns // 1_000_000
        except OSError:
            self.size, self.changed_ms = 0, 0
        self._blocks: OrderedDict[int, tuple[bytes, list[int]]] = OrderedDict()

    def forward(self, offset: int) -> Iterator[Line]:
        """The events that end after an offset, in order, without the empty ones."""
        start: int | None = None
        for number in range(max(0, offset) // self._block_size, self._count()):
            for end in self._ends(number):
                if end <= offset:
                    start = end
                    continue
                start = self._end_before(end) if start is None else start
                yield from self._line(start, end)
                start = end

    def backward(self, offset: int) -> Iterator[Line]:
        """The events that end at or before an offset, the last one first, without the empty ones."""
        end: int | None = None
        for number in range(min(max(0, offset) // self._block_size, self._count() - 1), -1, -1):
            ends = self._ends(number)
            for boundary in reversed(ends[: bisect_right(ends, offset)]):
                if end is not None:
                    yield from self._line(boundary, end)
                end = boundary
        if end is not None:
            yield from self._line(0, end)

    def end(self) -> int:
        """Where the last event ends; 0: there is none."""
        for number in range(self._count() - 1, -1, -1):
            if ends := self._ends(number):
                return ends[-1]
        return 0

    def _count(self) -> int:
        return -(-self.size // self._block_size)

    def _end_before(self, offset: int) -> int:
        """Where the event before the one that ends at an offset ends."""
        for number in range((offset - 1) // self._block_size, -1, -1):
            ends = self._ends(number)
            at = bisect_left(ends, offset)
            if at:
                return ends[at - 1]
        return 0

    def _ends(self, number: int) -> list[int]:
        return self._block(number)[1]

    def _block(self, number: int) -> tuple[bytes, list[int]]:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        base = number * self._block_size
        content = self._read(base, min(self._block_size, self.size - base))
        ends = []
        at = content.find(b"\n") + 1
        while at:
            ends.append(base + at)
            at = content.find(b"\n", at) + 1
        last = base + len(content)
        if (len(content) == self._block_size and not ends) or (self._ended and content and last >= self.size and (not ends or ends[-1] < last)):
            ends.append(last)
        self._blocks[number] = (content, ends)
        if len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return content, ends

    def _read(self, offset: int, count: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError:
            return b""

    def _line(self, start: int, end: int) -> Iterator[Line]:
        content = b"".join(
            self._block(number)[0][max(0, start - number * self._block_size) : end - number * self._block_size]
            for number in range(start // self._block_size, (end - 1) // self._block_size + 1)
        )
        text = content.removesuffix(b"\n")
        if text:
            yield Line(start, end, text.decode("utf-8", errors="replace"))
