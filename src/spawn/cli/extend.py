"""`spawn extend`: let instances live longer."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.changing import carry_out
from spawn.cli.targets import find
from spawn.cli.verbs import Verb

EXAMPLES = """\
spawn extend my-array 2h               they end two hours from now
spawn extend my-array:3-5 30m          only these
spawn extend my-array-3 1d --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@click.argument("duration", type=values.DURATION)
@options.dry_run_option
@options.output_options
def command(array: str, duration: float, dry_run: bool, output_format: str, quiet: bool) -> int:
    """Let instances end DURATION from now, whatever their TTL was. Exits with 5 when there was none to extend."""
    client, target = find(array)
    return carry_out(
        target,
        lambda dry: client.extend(target.array.array_id, indexes=target.indexes, ttl_s=duration, dry_run=dry),
        done="extended",
        output=options.output_of(output_format, quiet),
        dry_run=dry_run,
        question=None,
        yes=True,
        # who extends relies on it: an instance that was not extended ends when nobody expects it
        is_conflict=lambda _target, _change: True,
        why_nothing="no instance of it is alive, so there is nothing to extend",
    )
