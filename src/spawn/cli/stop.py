"""`spawn stop`: stop instances on EC2, and keep their disks."""

from __future__ import annotations

import click

from spawn.cli import options
from spawn.cli.changing import all_named_left_alone
from spawn.cli.confirming import confirmed
from spawn.cli.render import changes, talk
from spawn.cli.targets import Target, find
from spawn.cli.verbs import Verb
from spawn.client import fleets
from spawn.client.client import Client
from spawn.client.objects import Change

EXIT_CONFLICT = 5

EXAMPLES = """\
spawn stop my-array                    all its instances that run
spawn stop my-array:3                  one of them
spawn stop my-array:3 --hibernate      with its memory: what runs there goes on after `spawn start`
spawn stop my-array --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@options.selection_argument
@click.option("--hibernate", is_flag=True, help="Keep the memory too; only for what was launched with --on-complete hibernate.")
@options.dry_run_option
@options.yes_option
@options.output_options
def command(array: str, indexes: str | None, hibernate: bool, dry_run: bool, yes: bool, output_format: str, quiet: bool) -> int:
    """Stop instances on EC2: their disks are kept and billed until their end, and `spawn start` starts them again. What runs there ends with it."""
    client, target = find(array, indexes)
    if not (dry_run or yes or hibernate) and not _may_end(client, target):
        return 0
    change = fleets.stop(client, target.array.array_id, indexes=target.indexes, hibernate=hibernate, dry_run=dry_run)
    changes.show([change], "stopped", options.output_of(output_format, quiet), dry_run=dry_run)
    if change.count:
        if not dry_run:
            talk.hint(f"Start again: spawn start {_said(target, change)}")
        return 0
    if not change.skipped:
        talk.note("no instance of it runs")
    return EXIT_CONFLICT if all_named_left_alone(target, change) else 0


def _may_end(client: Client, target: Target) -> bool:
    """Ask when attempts would end with their instances."""
    expected = fleets.stop(client, target.array.array_id, indexes=target.indexes, hibernate=False, dry_run=True)
    if not expected.count:
        return True
    running = sum(1 for _ in client.members(array=target.array.array_id, indexes=expected.indexes, status=["RUNNING"]))
    if not running:
        return True
    return confirmed(f"Stop {expected.count} of {target.array.size} instances of {target.array.title}? What {running} of them run ends with it", yes=False)


def _said(target: Target, change: Change) -> str:
    return f"{target.array.array_id}:{change.indexes}" if change.indexes else target.array.array_id
