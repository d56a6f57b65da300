"""JSON of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_ENCODER = msgspec.json.Encoder()


def written(answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON; members that are None, at any depth, are left out."""
    return _ENCODER.encode(_without_nothing(answer))


def written_failure(code: str, message: str) -> bytes:
    """The body of an answer that is an error, as every client reads it (spec 1.1)."""
    # a name of a file may hold bytes that are no text
    return _ENCODER.encode({"__type": code, "message": message.encode(errors="replace").decode()})


_PLAIN: Final = frozenset((str, int, bool, float))


def _without_nothing(value: Any) -> Any:
    kind = type(value)
    # a page of a thousand jobs has thirty thousand of these: a look at the exact type takes a quarter of the time of an isinstance with Mapping
    if kind in _PLAIN:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {name: member if type(member) in _PLAIN else _without_nothing(member) for name, member in value.items() if member is not None}
    if kind is list or isinstance(value, list | tuple):
        return [_without_nothing(member) for member in value]
    return value
