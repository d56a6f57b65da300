"""The TCP server: what strangers may take of the engine, and what is refused before anything listens."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from spawn.api import tcp
from spawn.api.tcp import TcpServer, address_of, is_loopback, listen_tcp, tls_context
from spawn.domain.errors import ConfigurationError, Conflict, UsageError
from tests.endpoint.conftest import Certificate

Serve = Callable[..., int]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def refuse_unread(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading the body."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve on a free port, which is returned."""
    servers: list[TcpServer] = []

    def start(app: Any = echo, *, most: int = 10, tls: ssl.SSLContext | None = None, within_s: float = 60) -> int:
        listener = listen_tcp("127.0.0.1", 0, most=most)
        port: int = listener.getsockname()[1]
        servers.append(TcpServer(app, listener, tls, within_s=within_s))
        servers[-1].start()
        return port

    yield start
    for server in servers:
        server.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other end hangs up."""
    content = b""
    try:
        while piece := connection.recv(65536):
            content += piece
    except ConnectionResetError:
        pass
    return content


def ask(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", body=b"hello")
    answer = connection.getresponse().read()
    connection.close()
    return answer


def test_a_request_is_answered_and_so_is_the_next_on_the_same_connection(serve: Serve) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serve(), timeout=60)
    for body in (b"one", b"two"):
        connection.request("POST", "/", body=body)
        assert connection.getresponse().read() == body
    connection.close()


def test_answers_are_sent_at_once() -> None:
    with listen_tcp("127.0.0.1", 0) as listener, connect(listener.getsockname()[1]):
        connection, _ = listener.accept()
        with connection:
            assert connection.proto == socket.IPPROTO_TCP


def test_one_connection_too_many_is_hung_up_on_and_there_is_room_again_when_another_has_ended() -> None:
    with listen_tcp("127.0.0.1", 0, most=2) as listener:
        port = listener.getsockname()[1]
        callers = [connect(port) for _ in range(3)]
        accepted = [listener.accept()[0] for _ in range(2)]
        with pytest.raises(ConnectionAbortedError, match="more than 2 connections"):
            listener.accept()
        assert all_of(callers[2]) == b""
        accepted[0].close()
        callers.append(connect(port))
        accepted.append(listener.accept()[0])
        for one in (*callers, *accepted):
            one.close()


def test_silent_connections_do_not_keep_others_out_for_long(serve: Serve) -> None:
    port = serve(most=2, within_s=0.2)
    silent = [connect(port) for _ in range(2)]
    assert [all_of(one) for one in silent] == [b"", b""]
    assert ask(port) == b"hello"
    for one in silent:
        one.close()


@pytest.mark.parametrize("start", [b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"])
def test_half_a_request_is_hung_up_on(serve: Serve, start: bytes) -> None:
    with connect(serve(within_s=0.2)) as connection:
        connection.sendall(start)
        assert all_of(connection) == b""


def test_a_body_that_nobody_wants_is_not_taken_for_ever(serve: Serve) -> None:
    with connect(serve(refuse_unread, within_s=0.2)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhel")
        assert all_of(connection).startswith(b"HTTP/1.1 413 ")


def test_a_request_that_was_quick_may_be_answered_slowly_and_the_connection_used_again(serve: Serve) -> None:
    may_answer = threading.Semaphore(0)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(may_answer.acquire, timeout=60)
        await echo(scope, receive, send)

    port = serve(slow, within_s=0.2)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in (b"one", b"two"):
        connection.request("POST", "/", body=body)
        with connect(port) as silent:
            # it came later, and is hung up on when its time is over: so is the time that the request had
            assert all_of(silent) == b""
        may_answer.release()
        assert connection.getresponse().read() == body
    connection.close()


def test_a_head_without_end_is_refused(serve: Serve) -> None:
    with connect(serve()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(40)))
        assert all_of(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("nonsense", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /\xff HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_ends_that_connection_alone_and_is_not_logged(serve: Serve, nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    port = serve(within_s=0.2)
    with connect(port) as connection:
        connection.sendall(nonsense)
        assert all_of(connection)[:12] in (b"", b"HTTP/1.1 400")
    assert ask(port) == b"hello"
    assert caplog.records == []


def test_tls_is_spoken_with_the_certificate_that_was_given(serve: Serve, certificate: Certificate) -> None:
    port = serve(tls=tls_context(*certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=ssl.create_default_context(cafile=certificate.certfile))
    connection.request("POST", "/", body=b"hello")
    assert connection.getresponse().read() == b"hello"
    connection.close()


def test_closing_lets_the_port_go(serve: Serve) -> None:
    listener = listen_tcp("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = TcpServer(echo, listener, None)
    server.start()
    assert ask(port) == b"hello"
    server.close()
    assert not server.is_alive
    server.close()
    listen_tcp("127.0.0.1", port).close()


def test_a_server_that_never_started_lets_the_port_go_too() -> None:
    listener = listen_tcp("127.0.0.1", 0)
    port = listener.getsockname()[1]
    TcpServer(echo, listener, None).close()
    listen_tcp("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "address", "loopback"),
    [("127.0.0.1", "127.0.0.1", True), ("127.3.2.1", "127.3.2.1", True), ("localhost", "127.0.0.1", True), ("0.0.0.0", "0.0.0.0", False)],
)
def test_only_this_machine_reaches_loopback(host: str, address: str, loopback: bool) -> None:
    assert address_of(host)[1] == address
    assert is_loopback(address) is loopback


def test_loopback_in_both_families() -> None:
    assert is_loopback("::1")
    assert not is_loopback("::")
    assert not is_loopback("fe80::1%eth0")
    assert not is_loopback("::ffff:10.0.0.1")


@pytest.mark.parametrize("host", ["", "  ", "no such host", "a" * 300, "nul\0byte", "1.2.3.4.5", "..."])
def test_a_host_that_means_nothing_is_refused_by_name(host: str) -> None:
    with pytest.raises(UsageError, match="is neither an address nor a name that this machine knows"):
        address_of(host)


def test_a_port_in_use_is_a_conflict_with_a_way_out() -> None:
    with listen_tcp("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"port {port} of 127.0.0.1 is in use by another program: choose another with --port, or let --port 0"):
            listen_tcp("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"203\.0\.113\.7 is not an address of this machine"):
        listen_tcp("203.0.113.7", 0)


def test_a_privileged_port_is_refused_to_those_without_privileges() -> None:
    refused = tcp._cannot_listen("127.0.0.1", 80, PermissionError(13, "Permission denied"))
    assert isinstance(refused, ConfigurationError)
    assert str(refused) == "port 80 is for privileged programs: choose one of 1024 or more with --port"


def test_a_key_of_another_certificate_is_refused(certificate: Certificate, other_certificate: Certificate) -> None:
    with pytest.raises(ConfigurationError, match="does not belong to the certificate in"):
        tls_context(certificate.certfile, other_certificate.keyfile)


def test_files_that_are_something_else_are_refused_by_name(certificate: Certificate, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{certificate.keyfile} is not a certificate in PEM form"):
        tls_context(certificate.keyfile, certificate.keyfile)
    with pytest.raises(ConfigurationError, match=f"{certificate.certfile} is not a key in PEM form"):
        tls_context(certificate.certfile, certificate.certfile)
    with pytest.raises(ConfigurationError, match=f"{tmp_path / 'none'}: No such file or directory"):
        tls_context(certificate.certfile, str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=f"{tmp_path}: Is a directory"):
        tls_context(str(tmp_path), certificate.keyfile)
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigurationError, match="are not a certificate and its key in PEM form"):
        tls_context(str(broken), certificate.keyfile)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(certificate: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "ec", "-in", certificate.keyfile, "-aes256", "-passout", "pass:x", "-out", str(locked)], check=True, capture_output=True)
    with pytest.raises(ConfigurationError, match="has a password, which nobody can type here"):
        tls_context(certificate.certfile, str(locked))
