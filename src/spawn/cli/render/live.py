"""What is drawn over and over, on a terminal: one line of progress, or a whole page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from spawn.cli.render.arrays import progress
from spawn.cli.render.terminal import has_colour
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
