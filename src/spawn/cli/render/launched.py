"""What a launch shows: to people the story of it, to programs the id."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import cycle, islice
from typing import Final, NamedTuple

from spawn.cli.render import data
from spawn.cli.render.terminal import can_redraw, has_colour, is_terminal, paint, printable, width
from spawn.client.client import Client
from spawn.client.objects import Array, Launched, Member, Reason
from spawn.client.submission import Submission

_SHOWN: Final = 5
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ERASE: Final = "\r\x1b[2K"


class Progress(NamedTuple):
    """How many instances there are, how many there are to be, and why the others are not there."""

    launched: int
    wanted: int
    reasons: Sequence[Reason]

    @property
    def is_complete(self) -> bool:
        """Whether all have been launched."""
        return self.launched >= self.wanted


def is_for_people(output: data.Output) -> bool:
    """Whether a person reads stdout and asked for no format of their own."""
    return output.format == "table" and not output.quiet and is_terminal(sys.stdout)


def wants_children(output: data.Output) -> bool:
    """Whether the output names the children one by one."""
    return not output.quiet and output.format in ("json", "jsonl", "yaml")


def begin(submission: Submission) -> None:
    """What is asked for, before it happens."""
    from spawn.domain.durations import format_duration
    from spawn.domain.indexes import IndexSet

    verb = "Checking" if submission.dry_run else "Launching"
    data.line(f"🚀 {verb} {'job' if submission.indexes is None else 'job array'}...\n")
    if submission.indexes is not None:
        data.line(f"Array Size: {IndexSet.parse(submission.indexes)[0].size}")
    if instance_types := submission.cloud.get("instance_types") or (["t3.micro"] if submission.provider == "ec2" else []):
        data.line(f"Instance Type: {' or '.join(instance_types)}")
    if submission.ttl_s is not None:
        data.line(f"TTL: {format_duration(timedelta(seconds=submission.ttl_s))}")
    data.flush()


def first_members(client: Client, array: Array) -> list[Member]:
    """As many members as are shown."""
    if array.size <= 1000:
        return list(islice(client.members(array=array.array_id), _SHOWN))
    from spawn.domain.indexes import IndexSet, compress

    indexes = islice(IndexSet.selection(array.indexes or "0"), _SHOWN)
    return list(client.members(array=array.array_id, indexes=compress(indexes)))


def finish(array: Launched, first: Sequence[Member], *, dry_run: bool) -> None:
    """What has been launched, and how to follow it."""
    many = _instances(array.size)
    check = paint("✓", "green", on=has_colour(sys.stdout))
    if dry_run:
        data.line(f"\n  {check} {many} would be launched\n\nEstimated cost: $0.00 (runs on this machine)")
        return
    data.line(f"\nProgress:\n  {check} Creating {many}\n  {check} Launching instances...\n\nInstances:")
    _members(array, first, "launching")
    _launched(array)
    _how_to_follow(array, array.size)
    data.line("Estimated cost: $0.00 (runs on this machine)")
    data.flush()


def finish_on_ec2(array: Launched, first: Sequence[Member], state: Progress) -> None:
    """The same, of what there is by now; a launch that goes on is told as one."""
    instances(array, first)
    if state.is_complete:
        _launched(array)
    else:
        data.line(f"\n{state.launched} of {_instances(state.wanted)} launched so far; the others follow by themselves, also when you leave:")
        for reason in state.reasons:
            data.line(f"  {reason.count} × {printable(reason.reason)}")
        data.line("")
    _how_to_follow(array, state.wanted)
    data.flush()


def instances(array: Array, first: Sequence[Member]) -> None:
    """The first of the instances that there are."""
    known = [member for member in first if member.instance_id]
    if known:
        data.line("\nInstances:")
        _members(array, known, "launching")


def _instances(count: int) -> str:
    return f"{count} instance{'s' if count != 1 else ''}"


def _members(array: Array, first: Sequence[Member], state: str) -> None:
    for member in first:
        data.line(f"  {printable(member.name)} → {member.instance_id or '-'} ({state})")
    if array.size > len(first):
        data.line(f"  … and {array.size - len(first)} more")


def _launched(array: Array) -> None:
    what = "Job" if array.kind == "job" else "Job array"
    data.line(f"\n{paint(f'{what} launched! 🎉', 'bold', on=has_colour(sys.stdout))}\n")


def _how_to_follow(array: Array, instances: int) -> None:
    data.line(f"{'Job' if array.kind == 'job' else 'Array'} ID: {array.array_id}\nInstances: {instances}\n")
    data.line(f"Monitor:\n  spawn list --tag array:id={array.array_id}\n")


@contextmanager
def progress(wanted: int) -> Iterator[Callable[[int, Sequence[Reason]], None]]:
    """Draw how many of the instances are there, over and over where that can be, and what holds up the others."""
    colour, redraws = has_colour(sys.stdout), can_redraw(sys.stdout)
    turns = cycle(_SPINNER)
    shown = 0
    held: list[str] = []

    def show(there: int, reasons: Sequence[Reason]) -> None:
        nonlocal shown, held
        shown = there
        if (said := [printable(reason.reason) for reason in reasons]) != held and not redraws:
            for text in said:
                data.line(f"  {text}")
        held = said
        if redraws:
            text = f"  {next(turns)} Progress: {there}/{wanted} launched{f': {held[0]}' if held else ''}"
            data.write(_ERASE + (text if len(text) < width() else f"{text[: width() - 2]}…"))
            data.flush()

    check = paint("✓", "green", on=colour)
    data.line(f"\nProgress:\n  {check} Creating {_instances(wanted)}" if wanted <= _SHOWN else f"\nLaunching {_instances(wanted)}...")
    yield show
    last = "Launching instances..." if shown >= wanted <= _SHOWN else f"Progress: {shown}/{wanted} launched"
    data.line(f"{_ERASE if redraws else ''}  {check if shown >= wanted else '…'} {last}")


def record(array: Launched, output: data.Output) -> None:
    """The id, or the array in the format that was asked for. A dry run has no id: nothing is printed for it but the array itself."""
    if output.quiet or output.format == "table":
        if array.array_id:
            data.line(array.array_id)
    elif output.format in ("json", "jsonl", "yaml"):
        data.document(array, output)
    else:
        from spawn.cli.render.arrays import ARRAYS

        arrays: list[Array] = [array]
        data.records(ARRAYS, arrays, output)
    data.flush()
