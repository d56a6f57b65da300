"""Random inputs of operations, made from the shapes of botocore's models: right ones, and right ones with one thing broken."""

from __future__ import annotations

import re
from typing import Any, Final

from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import strategies as st

from tests.aws.shapes import service_model

MOST: Final = {"integer": 2**31 - 1, "long": 2**63 - 1}
_LETTERS: Final = st.characters(codec="utf-8", exclude_characters="\0")


def inputs(service: str, operation: str) -> st.SearchStrategy[dict[str, Any]]:
    """Inputs that the model allows."""
    shape = service_model(service).operation_model(operation).input_shape
    return st.just({}) if shape is None else of_shape(shape)


def of_shape(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a shape allows."""
    if isinstance(shape, StructureShape):
        required = {name: of_shape(shape.members[name], depth + 1) for name in shape.required_members}
        optional = {name: member for name, member in shape.members.items() if name not in required}
        # a deep shape is filled at its beginning; otherwise every example would be of thousands of values
        kept = optional if depth < 2 else dict(list(optional.items())[:2] if depth < 5 else [])
        return st.fixed_dictionaries(required, optional={name: st.deferred(lambda m=member: of_shape(m, depth + 1)) for name, member in kept.items()})
    least = shape.metadata.get("min", 0)
    most = min(shape.metadata.get("max", 2), max(2, least))
    if isinstance(shape, ListShape):
        return st.lists(of_shape(shape.member, depth + 1), min_size=least, max_size=most)
    if isinstance(shape, MapShape):
        return st.dictionaries(of_shape(shape.key, depth + 1), of_shape(shape.value, depth + 1), min_size=least, max_size=most)
    return _of_scalar(shape)


def _of_scalar(shape: Shape) -> st.SearchStrategy[Any]:
    metadata = shape.metadata
    if shape.type_name in MOST:
        most = MOST[shape.type_name]
        return st.integers(metadata.get("min", -most - 1), metadata.get("max", most))
    if shape.type_name in ("float", "double"):
        return st.integers(-1000, 1000) | st.floats(-1e6, 1e6)
    if shape.type_name == "boolean":
        return st.booleans()
    if metadata.get("enum"):
        return st.sampled_from(metadata["enum"])
    least = metadata.get("min", 0)
    if metadata.get("pattern"):
        return _of_pattern(metadata["pattern"], least, metadata.get("max", 10**6))
    return st.text(_LETTERS, min_size=least, max_size=min(metadata.get("max", 20), max(20, least)))


def _of_pattern(text: str, least: int, most: int) -> st.SearchStrategy[str]:
    try:
        pattern = re.compile(text, re.ASCII)
    except re.error:
        return st.just("a" * max(1, least))  # what only Java reads is of names
    return st.from_regex(pattern, fullmatch=True, alphabet=_LETTERS).filter(lambda value: least <= len(value) <= most)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Anything."""


@st.composite
def broken(draw: st.DrawFn, service: str, operation: str) -> Any:
    """An input of which one value, anywhere in it, is replaced by anything at all."""
    document: Any = draw(inputs(service, operation))
    place, value = None, document
    while isinstance(value, dict | list) and value and (place is None or draw(st.booleans())):
        key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        place, value = (value, key), value[key]
    if place is None:
        return draw(JSON)
    holder, key = place
    holder[key] = draw(JSON)
    return document
