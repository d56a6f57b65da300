"""What stands between the endpoint and the operations."""

from __future__ import annotations

import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from spawn.api.aws.failures import AwsError
from spawn.domain.errors import Conflict, NotFound, SpawnError, StoreUnavailable, UsageError
from spawn.endpoint.browsers import NoBrowsers
from spawn.endpoint.operations import _as_ours


class Counting:
    """An application that counts its requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def close(self) -> None:
        self.closed = True


def answer(app: NoBrowsers, headers: list[tuple[bytes, bytes]]) -> list[Message]:
    """What one request with these headers is answered."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    # an application that waits for nothing needs no loop: it runs to its end at the first step
    with pytest.raises(StopIteration):
        app({"type": "http", "method": "POST", "headers": headers}, receive, send).send(None)  # type: ignore[attr-defined]
    return sent


@pytest.mark.parametrize(
    "header", [(b"origin", b"https://evil.example"), (b"origin", b"null"), (b"sec-fetch-site", b"cross-site"), (b"host", b"evil.example:8642")]
)
def test_what_a_web_page_sends_is_refused_before_anything_is_run(header: tuple[bytes, bytes]) -> None:
    behind = Counting()
    start, body = answer(NoBrowsers(behind), [(b"content-type", b"text/plain"), header])  # type: ignore[arg-type]
    assert (start["status"], behind.requests) == (403, 0)
    assert json.loads(body["body"])["__type"] == "AccessDeniedException"
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]


def test_what_a_client_sends_is_passed_on() -> None:
    behind = Counting()
    app = NoBrowsers(behind)  # type: ignore[arg-type]
    assert answer(app, [(b"host", b"127.0.0.1"), (b"user-agent", b"aws-cli")])[0]["status"] == 200
    app.close()
    assert (behind.requests, behind.closed) == (1, True)


def test_a_refusal_that_came_from_a_failure_of_ours_is_that_failure_again() -> None:
    cause = Conflict("the queue is still enabled")
    once = AwsError("ClientException", str(cause))
    once.__cause__ = cause
    twice = AwsError("ClientException", "the queue is still enabled, RequestId: 1")
    twice.__cause__ = once
    assert _as_ours(twice) is cause


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AwsError("ClientException", "no such queue"), UsageError),
        (AwsError("UnknownOperationException", "no such operation", status=404), NotFound),
        (AwsError("ServerException", "internal error", status=500), SpawnError),
    ],
)
def test_other_refusals_keep_their_sentence(error: AwsError, kind: type[SpawnError]) -> None:
    ours = _as_ours(error)
    assert (type(ours), str(ours)) == (kind, error.message)


def test_a_store_that_cannot_be_written_is_told_as_such() -> None:
    error = AwsError("ServerException", "the disk is full", status=500)
    error.__cause__ = StoreUnavailable("the disk is full")
    assert _as_ours(error).exit_code == 6


@pytest.mark.parametrize("host", [b"127.0.0.1:8642", b"localhost:8642", b"[::1]:8642", b"127.0.0.1", b"[::1]"])
def test_this_machine_may_be_called_by_each_of_its_names(host: bytes) -> None:
    behind = Counting()
    answer(NoBrowsers(behind), [(b"host", host)])  # type: ignore[arg-type]
    assert behind.requests == 1
