"""What handlers raise, in the words of each service."""

from __future__ import annotations

import pytest

from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.failures import AwsError
from spawn.api.aws.invoking import invoke
from spawn.domain.errors import ConfigurationError, Conflict, IllegalMove, InvalidField, NotFound, SpawnError, StoreUnavailable
from tests.aws.noting import JOB, SUBMIT, Endpoint, raising


def invoked(error: Exception, *, service: str = "batch", operation: str = "DescribeJobQueues") -> AwsError:
    with pytest.raises(AwsError) as caught:
        invoke(service, operation, {}, Caller(request_id="the-id"), {operation: raising(error)})
    return caught.value


def test_an_unexpected_failure_is_internal_and_its_words_are_kept_from_everybody(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.notes.answers["SubmitJob"] = raising(ZeroDivisionError("password=hunter2"))
    reply = endpoint.post(SUBMIT, JOB)
    assert (reply.status, reply.code, reply.message) == (500, "ServerException", "internal error")
    assert "batch.SubmitJob failed with ZeroDivisionError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_message_with_bytes_that_are_no_text_is_still_told(endpoint: Endpoint) -> None:
    endpoint.notes.answers["SubmitJob"] = raising(Conflict("no file '\udc80'"))
    assert endpoint.post(SUBMIT, JOB).message == "no file '?'"


def test_members_that_are_none_are_left_out_at_any_depth(endpoint: Endpoint) -> None:
    endpoint.notes.answers["DescribeJobs"] = lambda *_: {
        "jobs": ({"jobId": "1", "container": {"image": None, "command": []}, "tags": None},),
        "nextToken": None,
    }
    assert endpoint.post("/v1/describejobs", {"jobs": ["1"]}).json == {"jobs": [{"jobId": "1", "container": {"command": []}}]}


def test_an_answer_that_is_no_json_is_internal(endpoint: Endpoint) -> None:
    endpoint.notes.answers["SubmitJob"] = lambda *_: {"jobId": object()}
    reply = endpoint.post(SUBMIT, JOB)
    assert (reply.status, reply.code, reply.message) == (500, "ServerException", "internal error")


@pytest.mark.parametrize(
    ("error", "batch", "logs"),
    [
        (InvalidField("a", "b"), ("ClientException", 400, "a: b"), ("InvalidParameterException", 400, "a: b")),
        (NotFound("no such"), ("ClientException", 400, "no such"), ("ResourceNotFoundException", 400, "no such")),
        (Conflict("in use"), ("ClientException", 400, "in use"), ("InvalidOperationException", 400, "in use")),
        (StoreUnavailable("full"), ("ServerException", 500, "full"), ("ServiceUnavailableException", 500, "full")),
        (ConfigurationError("odd"), ("ServerException", 500, "odd"), ("ServiceUnavailableException", 500, "odd")),
        (SpawnError("odd"), ("ServerException", 500, "odd"), ("ServiceUnavailableException", 500, "odd")),
        (IllegalMove("a bug"), ("ServerException", 500, "internal error"), ("ServiceUnavailableException", 500, "internal error")),
        (KeyError("x"), ("ServerException", 500, "internal error"), ("ServiceUnavailableException", 500, "internal error")),
        (AwsError("Other", "m", status=418), ("Other", 418, "m"), ("Other", 418, "m")),
    ],
)
def test_failures_are_translated_to_the_words_of_each_service(error: Exception, batch: tuple[str, int, str], logs: tuple[str, int, str]) -> None:
    found = invoked(error)
    assert (found.code, found.status, found.message) == batch
    found = invoked(error, service="logs", operation="DescribeLogGroups")
    assert (found.code, found.status, found.message) == logs


@pytest.mark.parametrize("kind", [lambda message: AwsError("ClientException", message), Conflict])
def test_the_id_of_the_request_ends_a_message_of_its_execution(kind: type[Exception]) -> None:
    message = "Error executing request, Exception : Job name should match valid pattern"
    assert invoked(kind(message)).message == f"{message}, RequestId: the-id"
    assert invoked(kind("Other words")).message == "Other words"


def test_operations_are_invoked_without_http_under_the_same_rules() -> None:
    handlers: dict[str, Handler] = {"SubmitJob": lambda _, members: {"jobName": members["jobName"]}}
    assert invoke("batch", "SubmitJob", {**JOB, "unknown": 1}, Caller(), handlers) == {"jobName": "a"}
    for operation, document, code in [
        ("SubmitJob", {}, "ClientException"),
        ("SubmitJob", [], "SerializationException"),
        ("Nothing", {}, "UnknownOperationException"),
    ]:
        with pytest.raises(AwsError) as caught:
            invoke("batch", operation, document, Caller(), handlers)
        assert caught.value.code == code
