"""`spawn wait`: return when arrays have settled."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.reaching import ensure_engine
from spawn.cli.targets import refuse_indexes, whole
from spawn.cli.verbs import Verb
from spawn.cli.waiting import INSTEAD, wait_for

EXAMPLES = """\
spawn wait my-array                exit code 0: all succeeded; 7: some failed; 8: cancelled
spawn wait first second            both
spawn wait last --timeout 2h       124 when it has not settled by then"""


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("arrays", nargs=-1, metavar="[ARRAY]...", shell_complete=options.complete_array)
@click.option("--timeout", type=values.DURATION, help="Stay at most so long (exit code 124).")
@options.output_options
def command(arrays: tuple[str, ...], timeout: float | None, output_format: str, quiet: bool) -> int:
    """Wait until arrays (default: last) have settled, and exit with 0 only if everything succeeded."""
    for text in arrays:
        refuse_indexes(text, INSTEAD)
    client = ensure_engine()
    targets = [whole(client, text, INSTEAD) for text in arrays or ("last",)]
    return wait_for(client, targets, options.output_of(output_format, quiet), timeout)
