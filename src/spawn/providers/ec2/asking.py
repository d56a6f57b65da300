"""Asking AWS again where that can do no harm: readings, and removals of what may be gone already."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from spawn.providers.ec2.clients import Kind, classify, translate

T = TypeVar("T")

TRIES: Final = 6
"""How often a call is made that AWS throttles or does not answer."""

_FIRST_S: Final = 0.25
_LONGEST_S: Final = 8.0
_SILENT_S: Final = 45.0
"""Somebody waits: who was answered nothing for so long is not asked again."""

_AGAIN: Final = frozenset({Kind.THROTTLED, Kind.UNCLEAR})
_TRIES: ContextVar[int] = ContextVar("tries", default=TRIES)


@contextmanager
def asking_once() -> Iterator[None]:
    """Within it nothing is asked again: for a caller that waits by itself."""
    before = _TRIES.set(1)
    try:
        yield
    finally:
        _TRIES.reset(before)


def patiently(
    call: Callable[[], T],
    *,
    action: str,
    pause: Callable[[float], None] = time.sleep,
    tries: int | None = None,
    now: Callable[[], float] = time.monotonic,
) -> T:
    """What a call answers; asked again after 0.25, 0.5, 1, … s (with jitter, at most 8) when it was throttled or got no answer, for 45 s.

    Only for calls that may be made twice. Raises what `translate` makes of the last refusal; `action` completes "cannot …".
    """
    most, until = tries or _TRIES.get(), now() + _SILENT_S
    for tried in range(1, most + 1):
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            if tried == most or classify(error) not in _AGAIN or now() >= until:
                raise translate(error, action=action) from error
        pause(min(_LONGEST_S, _FIRST_S * 2 ** (tried - 1)) * random.uniform(0.5, 1.0))
    raise AssertionError("the last try either answers or raises")


def read_object(s3: Any, bucket: str, key: str, *, action: str) -> bytes:
    """A whole object, asked for patiently, also when the connection ends within it."""

    def read() -> bytes:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    return patiently(read, action=action)


def pages(ask: Callable[..., dict[str, Any]], *, action: str, **asked: object) -> Iterator[dict[str, Any]]:
    """Every page of a listing, each asked for patiently. Knows the ways in which EC2, S3, IAM and SQS say that there is more."""
    more: dict[str, object] = {}
    while True:
        answer = patiently(partial(ask, **asked, **more), action=action)
        yield answer
        if answer.get("NextContinuationToken"):
            more = {"ContinuationToken": answer["NextContinuationToken"]}
        elif answer.get("NextToken"):
            more = {"NextToken": answer["NextToken"]}
        elif answer.get("IsTruncated") and answer.get("Marker"):
            more = {"Marker": answer["Marker"]}
        else:
            return
