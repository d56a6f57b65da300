"""Bodies of every form and size, slow ones, and many at once."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spawn.api.aws.app import Limits, aws_app
from spawn.api.aws.callers import Caller
from spawn.api.aws.receiving import Disconnected, Intake, Refusal
from spawn.testing.clock import ManualClock
from tests.aws.noting import JOB, SUBMIT, Endpoint, Notes, reply_of, served


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"jobName": NaN}',
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'{"a": 1e999}',
        b"1" * 5000,
        b"{} {}",
    ],
)
def test_a_body_that_is_no_object_of_json_is_refused(body: bytes, endpoint: Endpoint) -> None:
    reply = endpoint.signed("POST", SUBMIT, body=body)
    assert (reply.status, reply.code) == (400, "SerializationException")
    assert endpoint.notes.calls == []


def test_deep_nesting_where_nothing_looks_is_no_harm(endpoint: Endpoint) -> None:
    deep = b'{"jobName":"a","jobQueue":"q","jobDefinition":"d","unknown":' + b"[" * 900 + b"]" * 900 + b"}"
    assert endpoint.signed("POST", SUBMIT, body=deep).status in {200, 400}
    assert endpoint.post(SUBMIT, JOB).status == 200


def test_no_body_counts_as_an_empty_object(endpoint: Endpoint) -> None:
    assert endpoint.signed("POST", "/v1/describejobqueues").body == b"{}"
    assert endpoint.notes.calls[0][2] == {}


def test_what_stands_in_the_path_is_not_overruled_by_the_body(endpoint: Endpoint) -> None:
    endpoint.signed("POST", "/v1/tags/one", body=b'{"resourceArn": "another", "tags": {"a": "b"}}')
    assert endpoint.notes.calls[0][2]["resourceArn"] == "one"


def test_a_body_comes_in_chunks_as_well(endpoint: Endpoint) -> None:
    body = json.dumps(JOB).encode()
    headers = endpoint.signed_headers("POST", SUBMIT, body)
    connection = endpoint.connect()
    connection.request("POST", SUBMIT, body=iter([body[:5], body[5:]]), headers=headers, encode_chunked=True)
    assert reply_of(connection).status == 200
    connection.close()
    assert endpoint.notes.calls[0][2] == JOB


def test_a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    body = json.dumps(JOB).encode()
    with served(limits=Limits(body_bytes=len(body))) as endpoint:
        assert endpoint.post(SUBMIT, JOB).status == 200
        reply = endpoint.signed("POST", SUBMIT, body=body + b" ")
        assert (reply.status, reply.code, reply.headers["connection"]) == (413, "RequestEntityTooLargeException", "close")
    assert len(endpoint.notes.calls) == 1


def test_a_body_of_a_gigabyte_is_refused_when_it_is_announced(endpoint: Endpoint) -> None:
    connection = endpoint.connect()
    connection.putrequest("POST", SUBMIT)
    connection.putheader("content-length", str(1 << 30))
    connection.endheaders()
    assert reply_of(connection).status == 413
    connection.close()


def test_an_endless_body_in_chunks_is_cut_off() -> None:
    with served(limits=Limits(body_bytes=1000)) as endpoint:
        connection = endpoint.connect()
        connection.putrequest("POST", SUBMIT)
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.send(b"400\r\n" + b"x" * 0x400 + b"\r\n" for _ in itertools.count())
        connection.close()
        assert endpoint.post(SUBMIT, JOB).status == 200


def test_a_client_that_does_not_finish_its_body_is_told_and_let_go() -> None:
    with served(limits=Limits(body_s=0.05)) as endpoint:
        connection = endpoint.connect()
        connection.putrequest("POST", SUBMIT)
        connection.putheader("content-length", "100")
        connection.endheaders(b"{")
        reply = reply_of(connection)
        assert (reply.status, reply.code, reply.headers["connection"]) == (408, "RequestTimeoutException", "close")
        connection.close()
    assert endpoint.notes.calls == []


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        connection = endpoint.connect()
        connection.putrequest("POST", SUBMIT)
        connection.putheader("content-length", "100")
        connection.endheaders(b"{")
        connection.close()
    assert endpoint.post(SUBMIT, JOB).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_many_clients_at_once_are_all_answered(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: endpoint.post(SUBMIT, {**JOB, "jobName": str(n)}).status, range(100)))
    assert replies == [200] * 100
    assert sorted(int(members["jobName"]) for _, _, members in endpoint.notes.calls) == list(range(100))


def test_more_than_there_is_room_for_are_throttled_and_the_rest_are_answered() -> None:
    started, may_end = threading.Barrier(3), threading.Event()
    notes = Notes()

    def slow(_: Caller, __: Mapping[str, Any]) -> Mapping[str, Any]:
        started.wait(30)
        may_end.wait(30)
        return {}

    notes.answers["SubmitJob"] = slow
    with served(limits=Limits(threads=2, waiting=0), notes=notes) as endpoint, ThreadPoolExecutor(2) as pool:
        held = [pool.submit(endpoint.post, SUBMIT, JOB) for _ in range(2)]
        started.wait(30)
        reply = endpoint.post("/v1/describejobqueues", {})
        assert (reply.status, reply.code) == (429, "TooManyRequestsException")
        may_end.set()
        assert [one.result().status for one in held] == [200, 200]
        assert endpoint.post("/v1/describejobqueues", {}).status == 200


class Sender:
    """A body that comes in parts, each when the test lets it."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.taken = asyncio.Event()
        self.may_end = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self.parts:
            self.taken.set()
            await self.may_end.wait()
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": self.parts.pop(0), "more_body": True}


