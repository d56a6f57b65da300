"""`spawn access`: let arrays on EC2 go on whose AWS access has expired."""

from __future__ import annotations

import click

from spawn.cli import options
from spawn.cli.accessing import access_here
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import ARRAYS
from spawn.cli.verbs import Verb
from spawn.client import cloud

EXAMPLES = """\
spawn access                        with the credentials of this shell
AWS_PROFILE=lab spawn access        with those of a profile"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.output_options
def command(output_format: str, quiet: bool) -> None:
    """Give the engine the AWS access of this shell, for arrays on EC2 of the same account whose own is not accepted any more.

    Prints those arrays. The engine launches, follows and ends their instances with it from now on; arrays whose access is accepted keep theirs.
    """
    output = options.output_of(output_format, quiet)
    client = ensure_engine()
    renewed = cloud.renew(client, access=access_here())
    data.records(ARRAYS, [client.array(array) for array in renewed.arrays], output)
    count = len(renewed.arrays)
    if count:
        talk.say(f"{count} {'array goes' if count == 1 else 'arrays go'} on with this access to account {renewed.account}")
    else:
        talk.say(f"no array of account {renewed.account} waits for another access")
