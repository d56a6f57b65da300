"""The events in the file of a log: a line each, found from any place in the file without reading more than that place's surroundings.

A file is looked at in blocks of 128 KiB. An event ends after every newline, at the end of a block that has none (so that it is never longer than
CloudWatch's 256 KiB), and at the end of the file once its attempt has ended. Where events end thus depends on one block alone."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

BLOCK: Final = 128 * 1024
"""How much of a file is read at once."""

_KEPT_BLOCKS: Final = 4
_EVERYTHING: Final = 2**62


class Line(NamedTuple):
    """An event in a file: from a byte to another one, the newline at its end included."""

    start: int
    end: int
    message: str  #: without the newline; bytes that are no UTF-8 are replaced


class _Block(NamedTuple):
    """A part of a file: where it begins, what it holds, and whether an event ends with it though no newline does."""

    base: int
    content: bytes
    ends_event: bool

    def next_end(self, after: int) -> int | None:
        """The first end of an event in it after an offset of the file."""
        newline = self.content.find(b"\n", max(0, after - self.base))
        if newline >= 0:
            return self.base + newline + 1
        last = self.base + len(self.content)
        return last if self.ends_event and last > after else None

    def last_end(self, until: int = _EVERYTHING) -> int | None:
        """The last end of an event in it at or before an offset of the file."""
        last = self.base + len(self.content)
        if self.ends_event and last <= until:
            return last
        newline = self.content.rfind(b"\n", 0, max(0, until - self.base))
        return self.base + newline + 1 if newline >= 0 else None

    def skip(self, after: int, holding: re.Pattern[bytes]) -> int:
        """From where an event in it ends, over those in which this is not found: where the event before the next one in which it is ends, or the last one."""
        match = holding.search(self.content, after - self.base)
        if match is None:
            return self.last_end() or after
        return max(after, self.base + self.content.rfind(b"\n", after - self.base, match.start()) + 1)


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
        self._blocks: OrderedDict[int, _Block] = OrderedDict()

    def forward(self, offset: int, *, until: int = _EVERYTHING, holding: re.Pattern[bytes] | None = None) -> Iterator[Line]:
        """The events that end after an offset, and at or before another, in order, without the empty ones. `holding`: those in which this is found,
        and now and then another; blocks without it cost no more than a search through their bytes."""
        start: int | None = None
        for number in range(max(0, offset) // self._block_size, self._count()):
            block = self._block(number)
            end = block.next_end(offset)
            while end is not None:
                if end > until:
                    return
                start = self._end_before(end) if start is None else start
                line = self._line(start, end)
                if line is not None:
                    yield line
                # what may have begun in an earlier block is behind: what follows lies in this one
                start = end if holding is None else block.skip(end, holding)
                end = block.next_end(start)

    def backward(self, offset: int) -> Iterator[Line]:
        """The events that end at or before an offset, the last one first, without the empty ones."""
        end: int | None = None
        for number in range(min(max(0, offset) // self._block_size, self._count() - 1), -1, -1):
            block = self._block(number)
            start = block.last_end(offset)
            while start is not None:
                line = None if end is None else self._line(start, end)
                if line is not None:
                    yield line
                end = start
                start = block.last_end(start - 1)
        line = None if end is None else self._line(0, end)
        if line is not None:
            yield line

    def end(self) -> int:
        """Where the last event ends; 0: there is none."""
        for number in range(self._count() - 1, -1, -1):
            end = self._block(number).last_end()
            if end is not None:
                return end
        return 0

    def let_go(self) -> None:
        """Keep nothing of what was read in memory; what is asked for next is read again."""
        self._blocks.clear()

    def _count(self) -> int:
        return -(-self.size // self._block_size)

    def _end_before(self, offset: int) -> int:
        """Where the event before the one that ends at an offset ends."""
        for number in range((offset - 1) // self._block_size, -1, -1):
            end = self._block(number).last_end(offset - 1)
            if end is not None:
                return end
        return 0

    def _block(self, number: int) -> _Block:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        base = number * self._block_size
        content = self._read(base, min(self._block_size, self.size - base))
        is_last = self._ended and base + len(content) >= self.size
        is_one_line = len(content) == self._block_size and b"\n" not in content
        block = _Block(base, content, bool(content) and not content.endswith(b"\n") and (is_last or is_one_line))
        self._blocks[number] = block
        if len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def _read(self, offset: int, count: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError:
            return b""

    def _line(self, start: int, end: int) -> Line | None:
        """The event between two ends; None: it is empty."""
        parts = []
        for number in range(start // self._block_size, (end - 1) // self._block_size + 1):
            base = number * self._block_size
            parts.append(self._block(number).content[max(0, start - base) : end - base])
        text = b"".join(parts).removesuffix(b"\n")
        return Line(start, end, text.decode("utf-8", errors="replace")) if text else None
