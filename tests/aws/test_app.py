"""The endpoint over HTTP: clients get what they were promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from spawn.api.aws.model import service_api
from spawn.domain.errors import InvalidField, NotFound
from tests.aws.noting import ACCESS_KEY, ARN, JOB, SECRET, SUBMIT, Endpoint, client, raising
from tests.aws.shapes import assert_shape, service_model


def test_boto3_submits_a_job(endpoint: Endpoint) -> None:
    endpoint.notes.answers["SubmitJob"] = lambda caller, members: {"jobId": "1", "jobName": members["jobName"], "jobArn": caller.arn("job/1")}
    answer = client("batch", endpoint, region="cn-north-1").submit_job(**JOB, tags={"a": "ü"})
    assert_shape("batch", "SubmitJob", answer)
    assert answer["jobArn"] == "arn:aws-cn:batch:cn-north-1:123456789012:job/1"
    assert [(name, members) for name, _, members in endpoint.notes.calls] == [("SubmitJob", {**JOB, "tags": {"a": "ü"}})]


def test_the_id_of_a_request_is_told_to_its_handler_and_to_its_client(endpoint: Endpoint) -> None:
    reply = endpoint.post(SUBMIT, JOB)
    told = endpoint.notes.calls[0][1].request_id
    assert reply.headers["x-amzn-requestid"] == told == str(UUID(told))
    assert endpoint.post(SUBMIT, JOB).headers["x-amzn-requestid"] != told


def test_boto3_tags_lists_and_untags_by_arn(endpoint: Endpoint) -> None:
    batch = client("batch", endpoint)
    endpoint.notes.answers["ListTagsForResource"] = lambda *_: {"tags": {"a": "b"}}
    arn = f"{ARN} ü/1"
    batch.tag_resource(resourceArn=arn, tags={"a": "b"})
    assert batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b"}
    batch.untag_resource(resourceArn=arn, tagKeys=["a", "b c", "d&=+%/"])
    assert [(name, members) for name, _, members in endpoint.notes.calls] == [
        ("TagResource", {"resourceArn": arn, "tags": {"a": "b"}}),
        ("ListTagsForResource", {"resourceArn": arn}),
        ("UntagResource", {"resourceArn": arn, "tagKeys": ["a", "b c", "d&=+%/"]}),
    ]


def test_boto3_reads_logs(endpoint: Endpoint) -> None:
    event = {"timestamp": 1, "message": "hello", "ingestionTime": None}
    endpoint.notes.answers["GetLogEvents"] = lambda *_: {"events": (event,), "nextForwardToken": "f/1", "nextBackwardToken": None}
    answer = client("logs", endpoint).get_log_events(logGroupName="/aws/batch/job", logStreamName="d/default/1")
    assert_shape("logs", "GetLogEvents", answer)
    assert answer["events"] == [{"timestamp": 1, "message": "hello"}]
    assert "nextBackwardToken" not in answer
    assert endpoint.target("GetLogEvents", {"logGroupName": "a", "logStreamName": "b"}).headers["content-type"] == "application/x-amz-json-1.1"


def test_the_aws_command_works(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.notes.answers["ListJobs"] = lambda *_: {"jobSummaryList": [{"jobId": "1", "jobName": "a", "status": "RUNNING"}]}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BATCH": endpoint.url,
    }
    command = [str(Path(sys.executable).with_name("aws")), "batch", "list-jobs", "--job-queue", "q", "--query", "jobSummaryList[].jobId", "--output", "text"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


@pytest.mark.parametrize("name", service_api("batch").names)
def test_every_operation_of_batch_is_reached_over_http(name: str, endpoint: Endpoint) -> None:
    http = service_model("batch").operation_model(name).http
    reply = endpoint.signed(http["method"], http["requestUri"].replace("{resourceArn}", "arn%3Aa%2Fq"), body=b'{"unknown": 1}')
    required = service_model("batch").operation_model(name).input_shape.required_members
    if set(required) <= {"resourceArn"}:
        assert (reply.status, reply.body) == (200, b"{}")
        assert [called for called, _, _ in endpoint.notes.calls] == [name]
    else:
        missing = next(member for member in required if member != "resourceArn")
        assert (reply.status, reply.code, reply.message) == (400, "ClientException", f"{name}: {missing}: this member is required")
        assert endpoint.notes.calls == []


def test_an_error_reaches_the_except_clause_of_its_name(endpoint: Endpoint) -> None:
    endpoint.notes.answers["SubmitJob"] = raising(InvalidField("jobQueue", "there is no queue 'q'"))
    batch = client("batch", endpoint)
    with pytest.raises(batch.exceptions.ClientException) as caught:
        batch.submit_job(**JOB)
    assert caught.value.response["Error"] == {"Code": "ClientException", "Message": "jobQueue: there is no queue 'q'"}
    endpoint.notes.answers["GetLogEvents"] = raising(NotFound("The specified log stream does not exist."))
    logs = client("logs", endpoint)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_log_events(logGroupName="a", logStreamName="b")
