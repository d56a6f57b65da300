"""What a change did: a sentence for people, a record for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from spawn.cli.render import data, talk
from spawn.cli.render.data import Column, Kind, Output
from spawn.cli.render.terminal import is_terminal, printable
from spawn.client.objects import Change

CHANGES: Final[Kind[Change]] = Kind(
    (
        Column("ARRAY", lambda c: c.array_id),
        Column("INDEXES", lambda c: c.indexes),
        Column("COUNT", lambda c: c.count, right=True),
        Column("SKIPPED", lambda c: ",".join(skipped.indexes for skipped in c.skipped), wide=True),
    ),
    identity=lambda c: c.array_id,
    name=lambda c: c.array_id,
)


def show(changes: Sequence[Change], done: str, output: Output, *, dry_run: bool, whole: bool = False) -> None:
    """`done` is the past of the verb: `cancelled`. What was left alone is named with its reason. `whole`: it is about arrays, not about indexes."""
    for change in changes:
        indexes = f" (indexes {change.indexes})" if change.indexes else ""
        would = "would be " if dry_run else ""
        if whole:
            talk.say(f"{change.array_id}: {would}{done}")
        elif change.count:
            talk.say(f"{change.array_id}: {change.count} {would}{done}{indexes}")
        else:
            talk.say(f"{change.array_id}: nothing {'would be' if dry_run else 'was'} {done}")
        for skipped in change.skipped:
            talk.note(f"left alone: {skipped.indexes}: {printable(skipped.reason)}")
    if output.quiet or output.format != "table" or not is_terminal(sys.stdout):
        data.records(CHANGES, changes, output)
