"""Pages of lists, and the tokens that they go on with: opaque to clients, and as good after a restart as before it."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from spawn.api.aws.callers import name_in
from spawn.domain.errors import InvalidField

T = TypeVar("T")

PAGE: Final = 100
"""Most entries of a page, and most resources that can be described by name at once."""

_LARGEST: Final = 2**62
"""Largest number in a token: with it the store can still reckon."""


class Page(NamedTuple):
    """The place that a page begins after (None: the beginning), and how many entries it may have."""

    after: tuple[Any, ...] | None
    most: int


def asked_page(operation: str, members: Mapping[str, Any], kinds: tuple[type, ...]) -> Page:
    """Read maxResults (1 to 100; 100 if there is none) and nextToken, whose place has parts of these kinds. InvalidField else."""
    most = members.get("maxResults", PAGE)
    if not 1 <= most <= PAGE:
        raise InvalidField("maxResults", f"{most} is not between 1 and {PAGE}")
    token = members.get("nextToken")
    return Page(None if token is None else _place_of(operation, token, kinds), most)


def token_of(operation: str, *place: str | int) -> str:
    """The token with which an operation's list goes on after a place."""
    body = json.dumps([operation, *place], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode()


def described(operation: str, items: Mapping[str, T], members: Mapping[str, Any], *, kind: str = "", field: str = "") -> tuple[Sequence[T], str | None]:
    """One page of these items by name, and the token of the next one. With `field`: of those named there, by name or by the ARN of a
    `kind`; names that are unknown are left out."""
    page = asked_page(operation, members, (str,))
    references = members.get(field) or ()
    if len(references) > PAGE:
        raise InvalidField(field, f"{len(references)} are more than the {PAGE} that can be described at once")
    names = {name_in(reference, kind, field) for reference in references}
    wanted = sorted(name for name in items if not references or name in names)
    rest = [name for name in wanted if page.after is None or name > page.after[0]]
    token = token_of(operation, rest[page.most - 1]) if len(rest) > page.most else None
    return [items[name] for name in rest[: page.most]], token


def _place_of(operation: str, token: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        whose, *place = json.loads(raw[4:]) if zlib.crc32(raw[4:]).to_bytes(4, "big") == raw[:4] else (None,)
    except (binascii.Error, ValueError, TypeError):
        whose, place = None, []
    is_sound = tuple(type(part) for part in place) == kinds and all(isinstance(part, str) or abs(part) <= _LARGEST for part in place)
    if whose != operation or not is_sound:
        raise InvalidField("nextToken", f"'{token[:60]}' is no token that {operation} has given")
    return tuple(place)
