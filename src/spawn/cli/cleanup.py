"""`spawn cleanup`: remove from an AWS account what arrays left behind there."""

from __future__ import annotations

from typing import Final

import click

from spawn.cli import options, values
from spawn.cli.accessing import access_here
from spawn.cli.confirming import confirmed
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import leftovers, talk
from spawn.cli.verbs import Verb
from spawn.client import cloud

EXAMPLES = """\
spawn cleanup --dry-run               what is left over in all regions of the account
spawn cleanup                         the same, and remove it after a question
spawn cleanup --region us-east-1 -y   in one region, without a question"""

EXIT_LEFT: Final = 1


@click.command(cls=Verb, examples=EXAMPLES)
@click.option(
    "--region",
    "regions",
    type=values.REGION,
    multiple=True,
    metavar="REGION",
    help="Look at this region alone; repeatable (default: all that the account has enabled).",
)
@options.dry_run_option
@options.yes_option
@options.output_options
def command(regions: tuple[str, ...], dry_run: bool, yes: bool, output_format: str, quiet: bool) -> int:
    """Find what carries spawn's tag on AWS and has outlived its end, and remove it.

    Instances past their TTL, unattached volumes, roles, queues and security groups that nothing uses, objects past their retention. What belongs to
    arrays that live is left alone, whoever launched them. Exits with 1 when something is left, or something could not be looked at.
    """
    client, access, output = ensure_engine(), access_here(), options.output_of(output_format, quiet)
    if not yes or dry_run:
        talk.progress("looking through the account")
        found = cloud.cleanup(client, regions=regions, access=access, dry_run=True)
        if dry_run or not found.leftovers:
            leftovers.show(found, output)
            return EXIT_LEFT if found.failed else 0
        if output.format == "table" and not quiet:
            leftovers.show(found, output)
        else:
            leftovers.tell(found)
        if not confirmed(f"Remove {len(found.leftovers)} of account {found.account}?", yes=False):
            return 0
    done = cloud.cleanup(client, regions=regions, access=access, dry_run=False)
    if yes or output.format != "table" or quiet:
        leftovers.show(done, output)
    else:
        leftovers.tell(done)
    return EXIT_LEFT if done.left or done.failed else 0
