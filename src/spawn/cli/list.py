"""`spawn list`: members, one a line."""

from __future__ import annotations

from collections.abc import Iterator

import click

from spawn.cli import options, values
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import MEMBERS
from spawn.cli.targets import resolve, split
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Member
from spawn.client.start import ensure_engine
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn list                                        every member of every array
spawn list --array last --state running | wc -l   how many instances of the newest array live
spawn list --tag array:id=array-20260127-100000   one array, by its id
spawn list --array my-array --status failed -q    ids alone
spawn list -o jsonl | jq .exit_code               one JSON object a line"""


class Filters:
    """What the flags ask for, in the engine's words."""

    def __init__(self, array: str | None, tags: tuple[tuple[str, str], ...]) -> None:
        self.array = array
        self.indexes: str | None = None
        self.tags: list[str] = []
        names: list[str] = []
        for key, value in tags:
            self._take(key, value, names)
        self.names = names
        if self.array is not None:
            split(self.array, self.indexes)

    def resolve(self, client: Client) -> None:
        """Find the array that is meant, if any."""
        if self.array is not None:
            target = resolve(client, self.array, self.indexes)
            self.array, self.indexes = target.array.array_id, target.indexes

    def _take(self, key: str, value: str, names: list[str]) -> None:
        """A tag of the user's is a filter as it is; those that every member has by itself are its array, name and index."""
        if key == "array:id":
            if self.array is not None and self.array != value:
                raise UsageError(f"--array {self.array} and --tag array:id={value} name two arrays: give one")
            self.array = value
        elif key == "array:index":
            self.indexes = values.read_selection(value)
        elif key == "array:name":
            names.append(value)
        elif key.startswith("array:"):
            raise UsageError(f"--tag: unknown tag '{key}' (of those that spawn sets: array:id, array:name, array:index)")
        else:
            self.tags.append(f"{key}={value}")


@click.command(cls=Verb, examples=EXAMPLES)
@click.option("--array", metavar="ARRAY[:SET]", shell_complete=options.complete_array, help="Members of this array, or some of them.")
@click.option("--name", multiple=True, help="Members with this name, or of arrays with this name.")
@click.option("--tag", type=values.TAG, multiple=True, help="Members with this tag; also array:id=, array:name=, array:index=.")
@click.option("--state", type=values.STATE, multiple=True, help="The instance is in this state.")
@click.option("--status", type=values.STATUS, multiple=True, help="The member has this status.")
@options.output_options
def command(
    array: str | None, name: tuple[str, ...], tag: tuple[tuple[str, str], ...], state: tuple[str, ...], status: tuple[str, ...], output_format: str, quiet: bool
) -> None:
    """List the members of arrays, one a line: arrays oldest first, indexes ascending."""
    output = options.output_of(output_format, quiet)
    filters = Filters(array, tag)
    client = ensure_engine()
    filters.resolve(client)
    query: dict[str, str | list[str] | None] = {
        "array": filters.array,
        "indexes": filters.indexes,
        "state": list(state),
        "status": list(status),
        "name": [*name, *filters.names],
        "tag": filters.tags,
    }
    if output.format in ("json", "jsonl") and not output.quiet:
        _pass_on(client.member_lines(**query), output)
    else:
        members: Iterator[Member] = client.members(**query)
        if not data.records(MEMBERS, members, output):
            talk.hint("no such members")


def _pass_on(blocks: Iterator[bytes], output: data.Output) -> None:
    """The engine's lines are JSON already."""
    if output.format == "jsonl":
        for block in blocks:
            data.write_bytes(block)
    else:
        data.json_list(line for block in blocks for line in block.splitlines())
