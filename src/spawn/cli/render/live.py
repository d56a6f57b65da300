"""What is drawn over and over, on a terminal: one line of progress, or a whole page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from spawn.cli.render.arrays import progress
from spawn.cli.render.terminal import can_redraw, has_colour
from spawn.client.objects import Array


@contextmanager
def one_line() -> Iterator[Callable[[Array], None]]:
    """A line of progress at the bottom of stderr; gone at the end."""
    console = Console(stderr=True)
    colour = has_colour(sys.stderr)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda array: live.update(Text.from_ansi(f"{array.title}  {progress(array, colour=colour)}", no_wrap=True), refresh=True)


@contextmanager
def whole_page() -> Iterator[Callable[[Sequence[str]], None]]:
    """Lines on stdout that are drawn over by the next ones; the last ones stay."""
    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda lines: live.update(Text.from_ansi("\n".join(lines)), refresh=True)


@contextmanager
def counter(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """`what: 50/1000` at the bottom of stderr, for people; gone at the end."""
    if not can_redraw(sys.stderr):
        yield lambda _: None
        return
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        yield lambda done: live.update(Text(f"{what}: {done}/{total}", no_wrap=True), refresh=True)
