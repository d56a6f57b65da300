"""Pieces of log files: from an offset on, or the last lines."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

MOST_BYTES: Final = 1 << 20
"""Most of a log in one answer."""

_BLOCK: Final = 1 << 16

_LONGEST_LINE: Final = 500
"""Characters of a line that a summary shows; a progress bar writes its line over and over, and only the last of it counts."""


class Piece(NamedTuple):
    """Some bytes of a log, and the offset after them."""

    content: bytes
    next: int


def piece_at(path: Path, offset: int) -> Piece:
    """At most 1 MiB from an offset on; nothing when the file is shorter or not there yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(MOST_BYTES)
    except FileNotFoundError:
        return Piece(b"", offset)
    return Piece(content, offset + len(content))


def last_lines(path: Path, count: int) -> Piece:
    """The last `count` lines, of at most the last 1 MiB."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            if count == 0:
                return Piece(b"", end)
            content = b""
            start = end
            while start > 0 and len(content) < MOST_BYTES and content[:-1].count(b"\n") < count:
                start = max(0, start - _BLOCK)
                file.seek(start)
                content = file.read(end - start)
    except FileNotFoundError:
        return Piece(b"", 0)
    return Piece(b"".join(content.splitlines(keepends=True)[-count:]), end)


def tail_of(path: Path, count: int) -> list[str]:
    """The last lines as text, whatever bytes they are made of, each cut to its last 500 characters."""
    text = last_lines(path, count).content.decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return [line if len(line) <= _LONGEST_LINE else f"…{line[-_LONGEST_LINE:]}" for line in lines if line][-count:]
