"""`spawn limit`: change how many run at once."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import ARRAYS
from spawn.cli.targets import find
from spawn.cli.verbs import Verb
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn limit my-array 20                at most twenty at once, from now on
spawn limit my-array none              as many as there is room for"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@click.argument("limit", type=values.LIMIT, metavar="K|none")
@options.output_options
def command(array: str, limit: int | str, output_format: str, quiet: bool) -> None:
    """Change how many of an array run at once, while it runs. What runs already goes on."""
    client, target = find(array)
    if target.indexes is not None:
        raise UsageError("the limit is one for the whole array: name it without indexes")
    changed = client.limit(target.array.array_id, limit if isinstance(limit, int) else None)
    talk.say(f"{changed.array_id}: at most {changed.max_concurrent} at once" if changed.max_concurrent is not None else f"{changed.array_id}: no limit")
    output = options.output_of(output_format, quiet)
    data.records(ARRAYS, [changed], output) if output.quiet or output.format != "table" else data.flush()
