"""The engine's refusals, as the failures that they were."""

from __future__ import annotations

import msgspec

from spawn import __version__
from spawn.client import wire
from spawn.client.objects import SCHEMA_VERSION
from spawn.domain.errors import ERRORS_BY_CODE, Conflict, NotFound, SpawnError


class _Failure(msgspec.Struct):
    code: str
    message: str


class _ErrorBody(msgspec.Struct):
    error: _Failure


class UnknownCall(NotFound):
    """The engine has no such call at all, as one of another version."""


def refusal_in(answer: wire.Answer) -> SpawnError:
    """What an answer that is no success says, to be raised."""
    content = answer.read()
    try:
        failure = msgspec.json.decode(content, type=_ErrorBody).error
    except msgspec.DecodeError:
        return SpawnError(f"the engine answered HTTP {answer.status}: {content[:200].decode(errors='replace')}")
    if failure.code == NotFound.code and failure.message.startswith("there is no call "):
        return UnknownCall(failure.message)
    return ERRORS_BY_CODE.get(failure.code, SpawnError)(failure.message)


def other_version(answer: wire.Answer) -> SpawnError:
    """The refusal of an engine that speaks otherwise, from what it says of itself; it names both versions."""

    class AnyEngine(msgspec.Struct):
        version: str = "?"
        schema_version: int = 0

    engine = msgspec.json.decode(answer.read(), type=AnyEngine)
    if engine.version == __version__ and engine.schema_version == SCHEMA_VERSION:
        return SpawnError("the engine answered with objects of another version than its own")
    return Conflict(
        f"an engine of version {engine.version} runs, and this is spawn {__version__}: stop it with `spawn engine stop`, then again (what runs goes on)"
    )
