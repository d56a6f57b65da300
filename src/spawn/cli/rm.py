"""`spawn rm`: forget finished arrays."""

from __future__ import annotations

from collections.abc import Sequence

import click

from spawn.cli import options, values
from spawn.cli.confirming import confirmed
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import changes, talk
from spawn.cli.render.times import between
from spawn.cli.targets import whole
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.instances import FleetPlace
from spawn.client.objects import Array, Change
from spawn.domain.errors import Conflict, SpawnError, UsageError

EXAMPLES = """\
spawn rm my-array                      with its logs and outputs: collect first
spawn rm --finished --older-than 7d    everything that settled a week ago or earlier
spawn rm --finished --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("arrays", nargs=-1, metavar="[ARRAY]...", shell_complete=options.complete_array)
@click.option("--finished", is_flag=True, help="All arrays that have settled and whose instances have ended.")
@click.option("--older-than", type=values.DURATION, help="With --finished: only those that settled so long ago.")
@options.dry_run_option
@options.yes_option
@options.output_options
def command(arrays: tuple[str, ...], finished: bool, older_than: float | None, dry_run: bool, yes: bool, output_format: str, quiet: bool) -> int:
    """Forget finished arrays, with their logs and outputs."""
    if bool(arrays) == finished:
        raise UsageError("name the arrays to forget, or give --finished" if not arrays else "--finished means all finished arrays: leave out the names")
    if older_than is not None and not finished:
        raise UsageError("--older-than chooses among --finished arrays: add it")
    client = ensure_engine()
    chosen = _finished(client, older_than) if finished else [whole(client, text, "arrays are forgotten as a whole") for text in arrays]
    for array in chosen:
        client.remove(array.array_id, dry_run=True)
    objects = [array.fleet.objects for array in chosen if isinstance(array.fleet, FleetPlace)]
    if chosen and not dry_run and not confirmed(f"Forget {_named(chosen)}, with logs and outputs{_also(objects)}?", yes=yes):
        return 0
    forgotten, failure = _remove(client, chosen, dry_run=dry_run)
    changes.show(forgotten, "forgotten", options.output_of(output_format, quiet), dry_run=dry_run, whole=True)
    if not chosen:
        talk.say("nothing to forget")
    gone = {change.array_id for change in forgotten}
    for array in chosen:
        if isinstance(array.fleet, FleetPlace) and array.array_id in gone:
            talk.note(f"{array.fleet.objects} {'would be' if dry_run else 'is'} deleted too: its logs, outputs and outcomes there")
    if failure is not None:
        raise failure
    return 0


def _finished(client: Client, older_than: float | None) -> list[Array]:
    """Those that may go; those whose instances live on are left alone, and counted."""
    found = []
    alive = 0
    for array in client.arrays(status=("SUCCEEDED", "FAILED")):
        age = between(array.stopped_at or array.created_at, None) or 0.0
        if older_than is not None and age < older_than:
            continue
        try:
            client.remove(array.array_id, dry_run=True)
        except Conflict:
            alive += 1
        else:
            found.append(array)
    if alive:
        talk.note(f"{alive} finished array{'s have' if alive > 1 else ' has'} instances that live on: left alone (`spawn terminate` ends them)")
    return found


def _remove(client: Client, chosen: Sequence[Array], *, dry_run: bool) -> tuple[list[Change], SpawnError | None]:
    """Forget one after the other; the first that cannot be forgotten ends it, and what was forgotten is still told."""
    done: list[Change] = []
    for array in chosen:
        try:
            done.append(client.remove(array.array_id, dry_run=dry_run))
        except SpawnError as failure:
            return done, failure
    return done, None


def _also(objects: Sequence[str]) -> str:
    if not objects:
        return ""
    return f", and {objects[0]}" + (f" and {len(objects) - 1} more like it" if len(objects) > 1 else "")


def _named(chosen: Sequence[Array]) -> str:
    return chosen[0].array_id if len(chosen) == 1 else f"{len(chosen)} arrays ({chosen[0].array_id} … {chosen[-1].array_id})"
