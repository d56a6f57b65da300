"""HTTP, as much as AWS's services and the instance's metadata need: one request, one answer, within a time."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_IDLE_CONNECTIONS = 8


class Answer(NamedTuple):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No answer came; whether the request was acted on is not known."""


class Web:
    """Sends requests over connections that are used again. May be used by several threads."""

    def __init__(self, *, timeout_s: float) -> None:
        """`timeout_s`: how long to wait for a connection, and for each piece of an answer. Certificates are verified."""
        self._timeout = timeout_s
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """One request, which must be one that may be sent twice: over a connection that was used before it is sent again when that was closed meanwhile."""
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        used = self._take(place)
        if used is not None:
            try:
                return self._send(place, used, (method, target, body, headers))
            except (OSError, http.client.HTTPException):
                used.close()
        fresh = self._connect(place)
        try:
            return self._send(place, fresh, (method, target, body, headers))
        except (OSError, http.client.HTTPException) as error:
            fresh.close()
            raise Unreachable(f"{parts.netloc} did not answer: {str(error) or type(error).__name__}") from error

    def _send(self, place: tuple[str, str], connection: http.client.HTTPConnection, what: tuple[str, str, bytes, Mapping[str, str]]) -> Answer:
        method, target, body, headers = what
        connection.request(method, target, body or None, dict(headers))
        answer = connection.getresponse()
        data = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        self._give(place, connection, keep=not answer.will_close)
        return Answer(answer.status, told, data)

    def _connect(self, place: tuple[str, str]) -> http.client.HTTPConnection:
        scheme, host = place
        if scheme != "https":
            return http.client.HTTPConnection(host, timeout=self._timeout)
        with self._lock:
            self._tls = self._tls or ssl.create_default_context()
        return http.client.HTTPSConnection(host, timeout=self._timeout, context=self._tls)

    def _take(self, place: tuple[str, str]) -> http.client.HTTPConnection | None:
        with self._lock:
            idle = self._idle.get(place)
            return idle.pop() if idle else None

    def _give(self, place: tuple[str, str], connection: http.client.HTTPConnection, *, keep: bool) -> None:
        with self._lock:
            idle = self._idle.setdefault(place, [])
            if keep and len(idle) < _IDLE_CONNECTIONS:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Let go of the connections that nobody uses. Again: nothing."""
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()
