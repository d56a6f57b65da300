"""An engine that answers what it is told to, over a real unix socket, held to docs/schema."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from canned import PAIR, check, endpoint, engine, plan


class Reply(Exception):
    """An answer that is not a success, or not JSON."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def refuse(status: int, code: str, message: str) -> Reply:
    """An error as the API documents it."""
    value = {"error": {"code": code, "message": message}}
    check("error", value)
    return Reply(status, json.dumps(value).encode())


class FakeEngine:
    """Arrays, members and logs as they were put in; what was asked is kept in `asked`, for the test to read."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.about = engine()
        self.on_stop: Callable[[], None] = lambda: None
        self.ending: dict[str, Any] = {"unended": [], "launching": 0}
        self.arrays: list[dict[str, Any]] = []
        self.members: list[dict[str, Any]] = []
        self.attempts: dict[str, list[dict[str, Any]]] = {}
        self.failures: list[dict[str, Any]] = []
        self.reasons: list[dict[str, Any]] = []
        self.logs: dict[str, bytes] = {}
        self.session: dict[str, Any] = {}
        self.endpoint: dict[str, Any] | Reply | None = None
        self.launch_answer: dict[str, Any] | Reply | None = None
        self.plan_answer: dict[str, Any] | Reply = plan()
        self.on_plan: Callable[[], object] = lambda: None
        self.costs: list[dict[str, Any]] | Reply = []
        self.growing: list[int] = []  #: how many instances an array has, look by look
        self.documents_answer: dict[str, Any] | Reply | None = None
        self.change: dict[str, Any] | Reply = {"schema_version": 1, "array_id": "array-20260127-100000", "indexes": "0-4", "count": 5, "skipped": []}
        self.answers: dict[str, list[dict[str, Any] | Reply]] = {}
        self.settling: list[dict[str, Any] | Reply] = []
        self.on_settled: Callable[[], None] | None = None
        self.trouble: str | None = None
        self.asked: list[tuple[str, str, Any]] = []
        self._server = _Server(str(state_dir / "engine.sock"), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Go away, as an engine that was stopped."""
        self._server.shutdown()
        self._server.server_close()
        (self.state_dir / "engine.sock").unlink(missing_ok=True)

    def bodies(self, path_end: str) -> list[Any]:
        """What was sent to paths that end so."""
        return [body for _, path, body in self.asked if urlsplit(path).path.endswith(path_end)]

    def answer(self, method: str, target: str, body: Any) -> Any:
        """Route one request."""
        self.asked.append((method, target, body))
        url = urlsplit(target)
        query = parse_qs(url.query)
        parts = [unquote(part) for part in url.path.split("/")[2:]]
        if parts == ["engine"]:
            return self.about
        if parts == ["engine", "stop"]:
            self.on_stop()
            threading.Thread(target=self.close).start()
            return self.ending if body["terminate"] else {}
        if parts == ["endpoint"]:
            return self._endpoint(method, body)
        if parts[0] == "arrays":
            return self._arrays(method, parts[1:], query, body)
        if parts == ["documents"]:
            return self.documents_answer or {"schema_version": 1, "arrays": self.arrays, "notes": []}
        if parts == ["plans"]:
            self.on_plan()
            return self.plan_answer
        if parts == ["costs"]:
            return self._costs(query)
        if parts == ["members"]:
            return self._stream(query)
        return self._member(parts[1:], query)

    def _endpoint(self, method: str, body: Any) -> Any:
        """One that opens whatever is asked for, and makes a pair for who has none."""
        if isinstance(self.endpoint, Reply):
            return self.endpoint
        if method == "PUT":
            scheme = "https" if body["certfile"] else "http"
            asked = {name: body[name] for name in ("host", "port", "verify", "certfile", "keyfile")}
            self.endpoint = endpoint(**asked, url=f"{scheme}://{body['host']}:{body['port']}", access_key_ids=[key["access_key_id"] for key in body["keys"]])
            return self.endpoint | {"pair": None if body["keys"] else PAIR}
        if self.endpoint is None:
            return refuse(404, "not_found", "no endpoint is open: `spawn serve --detach` opens one")
        found = self.endpoint
        if method == "DELETE":
            self.endpoint = None
        return found

    def _costs(self, query: dict[str, list[str]]) -> Any:
        if isinstance(self.costs, Reply):
            return self.costs
        found = [one for one in self.costs if one["array_id"] in query.get("array", [one["array_id"]])]
        if self.growing:
            found = [one | {"instances": self.growing[0]} for one in found]
            self.growing = self.growing[1:] or self.growing
        return {"schema_version": 1, "arrays": found}

    def _arrays(self, method: str, parts: list[str], query: dict[str, list[str]], body: Any) -> Any:
        if not parts:
            return (
                self._launch(query, body)
                if method == "POST"
                else {"arrays": [one for one in self.arrays if one["status"] in query.get("status", [one["status"]])]}
            )
        one = self._find(parts[0])
        if len(parts) == 1:
            return one if method == "GET" else self.change
        if parts[1] == "settled":
            if self.on_settled is not None:
                self.on_settled()
            return self.settling.pop(0) if self.settling else one
        if self.answers.get(parts[1]):
            return self.answers[parts[1]].pop(0)
        answers = {"failures": {"groups": self.failures}, "why": {"reasons": self.reasons}, "limit": one}
        return answers.get(parts[1], self.change)

    def _find(self, ref: str) -> dict[str, Any]:
        for one in self.arrays:
            if ref in (one["array_id"], one["name"], "last"):
                return one
        raise refuse(404, "not_found", f"nothing is called '{ref}'")

    def _launch(self, query: dict[str, list[str]], body: Any) -> Any:
        if self.launch_answer is not None:
            return self.launch_answer
        one = self.arrays[0]
        if query.get("children") != ["true"]:
            return one
        children = [{key: member[key] for key in ("index", "id", "name", "instance_id")} for member in self.members]
        launched = one | {"children": children}
        check("launch", launched)
        return launched

    def _stream(self, query: dict[str, list[str]]) -> Iterator[bytes]:
        for one in self.members:
            if all(one[key] in query.get(key, [one[key]]) for key in ("state", "status")):
                detail = {"attempts": self.attempts.get(one["id"], [])} if "attempts" in query else {}
                yield json.dumps(one | detail).encode() + b"\n"

    def _member(self, parts: list[str], query: dict[str, list[str]]) -> Any:
        for one in self.members:
            if parts[0] in (one["id"], one["name"], one["instance_id"]):
                break
        else:
            raise refuse(404, "not_found", f"nothing is called '{parts[0]}'")
        if parts[1:] == ["log"]:
            return self._log(one, query)
        if parts[1:] == ["session"]:
            return self.session
        return one | {"attempts": self.attempts.get(one["id"], [])}

    def _log(self, one: dict[str, Any], query: dict[str, list[str]]) -> Reply:
        content = self.logs.get(one["id"])
        if content is None:
            return refuse(404, "not_found", f"{one['id']} has no log yet")
        start = int(query.get("offset", ["0"])[0])
        piece = content[start:]
        if "tail" in query:
            piece = b"".join(content.splitlines(keepends=True)[-int(query["tail"][0]) :])
        return Reply(200, piece, {"X-Log-Next": str(len(content)), "X-Log-Complete": "true", "X-Log-Attempt": str(one["attempt"])})


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    fake: FakeEngine


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            value = self.server.fake.answer(self.command, self.path, body)
        except Reply as reply:
            value = reply
        with suppress(BrokenPipeError):  # whoever asked has gone
            if isinstance(value, Reply):
                self._send(value.status, value.body, value.headers)
            elif isinstance(value, dict):
                self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
            else:
                self._send_chunked(value)

    do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - the base class asks for these names

    def end_headers(self) -> None:
        """Beside every answer: that the engine can record nothing."""
        if self.server.fake.trouble is not None:
            self.send_header("X-Engine-Trouble", quote(self.server.fake.trouble))
        super().end_headers()

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_chunked(self, pieces: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def address_string(self) -> str:
        """A unix socket has none."""
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
