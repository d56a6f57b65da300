"""`spawn status`: all arrays, or one with its failures."""

from __future__ import annotations

import sys
from typing import Any

import click

from spawn.cli import options, values
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import ARRAYS, show_facts, show_page
from spawn.cli.render.terminal import is_terminal
from spawn.cli.targets import refuse_indexes, whole
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Array, FailureGroup, Reason
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn status                       how all arrays stand, newest first
spawn status my-array              counts, progress, time left, failures by cause
spawn status last --why            why what does not run does not run
spawn status last -o json          the same facts for a program"""

_INSTEAD = "the status is one for the whole array; `spawn list --array ARRAY:SET` shows members, and `spawn logs ARRAY:SET` what they printed"


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("array", required=False, shell_complete=options.complete_array)
@click.option("--why", is_flag=True, help="Also say why what does not run does not run.")
@click.option("--status", type=values.STATUS, multiple=True, help="Without ARRAY: arrays with this status.")
@click.option("--name", multiple=True, help="Without ARRAY: arrays with this name.")
@options.tag_option("Without ARRAY: arrays with this tag.")
@options.output_options
def command(
    array: str | None, why: bool, status: tuple[str, ...], name: tuple[str, ...], tag: tuple[tuple[str, str], ...], output_format: str, quiet: bool
) -> None:
    """Say how arrays stand."""
    output = options.output_of(output_format, quiet)
    if array is None:
        if why:
            raise UsageError("--why explains one array: name it, or write `last`")
        arrays = ensure_engine().arrays(status=status, name=name, tag=[f"{key}={value}" for key, value in tag])
        if not data.records(ARRAYS, arrays, output):
            talk.hint("no arrays yet; `spawn launch --help` shows how to start one" if not (status or name or tag) else "no such arrays")
        return
    if status or name or tag:
        raise UsageError("--status, --name and --tag choose among all arrays: leave them out, or ARRAY")
    refuse_indexes(array, _INSTEAD)
    client = ensure_engine()
    _one(client, whole(client, array, _INSTEAD), why, output)


def _one(client: Client, array: Array, why: bool, output: data.Output) -> None:
    if output.quiet or output.format in ("name", "wide", "tsv", "csv"):
        data.records(ARRAYS, [array], output)
        return
    groups = client.failures(array.array_id) if array.counts.get("FAILED") else []
    reasons = client.why(array.array_id) if why else []
    if output.format in ("json", "jsonl", "yaml"):
        data.document(_whole(array, groups, reasons if why else None), output)
    elif is_terminal(sys.stdout):
        show_page(array, groups, reasons)
        if why and not reasons:
            talk.hint("Nothing waits.")
        next_steps(array)
    else:
        show_facts(array, groups, reasons)


def _whole(array: Array, groups: list[FailureGroup], reasons: list[Reason] | None) -> dict[str, Any]:
    import msgspec

    whole: dict[str, Any] = msgspec.to_builtins(array) | {"failures": msgspec.to_builtins(groups)}
    return whole if reasons is None else whole | {"why": msgspec.to_builtins(reasons)}


def next_steps(array: Array) -> None:
    """What one might do now, for people."""
    if not array.settled:
        talk.hint(f"\nWatch: spawn watch {array.array_id}")
    elif array.counts.get("FAILED"):
        talk.hint(f"\nLogs:  spawn logs {array.array_id}@failed\nRetry: spawn retry {array.array_id} @failed")
