"""The bodies of requests, within limits of size, of time, and of what all of them hold together."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope

from spawn.api.aws.failures import AwsError

_DRAINED_TIMES: Final = 8
"""A body that is too large is read and thrown away up to so many times the limit, so that its sender reads the answer instead of a broken connection."""


class Disconnected(Exception):
    """The client went away: no one is there to answer."""


class Refusal(AwsError):
    """The body cannot be taken, and the connection is of no more use."""


class Intake:
    """Takes in bodies of at most `most` bytes, each there within `within_s` seconds, and never more than `in_all` bytes at once. One event loop's."""

    def __init__(self, *, most: int, within_s: float, in_all: int) -> None:
        self._most = most
        self._within_s = within_s
        self._in_all = in_all
        self._held = 0

    async def take(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body of a request, which counts as held until it is let go. Refusal 413, 408 or 429 where a limit is passed."""
        parts: list[bytes] = []
        is_whole = False
        try:
            async with asyncio.timeout(self._within_s):
                await self._read(scope, receive, parts)
            is_whole = True
            return b"".join(parts)
        except TimeoutError:
            raise Refusal("RequestTimeoutException", f"the request was not complete after {self._within_s:g} s; send it again", status=408) from None
        finally:
            if not is_whole:
                self._drop(parts)

    def let_go(self, body: bytes) -> None:
        """A body that was taken is not needed any more."""
        self._held -= len(body)

    async def _read(self, scope: Scope, receive: Receive, parts: list[bytes]) -> None:
        too_large = Refusal("RequestEntityTooLargeException", f"the body of the request is larger than {self._most} bytes, which is the most", status=413)
        if _announced(scope) > self._most * _DRAINED_TIMES:
            raise too_large
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size <= self._most:
                self._keep(part, parts)
            elif size <= self._most * _DRAINED_TIMES:
                self._drop(parts)
            else:
                raise too_large
        if size > self._most:
            raise too_large

    def _keep(self, part: bytes, parts: list[bytes]) -> None:
        parts.append(part)
        self._held += len(part)
        if self._held > self._in_all:
            raise Refusal("TooManyRequestsException", "Too Many Requests: there are too many large ones under way; send it again later", status=429)

    def _drop(self, parts: list[bytes]) -> None:
        self._held -= sum(map(len, parts))
        parts.clear()


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            # the server has refused any value that is no number
            return int(value) if value.isdigit() else 0
    return 0
