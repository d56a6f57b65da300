"""The paths of docs/api.md, with references and queries encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

Query = Mapping[str, str | int | float | Sequence[str] | None]


def array_path(ref: str, call: str = "") -> str:
    """An array, or a call on it."""
    return f"/v1/arrays/{quote(ref, safe='')}" + (f"/{call}" if call else "")


def member_path(ref: str, call: str = "") -> str:
    """A member, or a call on it."""
    return f"/v1/members/{quote(ref, safe='')}" + (f"/{call}" if call else "")


def batch_path(operation: str) -> str:
    """An operation of AWS Batch."""
    return f"/v1/batch/{quote(operation, safe='')}"


def with_query(path: str, query: Query) -> str:
    """The path with those parts of the query that are given."""
    given = {name: value for name, value in query.items() if value is not None and value != () and value != []}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path
