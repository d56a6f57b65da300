"""What a launch shows: to people the story of it, to programs the id."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

from spawn.cli.render import data
from spawn.cli.render.terminal import has_colour, is_terminal, paint, printable
from spawn.client.client import Client
from spawn.client.objects import Array, Launched, Member, Submission

_SHOWN: Final = 5


def is_for_people(output: data.Output) -> bool:
    """Whether a person reads stdout and asked for no format of their own."""
    return output.format == "table" and not output.quiet and is_terminal(sys.stdout)


def begin(submission: Submission) -> None:
    """What is asked for, before it happens."""
    from spawn.domain.durations import format_duration
    from spawn.domain.indexes import IndexSet

    verb = "Checking" if submission.dry_run else "Launching"
    data.line(f"🚀 {verb} {'job' if submission.indexes is None else 'job array'}...\n")
    if submission.indexes is not None:
        data.line(f"Array Size: {IndexSet.parse(submission.indexes)[0].size}")
    if instance_type := submission.cloud.get("instance_type"):
        data.line(f"Instance Type: {instance_type}")
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
    colour = has_colour(sys.stdout)
    many = f"{array.size} instance{'s' if array.size != 1 else ''}"
    check = paint("✓", "green", on=colour)
    if dry_run:
        data.line(f"\n  {check} {many} would be launched\n\nEstimated cost: $0.00 (runs on this machine)")
        return
    what = "Job" if array.kind == "job" else "Job array"
    data.line(f"\nProgress:\n  {check} Creating {many}\n  {check} Launching instances...\n\nInstances:")
    for member in first:
        data.line(f"  {printable(member.name)} → {member.instance_id or '-'} (launching)")
    if array.size > len(first):
        data.line(f"  … and {array.size - len(first)} more")
    data.line(f"\n{paint(f'{what} launched! 🎉', 'bold', on=colour)}\n")
    data.line(f"{'Job' if array.kind == 'job' else 'Array'} ID: {array.array_id}\nInstances: {array.size}\n")
    data.line(f"Monitor:\n  spawn list --tag array:id={array.array_id}\n")
    data.line("Estimated cost: $0.00 (runs on this machine)")
    data.flush()


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
