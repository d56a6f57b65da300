"""`spawn watch`: the status, live."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from spawn.cli import options
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import data
from spawn.cli.render.arrays import ARRAYS, failures, page
from spawn.cli.render.terminal import can_redraw, has_colour
from spawn.cli.status import next_steps
from spawn.cli.targets import refuse_indexes, whole
from spawn.cli.verbs import Verb
from spawn.cli.waiting import INSTEAD, detached, exit_code, explaining_a_stop
from spawn.client.client import Client
from spawn.client.objects import Array, FailureGroup

_EVERY_S = 0.5
_EVERY_ON_EC2_S = 3.0
"""EC2 is looked at every 5 s at most, and the answer about an array of thousands takes the engine a tenth of a second."""

_MOST_GROUPS = 5

EXAMPLES = """\
spawn watch                            the newest array
spawn watch my-array
spawn watch my-array -o jsonl          one JSON object for every change"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.maybe_array_argument
@options.output_options
def command(array: str, output_format: str, quiet: bool) -> int:
    """Show the status until the array has settled; exits as `spawn wait` does. Ctrl-C leaves it running."""
    output = options.output_of(output_format, quiet)
    refuse_indexes(array, INSTEAD)
    client = ensure_engine()
    watched = whole(client, array, INSTEAD)
    try:
        with explaining_a_stop(client, watched.array_id):
            watched = _watch(client, watched, output)
    except KeyboardInterrupt:
        return detached([watched.array_id])
    return exit_code([watched])


def _watch(client: Client, array: Array, output: data.Output) -> Array:
    if output.format == "table" and not output.quiet and can_redraw(sys.stdout):
        return _draw(client, array)
    for now in _changes(client, array):
        array = now
        data.records(ARRAYS, [array], data.Output("jsonl" if output.format == "json" else output.format, output.quiet))
        data.flush()
    return array


def _interval_s(array: Array) -> float:
    """How long one look at an array waits for its end."""
    return _EVERY_ON_EC2_S if array.on_ec2 else _EVERY_S


def _changes(client: Client, array: Array) -> Iterator[Array]:
    """The array now, and again whenever a count or its status has changed, until it has settled."""
    yield array
    while not array.settled:
        now = client.settled(array.array_id, _interval_s(array))
        if (now.status, now.counts, now.lost) != (array.status, array.counts, array.lost):
            yield now
        array = now


def _draw(client: Client, array: Array) -> Array:
    from spawn.cli.render.live import whole_page

    colour = has_colour(sys.stdout)
    with whole_page() as show:
        groups: list[FailureGroup] = []
        failed = 0
        while True:
            if array.counts.get("FAILED", 0) != failed:
                failed = array.counts.get("FAILED", 0)
                groups = client.failures(array.array_id)
            show(_lines(array, groups, colour=colour))
            if array.settled:
                break
            array = client.settled(array.array_id, _interval_s(array))
    next_steps(array)
    return array


def _lines(array: Array, groups: list[FailureGroup], *, colour: bool) -> list[str]:
    lines = page(array, colour=colour)
    if groups:
        lines += ["", "Failures:", *failures(groups[:_MOST_GROUPS], colour=colour)]
    if len(groups) > _MOST_GROUPS:
        lines.append(f"  … and {len(groups) - _MOST_GROUPS} more causes: spawn status {array.array_id}")
    return lines if array.settled else [*lines, "", "Ctrl-C leaves it running"]
