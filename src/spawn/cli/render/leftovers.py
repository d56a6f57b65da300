"""What was left behind in an account, and what became of it."""

from __future__ import annotations

import sys
from typing import Final

from spawn.cli.render import data, talk
from spawn.cli.render.data import Column, Kind, Output
from spawn.cli.render.terminal import printable
from spawn.client.leftovers import Leftover, Sweep

_MOST_REGIONS: Final = 4

LEFTOVERS: Final[Kind[Leftover]] = Kind(
    (
        Column("REGION", lambda one: one.region),
        Column("KIND", lambda one: one.kind),
        Column("ID", lambda one: one.id),
        Column("ARRAY", lambda one: one.array_id),
        Column("WHY", lambda one: one.why),
        Column("REMOVED", lambda one: one.removed, lambda one: "yes" if one.removed else "no"),
        Column("ERROR", lambda one: one.error, wide=True),
    ),
    identity=lambda one: one.id,
    name=lambda one: one.id,
)


def show(sweep: Sweep, output: Output) -> None:
    """The leftovers, one a line, and for people where they were looked for."""
    if output.format in ("json", "yaml") and not output.quiet:
        data.document(sweep, output)
    elif sweep.leftovers:
        data.records(LEFTOVERS, sweep.leftovers, output)
    sys.stdout.flush()
    tell(sweep)


def tell(sweep: Sweep) -> None:
    """Where was looked, what could not be looked at, and what could not be removed."""
    regions = f"{len(sweep.regions)} regions" if len(sweep.regions) > _MOST_REGIONS else ", ".join(sweep.regions)
    looked = f"looked at {regions}; {summary(sweep)}" if sweep.regions or sweep.leftovers else "no region could be looked at"
    talk.say(f"Account {sweep.account}: {looked}")
    for where, why in sweep.failed.items():
        talk.warn(f"{printable(where)} could not be looked at: {printable(why)}")
    for one in sweep.leftovers:
        if one.error is not None:
            talk.warn(f"{one.kind} {one.id} was not removed: {printable(one.error)}")


def summary(sweep: Sweep) -> str:
    """What there is, by kind, in some words."""
    if not sweep.leftovers:
        return "nothing is left over"
    counts: dict[str, int] = {}
    for one in sweep.leftovers:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    listed = ", ".join(f"{count} {kind}{'s' if count > 1 and kind != 'objects' else ''}" for kind, count in counts.items())
    if not sweep.removed:
        return f"left over: {listed}"
    return f"removed: {listed}" if not sweep.left else f"removed {len(sweep.leftovers) - sweep.left} of {len(sweep.leftovers)} ({listed})"
