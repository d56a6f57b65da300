"""`spawn retry`: run failed or lost indexes again."""

from __future__ import annotations

import re

import click

from spawn.cli import options
from spawn.cli.changing import carry_out
from spawn.cli.render import talk
from spawn.cli.targets import Target, find, split
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.domain.errors import NotFound

_ID = re.compile(r"(array|job)-\d{8}-\d{6}(-\d+)?")

EXAMPLES = """\
spawn retry my-array                   what failed, under the same id, as its next attempt
spawn retry my-array @lost             only what was lost with its machine
spawn retry my-array @interrupted      only what the spot market took
spawn retry my-array 3,7-9             these, even if they had succeeded
spawn retry last --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@options.selection_argument
@options.dry_run_option
@options.output_options
def command(array: str, indexes: str | None, dry_run: bool, output_format: str, quiet: bool) -> int:
    """Run indexes (default: @failed) again, under the same id. What succeeded is left alone unless it is named."""
    client, target = _known(array, indexes)
    if target.indexes is None:
        target = Target(target.array, "@failed")
    code = carry_out(
        target,
        lambda dry: client.retry(target.array.array_id, indexes=target.indexes, dry_run=dry),
        done="retried",
        output=options.output_of(output_format, quiet),
        dry_run=dry_run,
        question=None,
        yes=True,
        is_conflict=lambda _target, change: bool(change.skipped),
        why_nothing="nothing of it has failed" if target.indexes == "@failed" else f"it has no members {target.indexes}",
    )
    if not code and not dry_run:
        talk.hint(f"Watch: spawn watch {target.array.array_id}")
    return code


def _known(array: str, indexes: str | None) -> tuple[Client, Target]:
    """What is meant; an id that another machine gave out can be taken over first."""
    try:
        return find(array, indexes)
    except NotFound as unknown:
        ref = split(array, indexes)[0]
        if not _ID.fullmatch(ref):
            raise
        raise NotFound(f"{unknown}; if it was launched on EC2 from elsewhere, `spawn adopt {ref}` takes it over first") from unknown
