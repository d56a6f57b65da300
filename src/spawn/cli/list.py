"""`spawn list`: members, one a line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import click

from spawn.cli import options, values
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import data, talk
from spawn.cli.render.arrays import MEMBERS
from spawn.cli.targets import resolve, split
from spawn.cli.verbs import Verb
from spawn.client.client import Client
from spawn.client.objects import Member
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
        self.names: list[str] = []
        self._sets: list[str] = []
        for key, value in tags:
            self._take(key, value)
        if self._sets:
            self.indexes = _joined(self._sets)
        if self.array is not None:
            split(self.array, self.indexes)
        elif self.indexes is not None and self.indexes.startswith("@"):
            raise UsageError(f"--tag array:index={self.indexes} needs one array: add --array, or choose with --status")

    def resolve(self, client: Client) -> None:
        """Find the array that is meant, if any."""
        if self.array is not None:
            target = resolve(client, self.array, self.indexes)
            self.array, self.indexes = target.array.array_id, target.indexes

    @property
    def indexes_of_any(self) -> Collection[int] | None:
        """The indexes that members of whichever array are to have: the engine chooses indexes of one array only. None: it has chosen already."""
        from spawn.domain.indexes import IndexSet

        return IndexSet.selection(self.indexes) if self.array is None and self.indexes is not None else None

    def _take(self, key: str, value: str) -> None:
        """A tag of the user's is a filter as it is; those that every member has by itself are its array, name and index."""
        if key == "array:id":
            if self.array is not None and self.array != value:
                raise UsageError(f"--array {self.array} and --tag array:id={value} name two arrays: give one")
            self.array = value
        elif key == "array:index":
            self._sets.append(values.read_selection(value))
        elif key == "array:name":
            self.names.append(value)
        elif key.startswith("array:"):
            raise UsageError(f"--tag: unknown tag '{key}' (of those that spawn sets: array:id, array:name, array:index)")
        else:
            self.tags.append(f"{key}={value}")


def _joined(sets: Sequence[str]) -> str:
    """Flags of one kind are alternatives: all indexes of the sets. State words stand alone."""
    from spawn.domain.indexes import IndexSet, compress

    if len(set(sets)) == 1:
        return sets[0]
    for text in sets:
        if text.startswith("@"):
            raise UsageError(f"--tag array:index={text} and other indexes: give one of them")
    return compress({index for text in sets for index in IndexSet.selection(text)})


@click.command(cls=Verb, examples=EXAMPLES)
@click.option("--array", metavar="ARRAY[:SET]", shell_complete=options.complete_array, help="Members of this array, or some of them.")
@click.option("--name", multiple=True, help="Members with this name, or of arrays with this name.")
@options.tag_option("Members with this tag; also array:id=, array:name=, array:index=.")
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
        "indexes": filters.indexes if filters.array is not None else None,
        "state": list(state),
        "status": list(status),
        "name": [*name, *filters.names],
        "tag": filters.tags,
    }
    wanted = filters.indexes_of_any
    if output.format in ("json", "jsonl") and not output.quiet:
        lines = client.member_lines(**query)
        _pass_on(lines if wanted is None else _with_indexes(lines, wanted), output)
    else:
        members: Iterator[Member] = client.members(**query)
        if wanted is not None:
            members = (member for member in members if member.index in wanted)
        if not data.records(MEMBERS, members, output):
            talk.hint("no such members")


def _with_indexes(blocks: Iterator[bytes], wanted: Collection[int]) -> Iterator[bytes]:
    """The lines of members that have one of these indexes; a single job has none."""
    import msgspec

    class Indexed(msgspec.Struct):
        index: int | None

    decoder = msgspec.json.Decoder(Indexed)
    for block in blocks:
        yield b"".join(line for line in block.splitlines(keepends=True) if decoder.decode(line).index in wanted)


def _pass_on(blocks: Iterator[bytes], output: data.Output) -> None:
    """The engine's lines are JSON already."""
    if output.format == "jsonl":
        for block in blocks:
            data.write_bytes(block)
    else:
        data.json_list(line for block in blocks for line in block.splitlines())
