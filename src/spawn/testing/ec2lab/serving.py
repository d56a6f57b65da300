"""The laboratory's door: HTTP/1.1 on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from spawn.testing.ec2lab.refusals import Dropped
from spawn.testing.ec2lab.requests import Answer, Request

_BACKLOG = 512


class Server:
    """Answers each request with what a function makes of it; where that raises Dropped, the connection ends."""

    def __init__(self, respond: Callable[[Request], Answer], port: int) -> None:
        self._http = _Http(("127.0.0.1", port), respond)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="ec2lab-http", daemon=True)
        self.port = int(self._http.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def abandon(self) -> None:
        """Give the port back; for one that was never started."""
        self._http.server_close()

    def close(self) -> None:
        """Answer nobody any more, and end the connections that are open."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.hang_up()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _BACKLOG

    def __init__(self, address: tuple[str, int], respond: Callable[[Request], Answer]) -> None:
        super().__init__(address, _Handler)
        self.respond = respond
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that are open."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=path, query=query, headers=headers, body=self._body(headers))
        try:
            answer = self.server.respond(request)
        except Dropped:
            self.close_connection = True
            return
        self._write(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        parts = list[bytes]()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        return b"".join(parts)

    def _write(self, answer: Answer) -> None:
        head = [f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}"]
        named = {name.lower() for name, _ in answer.headers}
        head += [f"{name}: {value}" for name, value in answer.headers]
        if "content-length" not in named:
            head.append(f"Content-Length: {len(answer.body)}")
        if "date" not in named:
            head.append(f"Date: {self.date_time_string()}")
        body = b"" if self.command == "HEAD" else answer.body
        self.wfile.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Calls are noted elsewhere."""
