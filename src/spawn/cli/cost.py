"""`spawn cost`: what arrays have cost so far, and will have at their end."""

from __future__ import annotations

import click

from spawn.cli import options, values
from spawn.cli.list import Filters
from spawn.cli.reaching import ensure_engine
from spawn.cli.render import costs, talk
from spawn.cli.targets import refuse_indexes, whole
from spawn.cli.verbs import Verb
from spawn.client import cloud
from spawn.client.client import Client
from spawn.domain.errors import UsageError

EXAMPLES = """\
spawn cost my-array                               so far, and to completion
spawn cost --tag array:id=array-20260127-100000   one array, by its id
spawn cost --tag project=films                    every array with this tag
spawn cost last --by index                        what each index has cost; also: day, type
spawn cost -o json                                every array, for a program"""

_INSTEAD = "costs are told for whole arrays; `spawn cost ARRAY --by index` tells those of each index"
_BY = values.OneOf("way to tell costs apart", ("index", "day", "type"))


@click.command(cls=Verb, examples=EXAMPLES)
@click.argument("array", required=False, shell_complete=options.complete_array)
@options.tag_option("Arrays with this tag; also array:id=, array:name=.")
@click.option("--by", type=_BY, help="Tell costs apart by index, day or instance type.")
@options.output_options
def command(array: str | None, tag: tuple[tuple[str, str], ...], by: str | None, output_format: str, quiet: bool) -> None:
    """Say what arrays cost: so far, and to completion. Without ARRAY and --tag: all of them, newest first."""
    output = options.output_of(output_format, quiet)
    filters = Filters(array, tag)
    if filters.array is not None:
        refuse_indexes(filters.array, _INSTEAD)
    if filters.indexes is not None:
        raise UsageError(f"--tag array:index={filters.indexes}: {_INSTEAD}")
    client = ensure_engine()
    refs = _arrays(client, filters)
    if refs == []:
        talk.hint("no such arrays")
        return
    found = cloud.costs(client, arrays=refs or (), tags=filters.tags, by=by)
    for sentence in dict.fromkeys(sentence for cost in found for sentence in cost.notes):
        talk.note(sentence)
    one = filters.array is not None and len(found) == 1
    if not costs.show(found, output, by=by, one=one):
        talk.hint("nothing has cost anything yet")


def _arrays(client: Client, filters: Filters) -> list[str] | None:
    """The ids of the arrays that are named; None: none is, so all are meant."""
    if filters.array is not None:
        return [whole(client, filters.array, _INSTEAD).array_id]
    return [found.array_id for found in client.arrays(name=filters.names)] if filters.names else None
