"""The models: every operation is found where clients call it, and its input is held to its shape."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawn.api.aws.failures import AwsError
from spawn.api.aws.model import MethodNotAllowed, service_api
from tests.aws.generating import broken, inputs
from tests.aws.shapes import service_model

BATCH = service_api("batch")
LOGS = service_api("logs")
ARN = "arn:aws:batch:us-east-1:123456789012:job-queue/q"
JOB = {"jobName": "a", "jobQueue": "q", "jobDefinition": "d"}


def check(operation: str, document: object, *, service: str = "batch") -> dict[str, Any]:
    found = service_api(service).operation(operation)
    assert found is not None
    return found.check(document)


def refusal(operation: str, document: object, *, service: str = "batch") -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        check(operation, document, service=service)
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


def test_batch_has_48_operations() -> None:
    assert len(BATCH.names) == 48


@pytest.mark.parametrize("name", BATCH.names)
def test_every_operation_of_batch_is_found_at_its_path(name: str) -> None:
    http = service_model("batch").operation_model(name).http
    path = http["requestUri"].replace("{resourceArn}", quote(ARN, safe=""))
    assert BATCH.at_path(http["method"], path.encode(), b"").operation.name == name


@pytest.mark.parametrize("name", LOGS.names)
def test_every_operation_of_logs_is_found_by_its_target(name: str) -> None:
    assert LOGS.at_target(f"Logs_20140328.{name}", "POST", b"/").operation.name == name


@pytest.mark.parametrize("written", [quote(ARN, safe=""), quote(ARN, safe="/"), quote(ARN, safe=":/"), ARN])
def test_an_arn_in_a_path_may_be_encoded_or_not(written: str) -> None:
    assert BATCH.at_path("GET", f"/v1/tags/{written}".encode(), b"").members == {"resourceArn": ARN}


def test_tag_keys_stand_in_the_query_as_often_as_needed() -> None:
    routed = BATCH.at_path("DELETE", f"/v1/tags/{quote(ARN, safe='')}".encode(), b"tagKeys=a&tagKeys=b%20c&other=1&tagKeys=")
    assert routed.members == {"resourceArn": ARN, "tagKeys": ["a", "b c", ""]}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v2/submitjob",
        "/v1/submitJob",
        "/v1/submitjob/",
        "/v1/../v1/submitjob",
        "//v1/submitjob",
        "/v1/tags",
        "/v1/tags/",
        "/%00",
        "/" + "a" * 9000,
    ],
)
def test_any_other_path_is_unknown(path: str) -> None:
    with pytest.raises(AwsError) as caught:
        BATCH.at_path("POST", path.encode(), b"")
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)
    assert len(caught.value.message) < 120


def test_another_method_is_not_allowed_and_the_answer_tells_which_are() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        BATCH.at_path("GET", b"/v1/submitjob", b"")
    assert (caught.value.status, caught.value.allowed) == (405, "POST")
    with pytest.raises(MethodNotAllowed) as caught:
        BATCH.at_path("PATCH", b"/v1/tags/x", b"")
    assert set(caught.value.allowed.split(", ")) == {"GET", "POST", "DELETE"}
    with pytest.raises(MethodNotAllowed):
        LOGS.at_target("Logs_20140328.GetLogEvents", "GET", b"/")


@pytest.mark.parametrize(
    ("target", "path"), [("", "/"), ("GetLogEvents", "/"), ("Logs.GetLogEvents", "/"), ("Logs_20140328.GetLogEvent", "/"), ("Logs_20140328.GetLogEvents", "/x")]
)
def test_any_other_target_is_unknown(target: str, path: str) -> None:
    with pytest.raises(AwsError) as caught:
        LOGS.at_target(target, "POST", path.encode())
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)


@pytest.mark.parametrize("query", [b"tagKeys=%ff", b"&".join([b"tagKeys=a"] * 1001), b"tagKeys=\xff"])
def test_a_query_that_is_no_text_or_too_long_is_refused(query: bytes) -> None:
    with pytest.raises(AwsError) as caught:
        BATCH.at_path("DELETE", b"/v1/tags/x", query)
    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)


def test_an_arn_that_is_no_text_is_refused() -> None:
    with pytest.raises(AwsError) as caught:
        BATCH.at_path("GET", b"/v1/tags/%ff%fe", b"")
    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)


@pytest.mark.parametrize("service", ["batch", "logs"])
@given(data=st.data())
@settings(max_examples=150)
def test_every_input_that_the_model_allows_is_kept_as_it_is(service: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(service_api(service).names))
    document = data.draw(inputs(service, operation))
    assert check(operation, document, service=service) == document


@pytest.mark.parametrize("service", ["batch", "logs"])
@given(data=st.data())
@settings(max_examples=150)
def test_an_input_that_was_broken_is_refused_in_one_sentence_or_lost_only_what_the_model_does_not_know(service: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(service_api(service).names))
    document = data.draw(broken(service, operation))
    refused, clean = _outcome(service, operation, document)
    if refused is not None:
        assert refused.status == 400
        assert refused.code in {"SerializationException", "ClientException", "InvalidParameterException"}
        assert refused.message.startswith(f"{operation}: ")
        assert refused.message.isprintable()
    else:
        assert check(operation, clean, service=service) == clean
        assert _holds(document, clean)


def _outcome(service: str, operation: str, document: object) -> tuple[AwsError | None, dict[str, Any]]:
    try:
        return None, check(operation, document, service=service)
    except AwsError as error:
        return error, {}


def _holds(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _holds(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(_holds(one, other) for one, other in zip(whole, part, strict=True))
    return bool(whole == part)


def test_members_that_the_model_does_not_know_are_dropped_at_any_depth() -> None:
    document = {**JOB, "unknown": {"deep": [1]}, "arrayProperties": {"size": 3, "colour": "red"}}
    assert check("SubmitJob", document) == {**JOB, "arrayProperties": {"size": 3}}


def test_tags_may_be_empty_as_snakemake_sends_them() -> None:
    assert check("SubmitJob", {**JOB, "tags": {}}) == {**JOB, "tags": {}}


def test_null_is_no_member() -> None:
    assert check("SubmitJob", {**JOB, "timeout": None}) == JOB
    assert refusal("SubmitJob", {**JOB, "jobName": None}) == ("ClientException", "SubmitJob: jobName: this member is required")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"arrayProperties": {"size": True}}, "arrayProperties.size: true is not an integer"),
        ({"arrayProperties": {"size": "3"}}, "arrayProperties.size: the string '3' is not an integer"),
        ({"arrayProperties": {"size": 3.0}}, "arrayProperties.size: 3.0 is not an integer"),
        ({"arrayProperties": {"size": 2**31}}, "arrayProperties.size: 2147483648 is not between -2147483648 and 2147483647"),
        ({"arrayProperties": {"size": 10**5000}}, "arrayProperties.size: a number of more than 60 digits is not between -2147483648 and 2147483647"),
        ({"arrayProperties": []}, "arrayProperties: a list is not an object"),
        ({"propagateTags": 1}, "propagateTags: 1 is not a boolean: true or false"),
        ({"dependsOn": {}}, "dependsOn: an object is not a list"),
        ({"dependsOn": [{"jobId": "a"}, None]}, "dependsOn[1]: null is not an object"),
        ({"parameters": {"a": 1}}, "parameters.a: 1 is not a string"),
        ({"containerOverrides": {"command": ["a", 2]}}, "containerOverrides.command[1]: 2 is not a string"),
        ({"tags": {"a": "b" * 100, "c": ["d"]}}, "tags.c: a list is not a string"),
    ],
)
def test_a_wrong_type_is_told_with_its_place(more: dict[str, Any], message: str) -> None:
    assert refusal("SubmitJob", {**JOB, **more}) == ("SerializationException", f"SubmitJob: {message}")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"dependsOn": [{"jobId": "a", "type": "N_TO_ALL"}]}, "dependsOn[0].type: 'N_TO_ALL' is not one of N_TO_N, SEQUENTIAL"),
        ({"dependsOn": [{"jobId": "a", "type": ""}]}, "dependsOn[0].type: '' is not one of N_TO_N, SEQUENTIAL"),
        ({"dependsOn": [{"type": "x" * 100}]}, f"dependsOn[0].type: '{'x' * 60}…' is not one of N_TO_N, SEQUENTIAL"),
        ({"tags": {str(n): "" for n in range(51)}}, "tags: has 51 entries; Member must have length less than or equal to 50"),
        ({"tags": {"": "v"}}, "tags.'': has 0 characters; Member must have length greater than or equal to 1"),
        ({"tags": {"k": "v" * 257}}, "tags.k: has 257 characters; Member must have length less than or equal to 256"),
        (
            {"containerOverrides": {"environment": [{"name": "A", "value": "b\0c"}]}},
            "containerOverrides.environment[0].value: 'b\\x00c' contains the character NUL, which no name, argument or variable can hold",
        ),
        ({"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "*"}]}}, "retryStrategy.evaluateOnExit[0].action: this member is required"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_its_place(more: dict[str, Any], message: str) -> None:
    assert refusal("SubmitJob", {**JOB, **more}) == ("ClientException", f"SubmitJob: {message}")


def test_the_action_of_a_retry_rule_may_be_written_in_small_letters() -> None:
    document = {**JOB, "retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "exit"}]}}
    assert check("SubmitJob", document) == document


def test_numbers_with_and_without_a_fraction_do_for_a_weight() -> None:
    for weight in (1, 0.5):
        document = {"name": "p", "fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": weight}]}}
        assert check("CreateSchedulingPolicy", document) == document
    document["fairsharePolicy"] = {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": float("inf")}]}
    assert refusal("CreateSchedulingPolicy", document)[0] == "SerializationException"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"logGroupName": "a", "logStreamName": "a:b"}, "logStreamName: 'a:b' does not satisfy the regular expression pattern: [^:*]*"),
        ({"logGroupName": "a", "logStreamName": "b", "limit": 0}, "limit: 0: Member must have value greater than or equal to 1"),
        ({"logGroupName": "a", "logStreamName": "b", "limit": 10_001}, "limit: 10001: Member must have value less than or equal to 10000"),
        ({"logGroupName": "a"}, "logStreamName: this member is required"),
    ],
)
def test_logs_refuse_with_their_own_code(document: dict[str, Any], message: str) -> None:
    assert refusal("GetLogEvents", document, service="logs") == ("InvalidParameterException", f"GetLogEvents: {message}")


@pytest.mark.parametrize("document", [[], None, "x", 1, True])
def test_an_input_is_an_object(document: object) -> None:
    assert refusal("SubmitJob", document)[0] == "SerializationException"


def test_every_check_can_be_compiled() -> None:
    for api in (BATCH, LOGS):
        for name in api.names:
            operation = api.operation(name)
            assert operation is not None
            assert callable(operation.compiled())
