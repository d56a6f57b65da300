"""A plan for EC2: a few lines before a launch, or all of it after a dry run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from spawn.cli.render import data
from spawn.cli.render.data import Column, Kind, Output
from spawn.cli.render.money import dollars, hourly, origin, saving, span
from spawn.cli.render.terminal import is_terminal, printable
from spawn.cli.render.times import duration
from spawn.client.estimates import Plan, Quote
from spawn.domain.fleets import is_burstable

QUOTES: Final[Kind[Quote]] = Kind(
    (
        Column("WAY", lambda q: q.label),
        Column("INSTANCES", lambda q: q.instances, right=True),
        Column("HOURS", lambda q: q.hours, lambda q: span(q.hours), right=True),
        Column("PRICE", lambda q: q.price.usd, lambda q: hourly(q.price.usd), right=True),
        Column("VOLUMES", lambda q: q.volume_usd, lambda q: dollars(q.volume_usd), right=True),
        Column("ADDRESSES", lambda q: q.address_usd, lambda q: dollars(q.address_usd), right=True),
        Column("USD", lambda q: q.usd, lambda q: f"~{dollars(q.usd)}", right=True),
        Column("SOURCE", lambda q: origin(q.price)),
    ),
    identity=lambda q: q.label,
    name=lambda q: q.label,
)

_FACTS: Final = (
    *("name", "children", "instances", "vcpus", "quota", "waves", "run_calls", "seconds", "seconds_one_by_one"),
    *("ttl_s", "usd", "usd_per_hour", "account", "bucket"),
)
_LISTS: Final = ("instance_types", "regions", "zones")


def show(plan: Plan, output: Output) -> None:
    """All of it: a page for people, a fact a line for programs, or the format that was asked for. It has no id, so `-q` prints nothing."""
    if output.quiet:
        return
    if output.format in ("json", "jsonl", "yaml"):
        data.document(plan, output)
    elif output.format != "table":
        data.records(QUOTES, plan.quotes, output)
    elif is_terminal(sys.stdout):
        data.write("\n" + "\n".join(_page(plan)) + "\n\n")
        data.records(QUOTES, plan.quotes, output)
    else:
        data.write("\n".join(_facts(plan)) + "\n")
    data.flush()


def _page(plan: Plan) -> Iterator[str]:
    many = "" if plan.instances == 1 else "s"
    each = "" if plan.instances == plan.children else f" for {plan.children} indexes"
    yield f"{plan.instances} instance{many}{each}: {' or '.join(plan.instance_types)}, {'spot' if plan.spot else 'on-demand'}, {plan.vcpus} vCPUs in all"
    yield f"  Zones:     {', '.join(plan.zones)}"
    if burstable := [name for name in plan.instance_types if is_burstable(name)]:
        yield f"  CPU:       {', '.join(burstable)}: $0.05 more for each vCPU-hour above the type's baseline; with --budget it is slowed to that instead"
    yield f"  Images:    {', '.join(dict.fromkeys(offer.ami for offer in plan.offers))}"
    yield f"  Bucket:    {printable(plan.bucket)} ({plan.bucket_region}), account {plan.account}"
    calls = f"{plan.run_calls} RunInstances call{'' if plan.run_calls == 1 else 's'}"
    yield f"  Launch:    {calls}; all launched after {duration(plan.seconds)} (with a call for each: {duration(plan.seconds_one_by_one)})"
    yield f"  Quota:     {_quota(plan)}"
    yield f"  TTL:       {span(plan.ttl_s / 3600) if plan.ttl_s is not None else 'none: they cost until somebody ends them; prices are of an hour'}"


def _quota(plan: Plan) -> str:
    if plan.quota is None:
        return "could not be looked up"
    return f"{plan.quota:g} vCPUs at once: " + ("all at once" if plan.waves == 1 else f"{plan.waves} waves, each when instances of the one before have ended")


def _facts(plan: Plan) -> Iterator[str]:
    for name in _FACTS:
        yield f"{name}\t{_plain(getattr(plan, name))}"
    for name in _LISTS:
        yield f"{name}\t{','.join(getattr(plan, name))}"
    for quote in plan.quotes:
        values = (quote.label, quote.instances, quote.hours, quote.price.usd, quote.volume_usd, quote.usd, quote.price.source, quote.price.as_of)
        yield "\t".join(["quote", *map(_plain, values)])


def _plain(value: object) -> str:
    return "-" if value is None else printable(f"{value:.10g}" if isinstance(value, float) else str(value))


def show_estimate(plan: Plan) -> None:
    """What was asked for may cost, beside the other way to pay, and where the prices are from."""
    data.write("\n".join(_estimate(plan)) + "\n")
    data.flush()


def _estimate(plan: Plan) -> Iterator[str]:
    if not plan.quotes:
        yield f"Estimated cost: not known: nobody tells the price of {plan.instance_types[0]}"
        return
    asked = plan.quotes[0]
    if plan.ttl_s is None:
        yield f"Estimated cost: ~{dollars(_without_addresses(asked))} an hour ({_counted(asked)} × {hourly(asked.price.usd)}), until they are ended"
    else:
        yield f"Estimated cost: ~{dollars(_without_addresses(asked))} ({_counted(asked)} × {span(asked.hours)} × {hourly(asked.price.usd)})"
        yield from _other_market(plan, asked)
        if asked.volume_usd >= 0.01:
            yield f"Root volumes: ~{dollars(asked.volume_usd)} of it ({plan.volume_gib} GiB each)"
    if asked.address_usd:
        each = asked.address_usd / (asked.instances * asked.hours)
        yield f"Public addresses: ~{dollars(asked.address_usd)} more ({_counted(asked)} × {span(asked.hours)} × {hourly(each)}): ~{dollars(asked.usd)} in all"
    yield f"Prices: {origin(asked.price)}"


def _other_market(plan: Plan, asked: Quote) -> Iterator[str]:
    if plan.spot and asked.label != "spot":
        yield "(at the on-demand price: the spot price is not known)"
        return
    other = next((quote for quote in plan.quotes[1:] if quote.label == ("on-demand" if plan.spot else "spot")), None)
    if other is None:
        return
    if plan.spot:
        less = saving(_without_addresses(asked), _without_addresses(other))
        yield f"On-demand: ~{dollars(_without_addresses(other))} (savings: {dollars(other.usd - asked.usd)}, {less}%)"
    else:
        less = saving(_without_addresses(other), _without_addresses(asked))
        yield f"Spot cost: ~{dollars(_without_addresses(other))} ({less}% savings; {origin(other.price)})"


def _without_addresses(quote: Quote) -> float:
    """What instances and their volumes cost: public addresses cost the same on every market, and are told of in a line of their own."""
    return quote.usd - quote.address_usd


def _counted(quote: Quote) -> str:
    return f"{quote.instances} instance{'' if quote.instances == 1 else 's'}"
