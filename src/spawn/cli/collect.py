"""`spawn collect`: copy the outputs, with a manifest of what is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from spawn.cli import options
from spawn.cli.bringing import Bringing
from spawn.cli.collecting import Collection, plan
from spawn.cli.manifests import MANIFEST, Entry, Manifest, Record
from spawn.cli.render import data, talk
from spawn.cli.render.collected import FILES, sentence
from spawn.cli.render.terminal import is_terminal, printable
from spawn.cli.targets import find
from spawn.cli.verbs import Verb
from spawn.cli.waiting import EXIT_FAILED
from spawn.client.client import Client
from spawn.client.objects import Array, MemberDetail
from spawn.domain.errors import ConfigurationError, UsageError
from spawn.domain.hindrances import Because

_UNKEPT: Final = Because.UNKEPT.value

EXAMPLES = """\
spawn collect my-array results/            results/0/…, results/1/…, and results/manifest.json
spawn collect my-array results/ --flat     all files in one directory, when no name is there twice
spawn collect my-array results/ --logs     also results/logs/0.log, …
spawn collect last results/ -o json        the manifest"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--flat", is_flag=True, help="Without a directory for every index.")
@click.option("--logs", is_flag=True, help="Also the log of the latest attempt of every index.")
@click.option("--force", is_flag=True, help="Overwrite files that were not collected from this array.")
@options.dry_run_option
@options.output_options
def command(array: str, directory: Path, flat: bool, logs: bool, force: bool, dry_run: bool, output_format: str, quiet: bool) -> int:
    """Copy what every index wrote to $TASK_OUTPUT_DIR into DIR, with a manifest. Again: copies only what is new.

    Exits with 7 when indexes failed or are missing; what there is has been copied then.
    """
    _refuse_file(directory)
    client, target = find(array)
    if target.indexes is not None:
        raise UsageError("arrays are collected as a whole: name it without indexes")
    members: Iterable[MemberDetail] = client.members_with_attempts(target.array.array_id)
    unbrought: frozenset[int] | None = None
    if target.array.on_ec2 and not dry_run:
        members = list(members)
        unbrought = _brought(client, target.array, members, logs=logs)
    elif target.array.on_ec2:
        talk.note("outputs that are not on this machine yet are brought first: until then they count as missing")
    try:
        collection = plan(target.array, members, directory, flat=flat, logs=logs, unbrought=unbrought)
        collection.refuse_foreign(force=force)
        manifest = collection.manifest_if_done() if dry_run else collection.carry_out()
    except OSError as error:
        raise ConfigurationError(
            f"cannot collect into {error.filename or directory}: {error.strerror or error}; nothing is half written, so run it again"
        ) from error
    _show(collection, manifest, options.output_of(output_format, quiet), dry_run=dry_run)
    return EXIT_FAILED if manifest.failed or manifest.missing else 0


def _brought(client: Client, array: Array, members: Sequence[MemberDetail], *, logs: bool) -> frozenset[int]:
    """Bring outputs (and logs) from the bucket, and return the indexes of which some outputs could not be; each with its reason on stderr."""
    from spawn.cli.render.live import counter

    good = [member for member in members if any(attempt.status == "SUCCEEDED" for attempt in member.attempts)]
    with counter(f"{array.title}: bringing outputs", len(good)) as show:
        outputs = Bringing(client, array, "outputs", show)
        for _ in outputs.blocks(good):
            pass
    outputs.tell_failures()
    if logs:
        begun = [member for member in members if member.attempt]
        with counter(f"{array.title}: bringing logs", len(begun)) as show:
            printed = Bringing(client, array, "logs", show)
            for _ in printed.blocks(begun):
                pass
        printed.tell_failures()
    return outputs.indexes_failed()


def _refuse_file(directory: Path) -> None:
    """Refuse, before anything is asked, a place where no directory can be."""
    for path in (directory, *directory.parents):
        if path.is_dir():
            return
        if os.path.lexists(path):
            raise UsageError(f"{path} is not a directory: name one to collect into, which is made when it is not there")


def _tell_absent(collection: Collection) -> None:
    """Why indexes are missing, and what their array says about that."""
    from spawn.domain.indexes import compress

    for why, indexes in collection.absent.items():
        talk.note(f"missing: {compress(indexes)}: {why}")
    for remark in (collection.array.remarks or ()) if collection.absent else ():
        if remark.kind == _UNKEPT:
            continue  # said of each index
        talk.note(f"{remark.count} × {printable(remark.reason)}")


def _show(collection: Collection, manifest: Manifest, output: data.Output, *, dry_run: bool) -> None:
    _tell_absent(collection)
    for index, why in collection.incomplete.items():
        talk.warn(f"index {index}: {printable(why)}")
    for path in collection.passed_over:
        talk.note(f"not a regular file, left where it is: {path}")
    if output.format in ("json", "yaml") and not output.quiet:
        data.document(manifest, output)
    elif output.quiet or output.format != "table" or not is_terminal(sys.stdout):
        entries: list[Entry] = [Record(**msgspec.structs.asdict(entry)) for entry in manifest.files]
        data.records(FILES, entries, output)
    talk.say(sentence(manifest, collection.directory, copied=collection.copied, dry_run=dry_run))
    if not dry_run:
        talk.hint(f"Manifest: {collection.directory / MANIFEST}")
