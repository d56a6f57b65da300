"""`spawn start`: start instances on EC2 that were stopped."""

from __future__ import annotations

import click

from spawn.cli import options
from spawn.cli.changing import carry_out
from spawn.cli.targets import find
from spawn.cli.verbs import Verb
from spawn.client import fleets

EXAMPLES = """\
spawn start my-array                   all its instances that are stopped
spawn start my-array:3                 one of them
spawn start my-array --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@options.selection_argument
@options.dry_run_option
@options.output_options
def command(array: str, indexes: str | None, dry_run: bool, output_format: str, quiet: bool) -> int:
    """Start instances on EC2 that were stopped. What hibernated there goes on; what had ended is not run again (`spawn retry` does that)."""
    client, target = find(array, indexes)
    return carry_out(
        target,
        lambda dry: fleets.start(client, target.array.array_id, indexes=target.indexes, dry_run=dry),
        done="started",
        output=options.output_of(output_format, quiet),
        dry_run=dry_run,
        question=None,
        yes=True,
        why_nothing="no instance of it is stopped",
    )
