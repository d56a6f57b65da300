"""HTTP to calls and back (docs/api.md)."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spawn.api.native.members import Wanted
from spawn.api.native.service import Service
from spawn.api.native.shapes import Asked, Documents, Limit, Stop
from spawn.api.native.uploads import LONGEST_S
from spawn.domain.errors import Conflict, NotFound, SpawnError, Unavailable, UsageError
from spawn.domain.instants import iso
from spawn.engine.fleets import LOOK_S, Unended
from spawn.engine.submission import Submission

_log = logging.getLogger(__name__)
_ENCODER = msgspec.json.Encoder()
_LOOK_EVERY_S = 0.03
_LONGEST_WAIT_S = 60.0
_HEARTBEAT_S = 1.0
_STATUS = {NotFound.code: 404, Conflict.code: 409, Unavailable.code: 503, SpawnError.code: 500}

T = TypeVar("T")


TROUBLE: Final = b"x-engine-trouble"
"""The header by which any answer says why the engine can record nothing (docs/api.md)."""


class Host(Protocol):
    """The process that the routes are served by."""

    def describe(self) -> dict[str, Any]:
        """The Engine of docs/api.md."""

    def stop(self, terminate: bool) -> Future[Unended]:
        """Begin to end; True: with all that runs. What EC2 has not confirmed by then. Again: the same."""

    def is_stopping(self) -> bool:
        """Whether it is about to end: whoever waits is answered now."""


def native_routes(service: Service, host: Host) -> list[Route]:
    """The routes of the native API."""
    handlers = _Handlers(service, host)
    return [
        Route("/v1/engine", handlers.engine),
        Route("/v1/engine/stop", handlers.stop_engine, methods=["POST"]),
        Route("/v1/arrays", handlers.submit, methods=["POST"]),
        Route("/v1/documents", handlers.documents, methods=["POST"]),
        Route("/v1/arrays", handlers.arrays),
        Route("/v1/arrays/{ref:path}/settled", handlers.settled),
        Route("/v1/arrays/{ref:path}/failures", handlers.failures),
        Route("/v1/arrays/{ref:path}/why", handlers.why),
        Route("/v1/arrays/{ref:path}/ends", handlers.ends),
        Route("/v1/arrays/{ref:path}/brought", handlers.brought),
        Route("/v1/arrays/{ref:path}/limit", handlers.limit, methods=["POST"]),
        Route("/v1/arrays/{ref:path}/{change}", handlers.change, methods=["POST"]),
        Route("/v1/arrays/{ref:path}", handlers.remove, methods=["DELETE"]),
        Route("/v1/arrays/{ref:path}", handlers.array),
        Route("/v1/members", handlers.members),
        Route("/v1/members/{ref:path}/log", handlers.log),
        Route("/v1/members/{ref:path}/session", handlers.session),
        Route("/v1/members/{ref:path}", handlers.member),
    ]


def native_app(routes: list[Route], *, seen: Callable[[], None], trouble: Callable[[], str | None] = lambda: None) -> ASGIApp:
    """The application that answers on the socket; `seen` is called for every request, and every answer carries what `trouble` says, if anything."""
    app = Starlette(routes=routes, exception_handlers={SpawnError: _refuse, Exception: _break, 404: _unknown, 405: _unknown})

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen()
        why = trouble()
        await app(scope, receive, send if why is None else _carrying(send, why))

    return application


def _carrying(send: Send, why: str) -> Send:
    header = (TROUBLE, quote(why, safe=" /:;,.`'()").encode())

    async def carry(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return carry


def json_response(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_ENCODER.encode(value), status, media_type="application/json")


def _error(code: str, message: str) -> Response:
    return json_response({"error": {"code": code, "message": message}}, _STATUS.get(code, 400))


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, SpawnError)
    return _error(error.code, str(error))


async def _break(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(SpawnError.code, f"the engine failed ({type(error).__name__}: {error}); see `spawn engine logs`")


async def _unknown(request: Request, _: Exception) -> Response:
    return _error(NotFound.code, f"there is no call {request.method} {request.url.path}")


class _Handlers:
    """One method a call; everything that may wait runs in a thread."""

    def __init__(self, service: Service, host: Host) -> None:
        self._service = service
        self._host = host

    async def engine(self, _: Request) -> Response:
        return json_response(await run_in_threadpool(self._host.describe))

    async def stop_engine(self, request: Request) -> Response:
        asked = await read_body(request, Stop)
        ending = self._host.stop(asked.terminate)
        return StreamingResponse(_until_ended(ending), media_type="application/json") if asked.terminate else json_response({})

    async def submit(self, request: Request) -> Response:
        submission = await read_body(request, Submission)
        children = request.query_params.get("children") == "true"
        return json_response(await run_in_threadpool(self._service.submit, submission, children=children))

    async def documents(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.submit_documents, await read_body(request, Documents)))

    async def arrays(self, request: Request) -> Response:
        query = request.query_params
        found = await run_in_threadpool(
            self._service.arrays, statuses=query.getlist("status"), names=query.getlist("name"), tags=query_tags(query.getlist("tag"))
        )
        return json_response(found)

    async def array(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.array, _ref(request)))

    async def settled(self, request: Request) -> Response:
        until = time.monotonic() + min(_number(request, "timeout_s", _LONGEST_WAIT_S), _LONGEST_WAIT_S)
        ref = await run_in_threadpool(self._service.array_id, _ref(request))
        # one number, read without leaving this thread: handing over to another would cost more
        while not self._service.is_settled(ref) and time.monotonic() < until and not self._host.is_stopping():
            await anyio.sleep(_LOOK_EVERY_S)
        return json_response(await run_in_threadpool(self._service.array, ref))

    async def failures(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.failures, _ref(request)))

    async def why(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.why, _ref(request)))

    async def ends(self, request: Request) -> Response:
        within_s = min(_number(request, "timeout_s", LOOK_S), LOOK_S)
        return json_response(await run_in_threadpool(self._service.instances.ends, _ref(request), request.query_params.get("indexes"), within_s))

    async def brought(self, request: Request) -> Response:
        query = request.query_params
        attempt = None if "attempt" not in query else int(_number(request, "attempt", 0))
        within_s = min(_number(request, "timeout_s", LONGEST_S), LONGEST_S)
        bring = partial(self._service.uploads.bring, indexes=query.get("indexes"), attempt=attempt, within_s=within_s)
        return json_response(await run_in_threadpool(bring, _ref(request), query.get("what", "")))

    async def limit(self, request: Request) -> Response:
        asked = await read_body(request, Limit)
        return json_response(await run_in_threadpool(self._service.limit, _ref(request), asked.max_concurrent))

    async def change(self, request: Request) -> Response:
        changes, instances = self._service.changes, self._service.instances
        calls = {"cancel": changes.cancel, "terminate": changes.terminate, "retry": changes.retry, "extend": changes.extend}
        calls |= {"stop": instances.stop, "start": instances.start}
        call = calls.get(request.path_params["change"])
        if call is None:
            return await _unknown(request, NotFound())
        return json_response(await run_in_threadpool(call, _ref(request), await read_body(request, Asked)))

    async def remove(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.changes.remove, _ref(request), dry_run=request.query_params.get("dry_run") == "true"))

    async def members(self, request: Request) -> Response:
        query = request.query_params
        wanted = Wanted(states=query.getlist("state"), statuses=query.getlist("status"), names=query.getlist("name"))
        blocks = await run_in_threadpool(
            self._service.members,
            ref=query.get("array"),
            indexes=query.get("indexes"),
            wanted=wanted,
            tags=query_tags(query.getlist("tag")),
            attempts=query.get("attempts") == "true",
        )
        return StreamingResponse(_lines(blocks), media_type="application/x-ndjson")

    async def member(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.member, _ref(request)))

    async def log(self, request: Request) -> Response:
        offset, tail = int(_number(request, "offset", 0)), request.query_params.get("tail")
        attempt = request.query_params.get("attempt")
        piece, complete, number = await run_in_threadpool(
            self._service.log,
            _ref(request),
            attempt=None if attempt is None else int(_number(request, "attempt", 0)),
            offset=offset,
            tail=None if tail is None else int(_number(request, "tail", 0)),
            here=request.query_params.get("here") == "true",
        )
        headers = {"X-Log-Next": str(piece.next), "X-Log-Complete": "true" if complete else "false", "X-Log-Attempt": str(number)}
        return Response(piece.content, media_type="application/octet-stream", headers=headers)

    async def session(self, request: Request) -> Response:
        return json_response(await run_in_threadpool(self._service.session, _ref(request)))


async def _until_ended(ending: Future[Unended]) -> AsyncIterator[bytes]:
    """A JSON document that is preceded by a blank a second: who waits for it can tell an engine that waits from one that hangs."""
    said = time.monotonic()
    yield b" "
    while not ending.done():
        await anyio.sleep(_LOOK_EVERY_S)
        if time.monotonic() - said >= _HEARTBEAT_S:
            said = time.monotonic()
            yield b" "
    left = ending.result()
    ends = [{"id": one, "ends_at": None if end is None else iso(end)} for one, end in left.instances.items()]
    yield _ENCODER.encode({"unended": ends, "launching": left.launching})


def _lines(blocks: Iterator[Sequence[object]]) -> Iterator[bytes]:
    for block in blocks:
        yield _ENCODER.encode_lines(block)


def _ref(request: Request) -> str:
    ref: str = request.path_params["ref"]
    return ref


def query_tags(entries: list[str]) -> dict[str, str]:
    """`k=v` filters. `array:id` and its like are not tags of the user but parts of the members; the client asks for those by name."""
    pairs = {}
    for entry in entries:
        name, found, value = entry.partition("=")
        if not found or not name:
            raise UsageError(f"'{entry}' is not a tag filter: write NAME=VALUE")
        pairs[name] = value
    return pairs


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e15:
        raise UsageError(f"{name}: '{text}' is not a number of 0 or more")
    return number


async def read_body(request: Request, kind: type[T]) -> T:
    """The body as this type; UsageError when it is something else. An empty one is `{}`."""
    content = await request.body()
    try:
        return msgspec.json.decode(content or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"the request is not understood: {error}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"the request is not JSON: {error}") from error
