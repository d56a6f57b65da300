"""What an argument such as `my-array:3-5`, `last@failed`, `my-array-3` or `i-0abc…` means."""

from __future__ import annotations

from typing import NamedTuple

from spawn.cli.reaching import ensure_engine
from spawn.client.client import Client
from spawn.client.objects import Array
from spawn.domain.errors import NotFound, UsageError


class Target(NamedTuple):
    """An array, and which of its indexes; None: all."""

    array: Array
    indexes: str | None


def split(text: str, indexes: str | None) -> tuple[str, str | None]:
    """`A:SET`, `A:@failed`, `A@failed`, `A/3`, or `A` and a set of its own, as the array's name and the set. Nothing is looked up."""
    ref, found = text, None
    if ":" in text:
        ref, _, found = text.partition(":")
    elif "@" in text.removeprefix("@"):
        ref, _, word = text.partition("@")
        found = f"@{word}"
    elif "/" in text:
        ref, _, found = text.partition("/")
    if found is None:
        return ref, indexes
    if indexes is not None:
        raise UsageError(f"'{text}' and '{indexes}' both name indexes: give them once")
    return ref, checked(found)


def checked(indexes: str) -> str:
    """The set as it is, after the grammar has been checked."""
    from spawn.cli.values import read_selection

    return read_selection(indexes)


def find(text: str, indexes: str | None = None) -> tuple[Client, Target]:
    """The engine, and what is meant. A bad set is refused before an engine is started for it."""
    split(text, indexes)
    client = ensure_engine()
    return client, resolve(client, text, indexes)


def whole(client: Client, text: str, instead: str) -> Array:
    """The array that is meant, for a verb about arrays as wholes; UsageError when some indexes are named. `instead`: what to do, said after the refusal."""
    target = resolve(client, text)
    if target.indexes is not None:
        raise UsageError(some_only(text, instead))
    return target.array


def refuse_indexes(text: str, instead: str) -> None:
    """The same, as far as it can be told without asking the engine."""
    if split(text, None)[1] is not None:
        raise UsageError(some_only(text, instead))


def some_only(text: str, instead: str) -> str:
    """The refusal of indexes by a verb about arrays as wholes."""
    return f"'{text}' names some indexes: {instead}"


def resolve(client: Client, text: str, indexes: str | None = None) -> Target:
    """The array and indexes that are meant. A member may be named by its own name or its instance: `my-array-3`, `i-0abc…`."""
    ref, wanted = split(text, indexes)
    try:
        return Target(client.array(ref), wanted)
    except NotFound as unknown:
        if wanted is not None:
            raise
        try:
            member = client.member(ref)
        except NotFound:
            raise unknown from None
    return Target(client.array(member.array_id), None if member.index is None else str(member.index))
