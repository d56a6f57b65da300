"""What arrays have cost: a page for one, records for several, and their parts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from spawn.cli.render import data
from spawn.cli.render.data import Column, Kind, Output
from spawn.cli.render.money import dollars, hourly, origin
from spawn.cli.render.terminal import has_colour, is_terminal, paint, printable
from spawn.client.estimates import Cost, CostPart

COSTS: Final[Kind[Cost]] = Kind(
    (
        Column("ARRAY", lambda c: c.array_id),
        Column("NAME", lambda c: c.name),
        Column("PROVIDER", lambda c: c.provider),
        Column("INSTANCES", lambda c: c.instances, right=True),
        Column("RUNNING", lambda c: c.running, right=True),
        Column("HOURS", lambda c: c.hours, lambda c: f"{c.hours:.2f}", right=True),
        Column("USD", lambda c: c.usd, lambda c: dollars(c.usd), right=True),
        Column("AT END", lambda c: c.usd_expected, lambda c: dollars(c.usd_expected), right=True),
        Column("PAID", lambda c: not c.hypothetical, lambda c: "no" if c.hypothetical else "yes"),
        Column("AT MOST", lambda c: c.usd_at_most, lambda c: dollars(c.usd_at_most), wide=True, right=True),
        Column("VOLUMES", lambda c: c.volume_usd, lambda c: dollars(c.volume_usd), wide=True, right=True),
        Column("PRICES", lambda c: "; ".join(dict.fromkeys(origin(price) for price in c.prices)), wide=True),
        Column("AS OF", lambda c: c.as_of, wide=True),
    ),
    identity=lambda c: c.array_id,
    name=lambda c: c.name,
)


class PartOf(NamedTuple):
    """A part, and of which array."""

    cost: Cost
    part: CostPart


_BY: Final[dict[str, tuple[Column[PartOf], ...]]] = {
    "index": (Column("INDEX", lambda p: p.part.index, right=True),),
    "day": (Column("DAY", lambda p: p.part.day),),
    "type": (
        Column("TYPE", lambda p: p.part.type),
        Column("MARKET", lambda p: p.part.market),
        Column("REGION", lambda p: p.part.region),
    ),
}


def parts_kind(by: str) -> Kind[PartOf]:
    """How the parts of arrays are printed."""
    columns: tuple[Column[PartOf], ...] = (
        Column("ARRAY", lambda p: p.cost.array_id),
        *_BY[by],
        Column("INSTANCES", lambda p: p.part.instances, right=True),
        Column("HOURS", lambda p: p.part.hours, lambda p: f"{p.part.hours:.2f}", right=True),
        Column("USD", lambda p: p.part.usd, lambda p: dollars(p.part.usd), right=True),
        Column("VOLUMES", lambda p: p.part.volume_usd, lambda p: dollars(p.part.volume_usd), wide=True, right=True),
        Column("PAID", lambda p: not p.cost.hypothetical, lambda p: "no" if p.cost.hypothetical else "yes", wide=True),
    )
    return Kind(columns, identity=lambda p: p.cost.array_id, name=lambda p: p.cost.name)


def show(costs: Sequence[Cost], output: Output, *, by: str | None, one: bool) -> int:
    """Print them and return how many records there were. `one`: a single array was named, which is a page for people and one object for programs."""
    if output.format in ("json", "jsonl", "yaml") and not output.quiet:
        return _documents(costs, output, one=one)
    if by is not None:
        return data.records(parts_kind(by), [PartOf(cost, part) for cost in costs for part in cost.parts or ()], output)
    if one and output.format == "table" and not output.quiet and is_terminal(sys.stdout):
        data.write("\n".join(page(costs[0])) + "\n")
        return 1
    return data.records(COSTS, costs, output)


def _documents(costs: Sequence[Cost], output: Output, *, one: bool) -> int:
    if one:
        data.document(costs[0], output)
        return 1
    return data.records(COSTS, costs, output)


def page(cost: Cost) -> Iterator[str]:
    """One array, as lines for people."""
    colour = has_colour(sys.stdout)
    yield f"{paint(printable(cost.name), 'bold', on=colour)}  {cost.array_id}  {cost.status}"
    counted = f"{cost.instances} instance{'' if cost.instances == 1 else 's'}, {cost.running} running, {cost.hours:.2f} hours together"
    yield f"{'Would have cost' if cost.hypothetical else 'So far'}: {dollars(cost.usd)} ({counted})"
    if cost.usd_expected != cost.usd or cost.running:
        most = "no end in sight without a TTL" if cost.usd_at_most is None else f"at most {dollars(cost.usd_at_most)}"
        yield f"To completion: ~{dollars(cost.usd_expected)} ({most})" if cost.usd_expected is not None else f"To completion: {most}"
    if cost.volume_usd:
        yield f"Root volumes: {dollars(cost.volume_usd)} of it"
    if cost.address_usd:
        yield f"Public addresses: {dollars(cost.address_usd)} of it"
    for price in cost.prices:
        yield f"  {price.instances} × {price.type} {price.market}, {price.region}: {hourly(price.usd)} ({origin(price)})"
