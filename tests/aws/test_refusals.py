"""The endpoint over HTTP: whoever is refused has started nothing."""

from __future__ import annotations

import json
import logging

import pytest
from botocore.exceptions import ClientError

from spawn.testing.clock import ManualClock
from tests.aws.noting import ACCESS_KEY, JOB, SECRET, SUBMIT, Endpoint, client, served


def test_a_request_without_a_signature_starts_nothing(endpoint: Endpoint) -> None:
    reply = endpoint.send("POST", SUBMIT, body=json.dumps(JOB).encode())
    assert (reply.status, reply.code, reply.message) == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert endpoint.notes.calls == []


@pytest.mark.parametrize(
    ("access_key", "secret", "code"), [("AKIDOTHER", SECRET, "UnrecognizedClientException"), (ACCESS_KEY, "wrong", "InvalidSignatureException")]
)
@pytest.mark.parametrize("service", ["batch", "logs"])
def test_a_wrong_key_and_a_wrong_secret_start_nothing(service: str, access_key: str, secret: str, code: str, endpoint: Endpoint) -> None:
    stranger = client(service, endpoint, access_key=access_key, secret=secret)
    with pytest.raises(ClientError) as caught:
        stranger.describe_job_queues() if service == "batch" else stranger.describe_log_groups()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert endpoint.notes.calls == []


def test_a_body_that_was_altered_starts_nothing(endpoint: Endpoint) -> None:
    headers = endpoint.signed_headers("POST", SUBMIT, json.dumps(JOB).encode())
    reply = endpoint.send("POST", SUBMIT, body=json.dumps({**JOB, "jobName": "b"}).encode(), headers=headers)
    assert (reply.status, reply.code) == (403, "InvalidSignatureException")
    assert reply.message.startswith("The request signature we calculated does not match the signature you provided.")
    assert endpoint.notes.calls == []


def test_a_signature_for_another_path_starts_nothing(endpoint: Endpoint) -> None:
    body = json.dumps({"jobId": "a", "reason": "b"}).encode()
    reply = endpoint.send("POST", "/v1/terminatejob", body=body, headers=endpoint.signed_headers("POST", "/v1/canceljob", body))
    assert (reply.status, reply.code) == (403, "InvalidSignatureException")
    assert endpoint.notes.calls == []


def test_a_stale_signature_starts_nothing() -> None:
    with served(clock=ManualClock()) as endpoint:
        reply = endpoint.post(SUBMIT, JOB)
    assert (reply.status, reply.code) == (403, "InvalidSignatureException")
    assert reply.message.startswith(("Signature expired: ", "Signature not yet current: "))
    assert endpoint.notes.calls == []


def test_a_signature_for_another_service_starts_nothing(endpoint: Endpoint) -> None:
    reply = endpoint.signed("POST", SUBMIT, body=json.dumps(JOB).encode(), service="logs")
    assert (reply.status, reply.code, reply.message) == (403, "InvalidSignatureException", "Credential should be scoped to correct service: 'batch'.")
    body = json.dumps({"logGroupName": "a"}).encode()
    reply = endpoint.signed("POST", "/", body=body, headers={"X-Amz-Target": "Logs_20140328.DescribeLogStreams"})
    assert (reply.status, reply.message) == (403, "Credential should be scoped to correct service: 'logs'.")
    assert endpoint.notes.calls == []


def test_a_header_out_of_form_starts_nothing(endpoint: Endpoint) -> None:
    reply = endpoint.send("POST", SUBMIT, body=json.dumps(JOB).encode(), headers={"authorization": "AWS4-HMAC-SHA256 Credential=x"})
    assert (reply.status, reply.code) == (400, "IncompleteSignatureException")
    assert endpoint.notes.calls == []


def test_no_refusal_tells_the_secret_or_writes_it_down(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="spawn")
    for headers in ({}, {"authorization": "x"}, endpoint.signed_headers("POST", "/other", b"")):
        reply = endpoint.send("POST", SUBMIT, body=b"{}", headers=headers)
        assert SECRET.encode() not in reply.body
    assert SECRET not in caplog.text


def test_without_verification_a_region_is_believed_as_it_is_claimed() -> None:
    with served(verified=False) as endpoint:
        client("batch", endpoint, region="ap-south-1", secret="wrong").submit_job(**JOB)
        assert endpoint.send("POST", SUBMIT, body=json.dumps(JOB).encode()).status == 200
    assert [caller.region for _, caller, _ in endpoint.notes.calls] == ["ap-south-1", "us-east-1"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_is_not_found_without_a_signature(method: str, endpoint: Endpoint) -> None:
    reply = endpoint.send(method, "/")
    assert (reply.status, reply.code) == (404, "UnknownOperationException")


@pytest.mark.parametrize("path", ["/v1/../", "/v1/../v1/submitjob", "/%00", "/v1/%2e%2e/etc/passwd", "/v1/nothing", "/" + "a" * 20_000, "/v1/tags/"])
def test_a_path_that_is_none_is_not_found(path: str, endpoint: Endpoint) -> None:
    reply = endpoint.signed("POST", path)
    assert (reply.status, reply.code) == (404, "UnknownOperationException")
    assert endpoint.notes.calls == []


def test_a_wrong_method_is_told_which_is_right(endpoint: Endpoint) -> None:
    reply = endpoint.signed("PUT", SUBMIT, body=b"{}")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "UnknownOperationException", "POST")


def test_an_unknown_target_is_not_found(endpoint: Endpoint) -> None:
    reply = endpoint.target("DeleteEverything", {})
    assert (reply.status, reply.code) == (404, "UnknownOperationException")
    assert reply.headers["content-type"] == "application/x-amz-json-1.1"


def test_an_operation_that_is_not_answered_says_so_and_why() -> None:
    with served(batch={}, logs={"GetLogEvents": lambda *_: {}}) as endpoint:
        reply = endpoint.post("/v1/submitservicejob", {})
        assert (reply.status, reply.code) == (400, "ClientException")
        assert reply.message == "SubmitServiceJob is not available here: SageMaker service jobs do not run here; submit a job with SubmitJob"
        reply = endpoint.target("PutLogEvents", {})
        assert (reply.status, reply.code) == (400, "InvalidOperationException")
        assert reply.message.endswith("read with GetLogEvents")
