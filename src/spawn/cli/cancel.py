"""`spawn cancel`: give up what has not started."""

from __future__ import annotations

import click

from spawn.cli import options
from spawn.cli.changing import carry_out
from spawn.cli.targets import find
from spawn.cli.verbs import Verb

EXAMPLES = """\
spawn cancel my-array                  what runs goes on to its end
spawn cancel my-array:50-99            only these
spawn cancel last --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@options.selection_argument
@click.option("--reason", help="Kept as the reason of their failure.")
@options.dry_run_option
@options.yes_option
@options.output_options
def command(array: str, indexes: str | None, reason: str | None, dry_run: bool, yes: bool, output_format: str, quiet: bool) -> int:
    """Give up what has not started; what runs goes on."""
    client, target = find(array, indexes)
    return carry_out(
        target,
        lambda dry: client.cancel(target.array.array_id, indexes=target.indexes, reason=reason, dry_run=dry),
        done="cancelled",
        output=options.output_of(output_format, quiet),
        dry_run=dry_run,
        question="Cancel",
        yes=yes,
    )
