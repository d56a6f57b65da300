"""`spawn adopt`: take over an array that was launched on EC2 from another machine."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.accessing import access_here
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import ARRAYS
from spawn.cli.verbs import Verb
from spawn.client import cloud

EXAMPLES = """\
spawn adopt array-20260127-100000                    from the account's own bucket
spawn adopt array-20260127-100000 --bucket my-data   from another one
spawn retry array-20260127-100000 @failed            what one may do then: same id, next attempt"""


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("array_id")
@click.option("--bucket", type=values.BUCKET, help="The bucket it was launched with (default: spawn-ACCOUNT-REGION).")
@click.option("--region", type=values.REGION, help="The region of that bucket (default: that of your AWS settings).")
@options.output_options
def command(array_id: str, bucket: str | None, region: str | None, output_format: str, quiet: bool) -> None:
    """Take over an array that was launched on EC2 elsewhere, from the bucket it writes to.

    Status, logs, collect and retry then work here as if it had been launched here, and what runs is followed. Launches nothing.
    """
    output = options.output_of(output_format, quiet)
    array = cloud.adopt(ensure_engine(), array_id, bucket=bucket, access=access_here(region=region))
    if output.format in ("json", "yaml") and not output.quiet:
        data.document(array, output)
    else:
        data.records(ARRAYS, [array], output)
    counts = ", ".join(f"{count} {status}" for status, count in array.counts.items() if count)
    talk.say(f"{array.array_id} is here now: {counts}")
    talk.hint(f"spawn status {array.array_id}    spawn retry {array.array_id} @failed")
