"""The parts of a line from the socket that many kinds of lines have (docs/wire.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from spored.attempts import HERE, Placement
from spored.errors import BadMessage
from spored.specs import member, text_bytes

Message = dict[str, Any]

ENGINES = ("docker", "podman")
"""The container engines whose command line is spoken here."""
_RUNTIMES = ("process", *ENGINES)
_MOST_CHILDREN = 100_000_000


def parse(line: bytes) -> Message:
    """The JSON object of a line, which names its `op`."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise BadMessage("the line is not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        raise BadMessage("a line must be a JSON object with an op")
    return message


def key_of(message: Message) -> str:
    """The array's key."""
    key = member(message, "key", str)
    if len(key) != 10 or any(letter not in "0123456789abcdef" for letter in key):
        raise BadMessage(f"key must be ten hex digits, not {key[:60]!r}")
    return key


def ids_of(message: Message) -> list[str]:
    """The attempt ids."""
    values = member(message, "attempts", list)
    for value in values:
        _parts(value)
    return values


def pairs_of(message: Message, key: str) -> Iterator[tuple[str, int]]:
    """The attempt ids, each with its index."""
    values = member(message, "attempts", list)
    for value in values:
        if type(value) is not list or len(value) != 2 or type(value[1]) is not int or value[1] < 0 or _parts(value[0])[0] != key:
            raise BadMessage(f"attempts must be [attempt id, index] of array {key}, not {str(value)[:60]}")
    return ((identity, index) for identity, index in values)


def started_by(message: Message) -> Iterator[tuple[str, int, int]]:
    """Key, position and number of the attempts that a `start` asks for, as far as they can be made out; of any other line none."""
    children = message.get("children")
    if message.get("op") != "start" or not isinstance(children, list):
        return
    try:
        key = key_of(message)
    except BadMessage:
        return
    for child in children:
        if type(child) is list and len(child) == 3 and all(type(number) is int for number in child) and 0 <= child[0] < _MOST_CHILDREN and child[2] >= 1:
            yield key, child[0], child[2]


def placement_of(message: Message) -> Placement:
    """Where attempts were placed; an engine that says nothing of it places them where their array says, as processes."""
    name = None if message.get("compute_environment") is None else member(message, "compute_environment", str)
    runtime = "process" if message.get("runtime") is None else member(message, "runtime", str)
    if runtime not in _RUNTIMES:
        raise BadMessage(f"runtime must be one of {', '.join(_RUNTIMES)}, not {runtime[:60]!r}")
    if name is None and runtime == "process":
        return HERE
    if name is not None and "\0" in name:
        raise BadMessage("compute_environment must hold no NUL")
    return Placement(None if name is None else text_bytes(name), None if runtime == "process" else runtime)


def _parts(value: object) -> list[str]:
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) != 3 or not parts[1].isdigit() or not parts[2].isdigit():
        raise BadMessage(f"an attempt id is KEY:POSITION:ATTEMPT, not {str(value)[:60]!r}")
    return parts
