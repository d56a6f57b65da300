"""The endpoint on a loopback port, with handlers that only note what they were called with; and ways to talk to it byte by byte."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from spawn.api.aws.app import Limits, aws_app
from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.credentials import KeyRing
from spawn.api.aws.model import service_api
from spawn.api.tcp import TcpServer, listen_tcp
from spawn.domain.instants import Instant
from spawn.engine.ports import Clock

ARN = "arn:aws:batch:us-east-1:123456789012:job-queue/q"
JOB = {"jobName": "a", "jobQueue": "q", "jobDefinition": "d"}
SUBMIT = "/v1/submitjob"
ACCESS_KEY = "AKIDSPAWNEXAMPLE"
SECRET = "secret/of+the/example"

Answer = Callable[[Caller, Mapping[str, Any]], Mapping[str, Any]]


class WallClock:
    """The machine's clock, which is the one that botocore signs by."""

    def now(self) -> Instant:
        """The present instant."""
        return Instant(round(datetime.now(UTC).timestamp() * 1000))


@dataclass(slots=True)
class Notes:
    """Handlers of every operation that answer `{}`, or as they are told to; they keep what they were called with."""

    calls: list[tuple[str, Caller, Mapping[str, Any]]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget all of it."""
        self.calls.clear()
        self.answers.clear()

    def handlers(self, service: str) -> dict[str, Handler]:
        """One for each operation of a service."""
        return {name: self._handler(name) for name in service_api(service).names}

    def _handler(self, name: str) -> Handler:
        def handle(caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
            self.calls.append((name, caller, members))
            return self.answers.get(name, lambda *_: {})(caller, members)

        return handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of an error, which header and body must agree on."""
        code = self.headers.get("x-amzn-errortype")
        assert code == (self.json.get("__type") if self.body else code)
        return code

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object."""
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    @property
    def message(self) -> str:
        """The sentence of an error."""
        return str(self.json["message"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A served application."""

    port: int
    notes: Notes

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def send(self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own, exactly as it is written here."""
        with contextlib.closing(self.connect()) as connection:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            return reply_of(connection)

    def post(self, path: str, document: object) -> Reply:
        """A signed call of a Batch operation."""
        return self.signed("POST", path, body=json.dumps(document).encode())

    def target(self, operation: str, document: object) -> Reply:
        """A signed call of a Logs operation."""
        return self.signed("POST", "/", body=json.dumps(document).encode(), service="logs", headers={"X-Amz-Target": f"Logs_20140328.{operation}"})

    def signed(
        self, method: str, target: str, *, body: bytes = b"", service: str = "batch", region: str = "eu-west-1", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request signed by botocore."""
        return self.send(method, target, body=body, headers=self.signed_headers(method, target, body, service=service, region=region, headers=headers))

    def signed_headers(
        self,
        method: str,
        target: str,
        body: bytes,
        *,
        service: str = "batch",
        region: str = "eu-west-1",
        headers: Mapping[str, str] | None = None,
        key: tuple[str, str] = (ACCESS_KEY, SECRET),
    ) -> dict[str, str]:
        """The headers of a request once botocore has signed it, without `host`."""
        request = AWSRequest(method, self.url + target, data=body, headers={"host": f"127.0.0.1:{self.port}", **(headers or {})})
        SigV4Auth(Credentials(*key), service, region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name.lower() != "host"}


def reply_of(connection: http.client.HTTPConnection) -> Reply:
    """The answer that comes next on a connection."""
    response = connection.getresponse()
    return Reply(status=response.status, headers={name.lower(): value for name, value in response.getheaders()}, body=response.read())


@contextlib.contextmanager
def served(
    *,
    verified: bool = True,
    limits: Limits | None = None,
    notes: Notes | None = None,
    batch: Mapping[str, Handler] | None = None,
    logs: Mapping[str, Handler] | None = None,
    clock: Clock | None = None,
) -> Iterator[Endpoint]:
    """The application on a free port of this machine."""
    notes = notes or Notes()
    clock = clock or WallClock()
    keys = KeyRing({ACCESS_KEY: SECRET}, clock=clock, look=dict) if verified else None
    handlers_of_batch = notes.handlers("batch") if batch is None else batch
    handlers_of_logs = notes.handlers("logs") if logs is None else logs
    app = aws_app(batch=handlers_of_batch, logs=handlers_of_logs, keys=keys, clock=clock, limits=limits)
    listener = listen_tcp("127.0.0.1", 0)
    server = TcpServer(app, listener, None)
    port = listener.getsockname()[1]
    server.start()
    try:
        yield Endpoint(port=port, notes=notes)
    finally:
        server.close()
        app.close()


def client(service: str, endpoint: Endpoint, *, region: str = "eu-west-1", secret: str = SECRET, access_key: str = ACCESS_KEY) -> Any:
    """A client of boto3 that asks once."""
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=endpoint.url, region_name=region, aws_access_key_id=access_key, aws_secret_access_key=secret, config=config)


def raising(error: Exception) -> Handler:
    """A handler that fails so."""

    def handle(_: Caller, __: Mapping[str, Any]) -> Mapping[str, Any]:
        raise error

    return handle
