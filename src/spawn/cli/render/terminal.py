"""What the other end of stdout and stderr is, and what it can show."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

STATUS_COLOURS: Final = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "RUNNING": "cyan",
    "STARTING": "cyan",
    "running": "green",
    "terminated": "dim",
    "pending": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads this stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def has_colour(stream: TextIO) -> bool:
    """NO_COLOR wins, then FORCE_COLOR, then TERM=dumb; otherwise a terminal has colour and a pipe has none."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM", "") not in ("", "dumb") and is_terminal(stream)


def can_redraw(stream: TextIO) -> bool:
    """Whether lines can be drawn over: a terminal that is not dumb."""
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("", "dumb")


def paint(text: str, style: str, *, on: bool) -> str:
    """The text in a style (`red`, `bold`), or as it is."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if on and style else text


def paint_status(text: str, *, on: bool) -> str:
    """A status or state in its colour."""
    return paint(text, STATUS_COLOURS.get(text, ""), on=on)


def width() -> int:
    """Columns of the terminal; 80 when unknown."""
    try:
        return int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        pass
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                return os.get_terminal_size(stream.fileno()).columns or 80
        except (OSError, ValueError):
            continue
    return 80


def printable(text: str) -> str:
    """The text without anything that would move the cursor or break a record: control characters become blanks."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
