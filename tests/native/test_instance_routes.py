"""The calls about instances over HTTP: paths, queries and bodies reach what answers them."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from spawn.api.native.routes import native_app, native_routes
from spawn.domain.instants import Instant
from spawn.engine.fleets import Unended
from tests.native.calling import Calling, real_id


class Nobody:
    """A host that only routes about itself would ask."""

    def describe(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def __init__(self) -> None:
        self.left: Future[Unended] = Future()

    def stop(self, terminate: bool) -> Future[Unended]:
        """What the test says that is left."""
        return self.left

    def is_stopping(self) -> bool:
        """Never."""
        return False


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    return Calling(tmp_path)


def request(api: Calling, method: str, target: str, body: Any = None, host: Nobody | None = None, trouble: str | None = None) -> Answer:
    app = native_app(native_routes(api.service, host or Nobody()), seen=lambda: None, trouble=lambda: trouble)
    path, _, query = target.partition("?")
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": [], "http_version": "1.1"}
    answer = Answer()

    asked = 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:  # a client that waits, and says nothing
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    asyncio.run(app(scope, receive, send))
    return answer


def test_who_has_everything_ended_hears_that_the_engine_lives_and_then_what_has_not(api: Calling) -> None:
    host = Nobody()
    assert request(api, "POST", "/v1/engine/stop", {"terminate": False}, host).body == b"{}"
    later = threading.Timer(0.05, host.left.set_result, [Unended(instances={"i-1": Instant(1_000), "i-2": None}, launching=3)])
    later.start()
    answer = request(api, "POST", "/v1/engine/stop", {"terminate": True}, host)
    assert answer.body.startswith(b" ")
    assert answer.json == {"unended": [{"id": "i-1", "ends_at": "1970-01-01T00:00:01.000Z"}, {"id": "i-2", "ends_at": None}], "launching": 3}


def test_stopping_and_starting(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    stopped = request(api, "POST", f"/v1/arrays/{job}/stop", {"indexes": "1", "hibernate": False, "dry_run": False})
    assert (stopped.status, stopped.json["indexes"]) == (200, "1")
    started = request(api, "POST", f"/v1/arrays/{job}/start", {"indexes": "0"})
    assert started.json["skipped"] == [{"indexes": "0", "reason": "its instance is running"}]
    here = api.submit(indexes="1")
    refused = request(api, "POST", f"/v1/arrays/{here}/stop", {})
    assert (refused.status, refused.json["error"]["code"]) == (409, "conflict")


def test_ends(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0)
    assert request(api, "GET", f"/v1/arrays/{job}/ends?indexes=0-1").json["count"] == 0
    assert ("look", api.key(job), 30.0) in api.fleets.asked
    request(api, "GET", f"/v1/arrays/{job}/ends?timeout_s=7")
    assert api.fleets.asked[-1] == ("look", api.key(job), 7.0)


def test_bringing(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    found = request(api, "GET", f"/v1/arrays/{job}/brought?what=logs&indexes=1&attempt=1&timeout_s=5").json
    assert (found["indexes"], found["coming"], found["coming_count"]) == ("1", None, 0)
    assert request(api, "GET", f"/v1/arrays/{job}/brought?what=tea").status == 400


def test_a_log_that_is_here_is_read_without_asking_aws(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.fleets.logs[api.key(job), 0, 1] = b"hello\n"
    assert request(api, "GET", f"/v1/members/{job}:0/log?here=true").body == b""
    piece = request(api, "GET", f"/v1/members/{job}:0/log?offset=0")
    assert (piece.body, piece.headers["x-log-next"], piece.headers["x-log-complete"]) == (b"hello\n", "6", "false")


def test_a_session_by_instance_id(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    assert request(api, "GET", f"/v1/members/{real_id(100)}/session").json["instance"]["instance_id"] == real_id(100)


def test_every_answer_says_that_nothing_can_be_recorded(api: Calling) -> None:
    api.launch(1)
    for target in ("/v1/arrays", "/v1/members", "/v1/nothing"):
        assert unquote(request(api, "GET", target, trouble="no space left in /srv/ä").headers["x-engine-trouble"]) == "no space left in /srv/ä"
        assert "x-engine-trouble" not in request(api, "GET", target).headers
