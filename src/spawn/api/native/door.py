"""The calls about the AWS door: opening and closing its endpoint, and one operation of AWS Batch without a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spawn.api.native.routes import json_response, read_body

_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern="^/[^\0]*$")]
_KeyId = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[!-~]*$")]
_Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """What signs and verifies the requests of one user."""

    access_key_id: _KeyId
    secret_access_key: _Secret = field(repr=False)


class Opening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request to open the endpoint. No `keys`: the caller has none, and is told a pair that is made."""

    host: str
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    verify: bool = True
    certfile: _Path | None = None
    keyfile: _Path | None = None
    keys: Annotated[Sequence[KeyPair], msgspec.Meta(max_length=16)] = ()


class Door(Protocol):
    """The AWS door of the engine."""

    def open(self, asked: Opening) -> Mapping[str, Any]:
        """The Opened of docs/api.md. Again with the same settings: the keys are accepted too, and nothing else changes."""

    def describe(self) -> Mapping[str, Any]:
        """The Endpoint of docs/api.md; NotFound when none is to be open."""

    def close(self) -> Mapping[str, Any]:
        """Close it and forget it: the Endpoint that was; NotFound when there was none."""

    def batch(self, operation: str, document: object) -> bytes:
        """The answer of an operation of AWS Batch, as JSON; a SpawnError with its message otherwise."""


def door_routes(door: Door) -> list[Route]:
    """The routes about the AWS door."""

    async def opened(request: Request) -> Response:
        asked = await read_body(request, Opening)
        return json_response(await run_in_threadpool(door.open, asked))

    async def described(_: Request) -> Response:
        return json_response(await run_in_threadpool(door.describe))

    async def closed(_: Request) -> Response:
        return json_response(await run_in_threadpool(door.close))

    async def batch(request: Request) -> Response:
        document = await read_body(request, dict[str, Any])
        answer = await run_in_threadpool(door.batch, request.path_params["operation"], document)
        return Response(answer, media_type="application/json")

    return [
        Route("/v1/endpoint", opened, methods=["PUT"]),
        Route("/v1/endpoint", described),
        Route("/v1/endpoint", closed, methods=["DELETE"]),
        Route("/v1/batch/{operation}", batch, methods=["POST"]),
    ]
