"""Waiting for arrays to settle, shared by `wait` and `launch --wait`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from spawn.cli.render import data, talk
from spawn.cli.render.arrays import ARRAYS, failures, page
from spawn.cli.render.terminal import can_redraw, has_colour
from spawn.client.client import Client
from spawn.client.objects import Array, FailureGroup
from spawn.client.wire import NotListening
from spawn.domain.errors import Unavailable

EXIT_FAILED: Final = 7
EXIT_CANCELLED: Final = 8
EXIT_TIMED_OUT: Final = 124
EXIT_DETACHED: Final = 130

INSTEAD: Final = "arrays are waited for as a whole; `spawn logs -f ARRAY:SET` follows some of an array to their end"

_LONGEST_POLL_S: Final = 30.0
_SHOWN_EVERY_S: Final = 0.5


def exit_code(arrays: Sequence[Array]) -> int:
    """0: all succeeded; 8: a user cancelled some of it; 7: some failed."""
    if any(array.cancelled for array in arrays):
        return EXIT_CANCELLED
    return EXIT_FAILED if any(array.status == "FAILED" or array.counts.get("FAILED") for array in arrays) else 0


def wait_for_launched(client: Client, array: Array, output: data.Output, timeout_s: float | None) -> int:
    """Stay until it has settled and say how it went, on stderr: what is data has been printed. Returns the exit code."""
    del output
    try:
        settled = until_settled(client, array, timeout_s)
    except KeyboardInterrupt:
        return detached([array.array_id])
    if not settled.settled:
        return timed_out([settled], timeout_s)
    summary(client, settled)
    return exit_code([settled])


def wait_for_submitted(client: Client, arrays: Sequence[Array], timeout_s: float | None) -> int:
    """Stay until all have settled and say how each went, on stderr: what is data has been printed. Returns the exit code."""
    settled = _all_settled(client, arrays, timeout_s)
    return EXIT_DETACHED if settled is None else _summaries(client, settled, timeout_s)


def wait_for(client: Client, arrays: Sequence[Array], output: data.Output, timeout_s: float | None) -> int:
    """Stay until all have settled, print a record of each on stdout and how it went on stderr. Returns the exit code."""
    settled = _all_settled(client, arrays, timeout_s)
    if settled is None:
        return EXIT_DETACHED
    data.records(ARRAYS, settled, output)
    data.flush()
    return _summaries(client, settled, timeout_s)


def _all_settled(client: Client, arrays: Sequence[Array], timeout_s: float | None) -> list[Array] | None:
    """Each once it has settled, or as it is after the time; None when the user did not stay."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    settled: list[Array] = []
    for array in arrays:
        try:
            settled.append(until_settled(client, array, None if end is None else end - time.monotonic()))
        except KeyboardInterrupt:
            detached([left.array_id for left in arrays[len(settled) :]])
            return None
    return settled


def _summaries(client: Client, arrays: Sequence[Array], timeout_s: float | None) -> int:
    for array in arrays:
        if array.settled:
            summary(client, array)
    open_ones = [array for array in arrays if not array.settled]
    return timed_out(open_ones, timeout_s) if open_ones else exit_code(arrays)


def until_settled(client: Client, array: Array, timeout_s: float | None) -> Array:
    """The array once it has settled, or as it is after the time. Shows progress on stderr when that is a terminal."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    with explaining_a_stop(client, array.array_id):
        return _show_until(client, array, end) if can_redraw(sys.stderr) else _wait_quietly(client, array, end)


@contextmanager
def explaining_a_stop(client: Client, array_id: str) -> Iterator[None]:
    """Say, when the engine was stopped while somebody waited, what that means and how to go on waiting."""
    try:
        yield
    except Unavailable as error:
        if not (isinstance(error, NotListening) and error.stopped) and client.socket.exists():
            raise
        raise Unavailable(f"the engine was stopped; what runs of {array_id} goes on, and `spawn wait {array_id}` starts the engine and waits on") from error


def _show_until(client: Client, array: Array, end: float | None) -> Array:
    from spawn.cli.render.live import one_line

    with one_line() as show:
        while not array.settled:
            show(array)
            left = _SHOWN_EVERY_S if end is None else min(_SHOWN_EVERY_S, end - time.monotonic())
            if left <= 0:
                break
            array = client.settled(array.array_id, left)
    return array


def _wait_quietly(client: Client, array: Array, end: float | None) -> Array:
    while not array.settled:
        left = _LONGEST_POLL_S if end is None else min(_LONGEST_POLL_S, end - time.monotonic())
        if left <= 0:
            break
        array = client.settled(array.array_id, left)
    return array


def summary(client: Client, array: Array) -> None:
    """How it went, on stderr, and what one might do next."""
    if tell(client, array):
        talk.hint(f"Logs:  spawn logs {array.array_id}@failed\nRetry: spawn retry {array.array_id} @failed")


def tell(client: Client, array: Array) -> Sequence[FailureGroup]:
    """How it went, on stderr: the counts, and the failures by cause, which are returned."""
    colour = has_colour(sys.stderr)
    for line in page(array, colour=colour):
        talk.say(line)
    groups = client.failures(array.array_id) if array.counts.get("FAILED") else []
    for line in failures(groups, colour=colour):
        talk.say(line)
    return groups


def timed_out(arrays: Sequence[Array], timeout_s: float | None) -> int:
    """Say that they go on."""
    from spawn.cli.render.times import duration

    ids = " ".join(array.array_id for array in arrays)
    talk.say(f"Not settled after {duration(timeout_s)}, and going on; `spawn wait {ids}` waits again")
    return EXIT_TIMED_OUT


def detached(ids: Sequence[str]) -> int:
    """Say that they go on, and how to come back."""
    joined = " ".join(ids)
    talk.say(f"\nDetached; {joined} {'goes' if len(ids) == 1 else 'go'} on. Come back with `spawn watch {ids[0]}` or `spawn wait {joined}`.")
    return EXIT_DETACHED
