"""Whatever is sent, the answer is one that the protocol has, and the endpoint goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawn.api.aws.app import Limits
from spawn.api.aws.model import service_api
from tests.aws.generating import JSON, broken, inputs
from tests.aws.noting import Endpoint, Reply, reply_of, served
from tests.aws.shapes import service_model

REFUSED = {"SerializationException", "ClientException", "InvalidParameterException", "UnknownOperationException"}
BYTES = st.binary(max_size=300)
PIECES = st.sampled_from([b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"1e5", b'"jobName"', b"\\u0000", b"\\ud800", b"\xff", b" ", b"-", b"[" * 500])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with served(verified=False, limits=Limits(body_s=5)) as endpoint:
        yield endpoint


def call(endpoint: Endpoint, service: str, operation: str, document: object) -> Reply:
    """Call an operation as a client does, with this as its input."""
    http_of = service_model(service).operation_model(operation).http
    body, target, headers = document, http_of["requestUri"], {}
    if "{resourceArn}" in target:
        arn = document.get("resourceArn") if isinstance(document, dict) else None
        target = target.replace("{resourceArn}", quote(str(arn), safe="") or "-")
        if isinstance(document, dict) and isinstance(document.get("tagKeys"), list):
            target += "?" + "&".join(f"tagKeys={quote(str(key), safe='')}" for key in document["tagKeys"])
    if service == "logs":
        headers["x-amz-target"] = f"Logs_20140328.{operation}"
    return endpoint.send(http_of["method"], target, body=json.dumps(body).encode(), headers=headers)


def is_an_answer(reply: Reply) -> bool:
    """Whether it is one that clients understand."""
    if reply.status == 200:
        return reply.body == b"{}"
    return reply.status in {400, 404, 405} and reply.code in REFUSED and bool(reply.message) and bool(reply.headers["x-amzn-requestid"])


@pytest.mark.parametrize("service", ["batch", "logs"])
@given(data=st.data())
@settings(max_examples=100)
def test_every_allowed_input_is_handled_with_nothing_lost(service: str, endpoint: Endpoint, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(service_api(service).names))
    document = data.draw(inputs(service, operation))
    endpoint.notes.clear()
    reply = call(endpoint, service, operation, document)
    if document.get("resourceArn") == "":
        assert reply.status in {200, 404}, "no path says an empty ARN"
        return
    assert (reply.status, reply.body) == (200, b"{}")
    assert [(name, members) for name, _, members in endpoint.notes.calls] == [(operation, document)]


@pytest.mark.parametrize("service", ["batch", "logs"])
@given(data=st.data())
@settings(max_examples=150)
def test_every_broken_input_has_an_answer_that_is_no_failure_of_ours(service: str, endpoint: Endpoint, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(service_api(service).names))
    assert is_an_answer(call(endpoint, service, operation, data.draw(broken(service, operation))))


@given(body=BYTES | st.lists(PIECES, max_size=30).map(b"".join) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=150)
def test_any_bytes_for_a_body_have_an_answer(endpoint: Endpoint, body: bytes) -> None:
    assert is_an_answer(endpoint.send("POST", "/v1/submitjob", body=body))


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]),
    path=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60),
    prefix=st.sampled_from(["", "v1/", "v1/tags/", "v1/submitjob"]),
)
@settings(max_examples=150)
def test_any_path_has_an_answer(endpoint: Endpoint, method: str, prefix: str, path: str) -> None:
    assert is_an_answer(endpoint.send(method, f"/{prefix}{path}", body=b"{}"))


@given(
    name=st.sampled_from(["authorization", "x-amz-date", "x-amz-target", "content-type", "x-amz-content-sha256", "transfer-encoding", "expect"]),
    value=st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=80)
    | st.sampled_from(["AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=;;;, Signature=é", "AWS4-HMAC-SHA256 =,=,=", "Logs_20140328.", "100-continue"]),
    verified=st.booleans(),
)
@settings(max_examples=150)
def test_any_header_has_an_answer(endpoint: Endpoint, strict: Endpoint, name: str, value: str, verified: bool) -> None:
    target = strict if verified else endpoint
    with contextlib.suppress(http.client.BadStatusLine, ConnectionResetError):
        reply = target.send("POST", "/v1/describejobqueues", body=b"{}", headers={name: value})
        assert 200 <= reply.status < 500
        assert not verified or reply.status >= 400


@pytest.fixture(scope="module")
def strict() -> Iterator[Endpoint]:
    with served() as endpoint:
        yield endpoint


@given(
    data=st.binary(max_size=200)
    | st.lists(st.sampled_from([b"POST /", b" HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n", b"\x00", b"Content-Length: 5\r\n", b"x" * 99])).map(b"".join)
)
@settings(max_examples=60)
def test_bytes_that_are_no_http_end_in_a_closed_connection_or_an_answer(endpoint: Endpoint, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=30) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(4096):
                answer += part
    assert answer == b"" or answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4"))


def test_many_connections_that_say_nothing_do_not_keep_others_out(endpoint: Endpoint) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), timeout=30))
        assert endpoint.send("POST", "/v1/describejobqueues").status == 200


def test_a_connection_serves_requests_one_after_the_other_whatever_became_of_them(endpoint: Endpoint) -> None:
    bodies: list[tuple[Any, int]] = [(b"{", 400), (b"{}", 400), (b'{"jobName":"a","jobQueue":"q","jobDefinition":"d"}', 200), (b"[" * 5000, 400)]
    with contextlib.closing(endpoint.connect()) as connection:
        for body, status in bodies * 3:
            connection.request("POST", "/v1/submitjob", body=body)
            assert reply_of(connection).status == status
