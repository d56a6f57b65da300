"""Shapes of the service models compiled into checks: JSON in, a clean copy of what the shape knows out.

A check costs some tens of nanoseconds a value: on the way in nothing is written down, and where a value is refused, the way
out of the nested checks names its place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

Shape = Any
"""A shape of botocore's service model, told apart by its `type_name`."""

Check = Callable[[Any], Any]
"""A value in, a clean copy of it out; Refused when it is not of the shape."""

_RANGES: Final = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_KINDS: Final = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", dict: "an object", list: "a list", type(None): "null"}
_CASELESS: Final = frozenset({"RetryAction"})
"""Enums that AWS documents as "not case sensitive"."""
_SHOWN = 60
_NUL = "\0"


class Refused(Exception):
    """A value is not of its shape: why, whether its JSON type is to blame, and on the way out its place."""

    def __init__(self, problem: str, *, of_type: bool = False, at: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.of_type = of_type
        self.trail: list[str | int] = [] if at is None else [at]

    def sentence(self) -> str:
        """`containerOverrides.environment[2].name: …`."""
        parts = (f"[{part}]" if isinstance(part, int) else "." + (shown(part) or "''") for part in reversed(self.trail))
        place = "".join(parts)
        return f"{place.lstrip('.') or 'the request'}: {self.problem}"


def shown(text: str) -> str:
    """A text for a sentence: at most 60 characters, nothing unprintable."""
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def compiled(shape: Shape, known: dict[str, Check] | None = None) -> Check:
    """The check of a shape. `known` holds the checks made so far by the names of their shapes; shapes may contain themselves."""
    known = {} if known is None else known
    name: str = shape.name

    def checked_later(value: Any) -> Any:
        return known[name](value)

    if name not in known:
        # for a shape that is met again while its own check is being made
        known[name] = checked_later
        known[name] = _MADE_BY_TYPE[shape.type_name](shape, known)
    return known[name]


def _wrong_type(value: object, wanted: str) -> Refused:
    if isinstance(value, str):
        return Refused(f"the string '{shown(value)}' is not {wanted}", of_type=True)
    if isinstance(value, bool):
        return Refused(f"{str(value).lower()} is not {wanted}", of_type=True)
    if isinstance(value, int | float):
        return Refused(f"{_number_shown(value)} is not {wanted}", of_type=True)
    return Refused(f"{_KINDS.get(type(value), 'this')} is not {wanted}", of_type=True)


def _number_shown(value: float) -> str:
    # Python writes no integer of more than some thousand digits
    return "a number of more than 60 digits" if isinstance(value, int) and abs(value) > 10**_SHOWN else str(value)


def _structure(shape: Shape, known: dict[str, Check]) -> Check:
    members = {name: compiled(member, known) for name, member in shape.members.items()}
    required = tuple(shape.required_members)
    needed = frozenset(required)

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong_type(value, "an object")
        clean = {}
        name = ""
        try:
            for name, member in value.items():
                known_member = members.get(name)
                if known_member is not None and member is not None:
                    clean[name] = known_member(member)
        except Refused as refused:
            refused.trail.append(name)
            raise
        if not needed <= clean.keys():
            raise Refused("this member is required", at=next(name for name in required if name not in clean))
        return clean

    return check


def _list(shape: Shape, known: dict[str, Check]) -> Check:
    element = compiled(shape.member, known)
    in_length = _length(shape, "entries")

    def check(value: Any) -> Any:
        if type(value) is not list:
            raise _wrong_type(value, "a list")
        in_length(value)
        clean: list[Any] = []
        try:
            for member in value:
                clean.append(element(member))  # noqa: PERF401, the length so far is the place of the fault
        except Refused as refused:
            refused.trail.append(len(clean))
            raise
        return clean

    return check


def _map(shape: Shape, known: dict[str, Check]) -> Check:
    of_key = compiled(shape.key, known)
    of_value = compiled(shape.value, known)
    # AWS takes empty maps, against its own model: clients send `tags={}`
    in_length = _length(shape, "entries", least=0)

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong_type(value, "an object")
        in_length(value)
        clean = {}
        key = ""
        try:
            for key, member in value.items():
                clean[of_key(key)] = of_value(member)
        except Refused as refused:
            refused.trail.append(key)
            raise
        return clean

    return check


def _string(shape: Shape, _: dict[str, Check]) -> Check:
    limits = _string_rules(shape)

    def check(value: Any) -> Any:
        if type(value) is not str:
            raise _wrong_type(value, "a string")
        if _NUL in value:
            raise Refused(f"'{shown(value)}' contains the character NUL, which no name, argument or variable can hold")
        return value

    if not limits:
        return check

    def limited(value: Any) -> Any:
        check(value)
        for limit in limits:
            limit(value)
        return value

    return limited


def _string_rules(shape: Shape) -> list[Callable[[str], None]]:
    rules: list[Callable[[str], None]] = []
    if "min" in shape.metadata or "max" in shape.metadata:
        rules.append(_length(shape, "characters"))
    if shape.metadata.get("enum"):
        rules.append(_enum(shape))
    pattern = _pattern(shape.metadata.get("pattern"))
    return rules if pattern is None else [*rules, pattern]


def _enum(shape: Shape) -> Callable[[str], None]:
    values = tuple(shape.metadata["enum"])
    allowed = frozenset(values)
    caseless = shape.name in _CASELESS

    def check(value: str) -> None:
        if value not in allowed and not (caseless and value.upper() in allowed):
            raise Refused(f"'{shown(value)}' is not one of {', '.join(values)}")

    return check


def _pattern(text: str | None) -> Callable[[str], None] | None:
    """The check of a pattern of the model; None where there is none, or one that only Java reads (of tags of log groups)."""
    if text is None:
        return None
    try:
        pattern = re.compile(text, re.ASCII)
    except re.error:
        return None

    def check(value: str) -> None:
        if pattern.fullmatch(value) is None:
            raise Refused(f"'{shown(value)}' does not satisfy the regular expression pattern: {text}")

    return check


def _length(shape: Shape, of: str, *, least: int | None = None) -> Callable[[Any], None]:
    least = shape.metadata.get("min", 0) if least is None else least
    most = shape.metadata.get("max", math.inf)

    def check(value: Any) -> None:
        length = len(value)
        if length < least:
            raise Refused(f"has {length} {of}; Member must have length greater than or equal to {least}")
        if length > most:
            raise Refused(f"has {length} {of}; Member must have length less than or equal to {most}")

    return check


def _integer(shape: Shape, _: dict[str, Check]) -> Check:
    lowest, highest = _RANGES[shape.type_name]
    least, most = shape.metadata.get("min", lowest), shape.metadata.get("max", highest)

    def check(value: Any) -> Any:
        if type(value) is not int:
            raise _wrong_type(value, "an integer")
        if not lowest <= value <= highest:
            raise Refused(f"{_number_shown(value)} is not between {lowest} and {highest}", of_type=True)
        if value < least:
            raise Refused(f"{value}: Member must have value greater than or equal to {least}")
        if value > most:
            raise Refused(f"{value}: Member must have value less than or equal to {most}")
        return value

    return check


def _number(value: Any) -> Any:
    if type(value) not in (int, float):
        raise _wrong_type(value, "a number")
    if not -1e308 < value < 1e308:
        raise Refused("is not a number of ordinary size", of_type=True)
    return value


def _boolean(value: Any) -> Any:
    if type(value) is not bool:
        raise _wrong_type(value, "a boolean: true or false")
    return value


_MADE_BY_TYPE: Final[dict[str, Callable[[Shape, dict[str, Check]], Check]]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "integer": _integer,
    "long": _integer,
    "float": lambda _, __: _number,
    "double": lambda _, __: _number,
    "boolean": lambda _, __: _boolean,
}
"""No input of the two services has a timestamp, a blob or a document."""
