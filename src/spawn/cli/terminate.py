"""`spawn terminate`: stop what runs, too."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.changing import carry_out
from spawn.cli.targets import find
from spawn.cli.verbs import Verb

EXAMPLES = """\
spawn terminate my-array               everything of it, and its instances
spawn terminate my-array:3-5 --yes     three of them, without a question
spawn terminate my-array-3             one, by its name (or i-0abc…)
spawn terminate last --grace 5s        SIGKILL after five seconds instead of thirty"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@options.selection_argument
@click.option("--reason", help="Kept as the reason of their failure.")
@click.option("--grace", type=values.DURATION, help="How long they may clean up before they are killed (default: as launched).")
@options.dry_run_option
@options.yes_option
@options.output_options
def command(array: str, indexes: str | None, reason: str | None, grace: float | None, dry_run: bool, yes: bool, output_format: str, quiet: bool) -> int:
    """Stop what runs, give up what has not started, and end the instances."""
    client, target = find(array, indexes)
    return carry_out(
        target,
        lambda dry: client.terminate(target.array.array_id, indexes=target.indexes, reason=reason, grace_s=grace, dry_run=dry),
        done="terminated",
        output=options.output_of(output_format, quiet),
        dry_run=dry_run,
        question="Terminate",
        yes=yes,
    )
