"""The HTTP server of the AWS endpoint: a TCP listener that strangers may knock at, and what they may take of this process."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from spawn.domain.errors import ConfigurationError, Conflict, InvalidField, SpawnError

MOST_CONNECTIONS: Final = 256
"""How many connections are kept at once, those included that have not said anything yet; one more is hung up on."""

REQUEST_WITHIN_S: Final = 30.0
"""How long a request may take to arrive, from its first byte (or the connection) to its last."""

_KEEP_ALIVE_S: Final = 30
_LONGEST_HEAD: Final = 32 * 1024
_CLOSING_S: Final = 10.0
_log = logging.getLogger(__name__)
_http_log = logging.getLogger("spawn.api.tcp.http")
_http_log.setLevel(logging.ERROR)  # a stranger's nonsense must not fill the disk


class Listener(socket.socket):
    """A listening socket that keeps no more than MOST_CONNECTIONS open."""

    def __init__(self, family: int, most: int = MOST_CONNECTIONS) -> None:
        # the protocol is named because asyncio sends answers at once (TCP_NODELAY) only where it is
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._most = most
        self._accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; ConnectionAbortedError when it was one too many, which is hung up on."""
        connection, address = super().accept()
        if sum(1 for other in self._accepted if other.fileno() >= 0) >= self._most:
            connection.close()
            raise ConnectionAbortedError(f"more than {self._most} connections")
        self._accepted.add(connection)
        return connection, address


def address_of(host: str) -> tuple[socket.AddressFamily, str]:
    """The family and the numeric address that `host` means, IPv4 first; InvalidField when it means none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host.strip() else []
    except (OSError, ValueError):
        found = []
    addresses = sorted((family != socket.AF_INET, family, str(address[0])) for family, _, _, _, address in found)
    if not addresses:
        raise InvalidField("--host", f"'{host[:200]}' is neither an address nor a name that this machine knows: 127.0.0.1 is this machine alone")
    return socket.AddressFamily(addresses[0][1]), addresses[0][2]


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def listen_tcp(host: str, port: int, *, most: int = MOST_CONNECTIONS) -> Listener:
    """Listen at this host and port (0: a free one). Conflict when the port is taken; ConfigurationError when this machine does not allow it."""
    family, address = address_of(host)
    listener = Listener(family, most)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> SpawnError:
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"port {port} of {host} is in use by another program: choose another with --port, or let --port 0 find a free one")
    if error.errno == errno.EACCES:
        return ConfigurationError(f"port {port} is for privileged programs: choose one of 1024 or more with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigurationError(f"{host} is not an address of this machine: choose one that is with --host")
    return ConfigurationError(f"cannot listen at port {port} of {host}: {error.strerror or error}")


def tls_context(certfile: str, keyfile: str) -> ssl.SSLContext:
    """TLS as a server with this certificate (and its chain) and key; ConfigurationError when the files are not that."""
    for path, what, mark in ((certfile, "a certificate", b"-----BEGIN CERTIFICATE-----"), (keyfile, "a key", b"PRIVATE KEY-----")):
        try:
            if mark not in Path(path).read_bytes():
                raise ConfigurationError(f"{path} is not {what} in PEM form")
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    asked_for_password = False

    def no_password() -> str:
        nonlocal asked_for_password
        asked_for_password = True
        return ""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile, no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigurationError(_bad_files(certfile, keyfile, error, asked_for_password)) from error
    return context


def _bad_files(certfile: str, keyfile: str, error: Exception, asked_for_password: bool) -> str:
    if asked_for_password:
        return f"the key in {keyfile} has a password, which nobody can type here: give --keyfile one without"
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return f"the key in {keyfile} does not belong to the certificate in {certfile}"
    return f"{certfile} and {keyfile} are not a certificate and its key in PEM form: {error}"


class _Impatient(H11Protocol):
    """Hangs up on who does not finish a request in time: slow clients hold neither a connection nor its buffers for long."""

    _overdue: asyncio.TimerHandle | None = None

    def __init__(self, *, within_s: float, **about: Any) -> None:
        super().__init__(**about)
        self._within_s = within_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the class above has it
        """Start the clock: who connects wants something."""
        super().connection_made(transport)
        self.logger = _http_log
        self._overdue = self.loop.call_later(self._within_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Run the clock while part of a request is here."""
        if self._overdue is None:
            self._overdue = self.loop.call_later(self._within_s, self.transport.abort)
        super().data_received(data)
        if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED):
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _stop_clock(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class TcpServer:
    """Serves one listener in a thread of its own."""

    def __init__(self, app: ASGIApp, listener: Listener, tls: ssl.SSLContext | None, *, within_s: float = REQUEST_WITHIN_S) -> None:
        """Take over the listener; nothing is answered before `start`."""
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
        )
        config.load()
        config.http_protocol_class = partial(_Impatient, within_s=within_s)  # type: ignore[assignment]  # it is only ever called
        config.ssl = tls
        self._listener = listener
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)

    def start(self) -> None:
        """Begin to answer; connections that came since the listener was made are answered too."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Hang up, and let the port go. Requests under way have 2 s to end. Again: nothing."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_CLOSING_S)
        self._listener.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except BaseException:
            _log.exception("the server of the AWS endpoint failed")
