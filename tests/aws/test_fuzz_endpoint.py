"""Whatever is sent to the real handlers: no failure of ours, nothing of this machine in an answer, and the engine is what it was.

`SPAWN_FUZZ_EXAMPLES=3000` looks harder.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spawn.api.aws.model import service_api
from tests.aws.contract.fuzzing import ALLOWED_TO_FAIL, DEFINITION, GROUP, MARKER, ORDER, Target, allowed, of_service, served, spoiled, tampered
from tests.aws.generating import JSON
from tests.aws.shapes import service_model

EXAMPLES: Final = int(os.environ.get("SPAWN_FUZZ_EXAMPLES", "60"))
# one endpoint for all examples, as a real one has; what a failing example needs is in its input
MANY: Final = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
SERVICES: Final = pytest.mark.parametrize("service", ["batch", "logs"])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    home = tmp_path_factory.mktemp("home")
    (home / "secret.txt").write_text(MARKER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("AWS_SECRET_ACCESS_KEY", MARKER)
        patch.setenv("SPAWN_FUZZ_MARKER", MARKER)
        with served(tmp_path_factory.mktemp("state")) as target:
            yield target


# --- what is sent -------------------------------------------------------------------------------------------------------


@SERVICES
@given(data=st.data())
@MANY
def test_no_input_that_the_model_allows_makes_it_fail(service: str, target: Target, data: st.DataObject) -> None:
    operation = data.draw(of_service(service))
    target.call(service, operation, data.draw(allowed(service, operation, target.names_for(operation))))
    assert_nothing_was_started_unasked(target)


@SERVICES
@given(data=st.data())
@MANY
def test_no_spoiled_input_makes_it_fail(service: str, target: Target, data: st.DataObject) -> None:
    operation = data.draw(of_service(service))
    target.call(service, operation, data.draw(spoiled(service, operation, target.names_for(operation))))
    assert_nothing_was_started_unasked(target)


@given(data=st.data())
@MANY
def test_no_submission_makes_it_fail(target: Target, data: st.DataObject) -> None:
    target.call("batch", "SubmitJob", data.draw(spoiled("batch", "SubmitJob", target.names)))
    assert_nothing_was_started_unasked(target)


@given(body=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), operation=st.sampled_from(service_api("batch").names))
@MANY
def test_no_body_makes_it_fail(target: Target, body: bytes, operation: str) -> None:
    http_of = service_model("batch").operation_model(operation).http
    target.send(http_of["method"], http_of["requestUri"].replace("{resourceArn}", "x"), body)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]),
    prefix=st.sampled_from(["/", "/v1/", "/v1/tags/", "/v1/tags/arn%3Aaws%3Abatch%3A%3A%3Ajob%2F", "/v1/../../", "/etc/passwd", "/v1/%2e%2e/%2e%2e/"]),
    path=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60),
)
@MANY
def test_no_path_makes_it_fail(target: Target, method: str, prefix: str, path: str) -> None:
    target.send(method, prefix + path, b"{}")


PAGED: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("batch", "ListJobs", {"jobQueue": "default", "jobStatus": "SUCCEEDED", "maxResults": 1}),
    ("batch", "ListJobs", {"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": ["j*"]}], "maxResults": 1}),
    ("batch", "ListJobs", {"arrayJobId": "ARRAY", "jobStatus": "SUCCEEDED", "maxResults": 1}),
    ("batch", "DescribeJobDefinitions", {"maxResults": 1}),
    ("batch", "DescribeJobQueues", {"maxResults": 1}),
    ("logs", "FilterLogEvents", {"logGroupName": GROUP, "limit": 1}),
    *(
        ("logs", "DescribeLogStreams", {"logGroupName": GROUP, "limit": 1, "descending": descending, "orderBy": order})
        for descending in (False, True)
        for order in ("LogStreamName", "LastEventTime")
    ),
]


REWRITTEN: Final[list[Any]] = [-(2**70), -(2**63), -1, 0, 2**62, 2**63, 2**70, True, "", "x", []]


@pytest.mark.parametrize(("service", "operation", "document"), PAGED)
def test_no_token_that_was_rewritten_makes_it_fail(target: Target, service: str, operation: str, document: dict[str, Any]) -> None:
    array = next(job for job in target.names["arrayJobId"] if target.played.describe(job).get("arrayProperties", {}).get("size"))
    document = {name: array if value == "ARRAY" else value for name, value in document.items()}
    token = target.call(service, operation, document).json["nextToken"]
    assert target.call(service, operation, document | {"nextToken": token}).status == 200
    for change in [(place, value) for place in range(7) for value in REWRITTEN]:
        target.call(service, operation, document | {"nextToken": tampered(token, change)})


# --- sizes and slowness -------------------------------------------------------------------------------------------------


def test_huge_and_deep_bodies_are_refused_and_take_no_memory(target: Target) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deep = [b"[" * 100_000, b'{"a":' * 100_000, b'{"jobName":' + b"[" * 50_000 + b"]" * 50_000 + b"}"]
    for body in [*deep, b'{"jobName":"' + b"x" * 900_000 + b'"}', json.dumps({"jobs": ["x"] * 100_000}).encode()]:
        for path in ("submitjob", "describejobs"):
            assert target.send("POST", f"/v1/{path}", body).status in ALLOWED_TO_FAIL
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", target.port), timeout=60) as sock:
            sock.sendall(b"POST /v1/submitjob HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n{")
            assert sock.recv(4096).startswith(b"HTTP/1.1 413")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10


def test_slow_clients_keep_nobody_out_and_are_let_go(target: Target) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", target.port), timeout=60)) for _ in range(50)]
        for sock in slow:
            sock.sendall(b"POST /v1/submitjob HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert target.call("batch", "DescribeJobQueues", {}).status == 200
        for sock in slow:
            assert sock.recv(4096).startswith(b"HTTP/1.1 408")


# --- what is left of the engine -----------------------------------------------------------------------------------------


def assert_nothing_was_started_unasked(target: Target) -> None:
    """Every attempt was handed over once, and belongs to a job that a SubmitJob was answered with."""
    started = target.played.provider.started
    assert len(set(started)) == len(started)
    assert len(query(target, "SELECT 1 FROM job")) == target.taken
    keys = {f"{key:010x}" for (key,) in query(target, "SELECT key FROM job")}
    assert {attempt.key for attempt in started} <= keys


def query(target: Target, sql: str) -> list[Any]:
    """Rows of the store, read beside the engine."""
    with contextlib.closing(sqlite3.connect(target.played.directory / "store.db")) as connection:
        return connection.execute(sql).fetchall()


def test_the_engine_is_unharmed_after_all_of_it(target: Target) -> None:
    assert_nothing_was_started_unasked(target)
    assert query(target, "PRAGMA integrity_check") == [("ok",)]
    assert query(target, "PRAGMA foreign_key_check") == []
    call = target.played.call
    call("RegisterJobDefinition", jobDefinitionName="after", type="container", containerProperties=DEFINITION, parameters={"word": "x"})
    call("UpdateComputeEnvironment", computeEnvironment="local", state="ENABLED", computeResources={"maxvCpus": 2})
    call("CreateJobQueue", jobQueueName="last", priority=2**31 - 1, computeEnvironmentOrder=ORDER)
    job = call("SubmitJob", jobName="job", jobQueue="last", jobDefinition="after")["jobId"]
    for _ in range(100):
        if target.played.status(job) == "SUCCEEDED":
            break
        running = target.played.running()
        target.played.begin(*running)
        target.played.end(*running)
    assert target.played.status(job) == "SUCCEEDED", "the most urgent job of all did not come to its turn"
    target.played.restart()
    assert target.played.status(job) == "SUCCEEDED"
