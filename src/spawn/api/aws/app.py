"""The AWS endpoint as an ASGI application: a request is read, its signature verified, its operation found, checked and handled, and answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec
from starlette.types import Receive, Scope, Send

from spawn.api.aws.callers import DEFAULT_REGION, Caller, Handler
from spawn.api.aws.credentials import KeyRing
from spawn.api.aws.failures import AwsError
from spawn.api.aws.invoking import broken, closing, run
from spawn.api.aws.model import BATCH, LOGS, SERIALIZATION, MethodNotAllowed, Routed, service_api
from spawn.api.aws.receiving import Disconnected, Intake, Refusal
from spawn.api.aws.signature import Received, claimed_region, verify
from spawn.api.aws.writing import written, written_failure
from spawn.engine.ports import Clock

_DECODER = msgspec.json.Decoder()
_TARGET = b"x-amz-target"
_CONTENT_TYPE: Final = {BATCH: b"application/json", LOGS: b"application/x-amz-json-1.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken in. A request beyond `threads` + `waiting` is refused as AWS throttles, with 429."""

    body_bytes: int = 1 << 20
    bodies_bytes: int = 64 << 20  #: of all requests under way together
    body_s: float = 15.0  #: less than the connection's own limit, so that there is an answer
    threads: int = 16
    waiting: int = 256


class AwsApp:
    """An ASGI application; `close` ends its threads."""

    def __init__(self, *, handlers: Mapping[str, Mapping[str, Handler]], keys: KeyRing | None, clock: Clock, limits: Limits) -> None:
        # the models are read here, so that no request has to wait for them
        self._apis = {service: service_api(service) for service in handlers}
        self._handlers = handlers
        self._is_closed = False
        self._keys = keys
        self._clock = clock
        self._intake = Intake(most=limits.body_bytes, within_s=limits.body_s, in_all=limits.bodies_bytes)
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="aws")
        self._room = threading.BoundedSemaphore(limits.threads + limits.waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")  # by which ASGI servers learn that an application has no `lifespan`
        request_id = str(uuid4())
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        service = LOGS if any(name == _TARGET for name, _ in headers) else BATCH
        try:
            body = await self._answer(scope, receive, service, request_id)
        except Disconnected:
            return
        except AwsError as error:
            await _send_failure(send, service, request_id, error)
        except Exception as error:
            await _send_failure(send, service, request_id, broken(error, service=service, where="request"))
        else:
            await _send(send, 200, service, request_id, body, [])

    def close(self) -> None:
        """Handle no more requests; those being handled are still answered. Again: nothing."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, scope: Scope, receive: Receive, service: str, request_id: str) -> bytes:
        body = await self._intake.take(scope, receive)
        try:
            received = Received(method=scope["method"], raw_path=scope["raw_path"], query=scope["query_string"], headers=scope["headers"], body=body)
            if service == BATCH and received.raw_path == b"/" and received.method in {"GET", "HEAD"}:
                raise AwsError("UnknownOperationException", "this is an endpoint of AWS Batch and CloudWatch Logs; see `spawn serve --help`", status=404)
            region = self._region(received, service)
            return await self._in_a_thread(self._route(received, service), body, Caller(region=region, request_id=request_id))
        finally:
            self._intake.let_go(body)

    def _region(self, received: Received, service: str) -> str:
        if self._keys is None:
            return claimed_region(received) or DEFAULT_REGION
        return verify(received, service=service, secret_of=self._keys.secret_of, now=self._clock.now()).region

    def _route(self, received: Received, service: str) -> Routed:
        if service == BATCH:
            return self._apis[BATCH].at_path(received.method, received.raw_path, received.query)
        target = b",".join(received.values(_TARGET)).decode("latin-1")
        return self._apis[LOGS].at_target(target, received.method, received.raw_path)

    async def _in_a_thread(self, routed: Routed, body: bytes, caller: Caller) -> bytes:
        if not self._room.acquire(blocking=False):
            raise AwsError("TooManyRequestsException", "Too Many Requests: wait a little, then send it again", status=429)
        try:
            future = self._pool.submit(self._work, routed, body, caller)
        except RuntimeError:
            self._room.release()
            raise closing(routed.operation.service) from None
        future.add_done_callback(lambda _: self._room.release())
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.cancelled() and self._is_closed:
                raise closing(routed.operation.service) from None
            raise

    def _work(self, routed: Routed, body: bytes, caller: Caller) -> bytes:
        operation = routed.operation
        document = _document(body, operation.name)
        answer = run(operation, {**document, **routed.members}, caller, self._handlers[operation.service])
        try:
            return written(answer)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise broken(error, service=operation.service, where=operation.name) from None


def aws_app(*, batch: Mapping[str, Handler], logs: Mapping[str, Handler], keys: KeyRing | None, clock: Clock, limits: Limits | None = None) -> AwsApp:
    """The endpoint of these operations. Without `keys` nothing is verified, and a region is believed as it is claimed."""
    return AwsApp(handlers={BATCH: batch, LOGS: logs}, keys=keys, clock=clock, limits=limits or Limits())


def _document(body: bytes, operation: str) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        document = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AwsError(SERIALIZATION, f"{operation}: the body is not JSON in UTF-8") from None
    except RecursionError:
        raise AwsError(SERIALIZATION, f"{operation}: the body is nested too deeply") from None
    if not isinstance(document, dict):
        raise AwsError(SERIALIZATION, f"{operation}: the body is not a JSON object")
    return document


async def _send_failure(send: Send, service: str, request_id: str, error: AwsError) -> None:
    headers = [(b"x-amzn-errortype", error.code.encode())]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allowed.encode()))
    if isinstance(error, Refusal):
        headers.append((b"connection", b"close"))
    await _send(send, error.status, service, request_id, written_failure(error.code, error.message), headers)


async def _send(send: Send, status: int, service: str, request_id: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    base = [(b"content-type", _CONTENT_TYPE[service]), (b"content-length", str(len(body)).encode()), (b"x-amzn-requestid", request_id.encode())]
    await send({"type": "http.response.start", "status": status, "headers": base + headers})
    await send({"type": "http.response.body", "body": body})