def test_all_bodies_together_hold_no_more_than_their_limit() -> None:
    async def scenario() -> None:
        intake = Intake(most=10, within_s=30, in_all=15)
        first, second, third = Sender(b"x" * 9), Sender(b"y" * 9), Sender(b"z" * 9)
        for sender in (second, third):
            sender.may_end.set()
        holding = asyncio.create_task(intake.take({"headers": []}, first.receive))
        await first.taken.wait()
        with pytest.raises(Refusal) as caught:
            await intake.take({"headers": []}, second.receive)
        assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
        first.may_end.set()
        intake.let_go(await holding)
        assert await intake.take({"headers": []}, third.receive) == b"z" * 9

    asyncio.run(scenario())


def test_a_body_that_was_not_taken_counts_no_more() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        intake = Intake(most=10, within_s=30, in_all=10)
        for _ in range(3):
            sender = Sender(b"x" * 8, b"x" * 8)
            sender.may_end.set()
            with pytest.raises(Refusal):
                await intake.take({"headers": []}, sender.receive)
            with pytest.raises(Disconnected):
                await intake.take({"headers": []}, gone)
        whole = Sender(b"x" * 10)
        whole.may_end.set()
        assert await intake.take({"headers": []}, whole.receive) == b"x" * 10

    asyncio.run(scenario())


def test_a_websocket_is_closed_and_no_other_kind_of_connection_is_known() -> None:
    async def scenario() -> list[Any]:
        app = aws_app(batch={}, logs={}, keys=None, clock=ManualClock())
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "websocket"}, Sender().receive, send)
        with pytest.raises(NotImplementedError):
            await app({"type": "lifespan"}, Sender().receive, send)
        return sent

    assert asyncio.run(scenario()) == [{"type": "websocket.close", "code": 1000}]


def test_requests_that_wait_when_the_endpoint_closes_are_told_so_and_those_under_way_are_answered() -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(_: Caller, __: Mapping[str, Any]) -> Mapping[str, Any]:
        started.set()
        may_end.wait(30)
        return {}

    async def scenario() -> list[int]:
        app = aws_app(batch={"DescribeJobQueues": slow}, logs={}, keys=None, clock=ManualClock(), limits=Limits(threads=1))
        scope = {"type": "http", "method": "POST", "raw_path": b"/v1/describejobqueues", "query_string": b"", "headers": []}
        statuses: list[int] = []

        async def call() -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"{}"}

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await app(scope, receive, send)

        first = asyncio.create_task(call())
        await asyncio.to_thread(started.wait, 30)
        second = asyncio.create_task(call())
        await asyncio.wait([second], timeout=0)
        app.close()
        await second
        await call()
        may_end.set()
        await first
        return statuses

    assert asyncio.run(scenario()) == [500, 500, 200]
