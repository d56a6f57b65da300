"""How AWS Batch speaks: codes, headers, ARNs, pages, the members of parents and children, and what a job finds in its environment."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from spawn.domain.states import Status
from tests.aws.contract.world import ARN, DEFINITION, REASON, World
from tests.aws.serving import ACCESS_KEY, REGION, SECRET_KEY, Local
from tests.aws.shapes import service_model

OPERATIONS: Final = sorted(service_model("batch").operation_names)


def sent(world: World, operation: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """A signed call of an operation with this body: status, headers and body of the answer."""
    http_of = service_model("batch").operation_model(operation).http
    path = http_of["requestUri"].replace("{resourceArn}", "arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fdefault")
    request = AWSRequest(http_of["method"], world.played.url + path, data=body, headers={"content-type": "application/json"})
    SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "batch", REGION).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(world.played.url).netloc, timeout=60)
    try:
        connection.request(http_of["method"], path, body=body, headers=dict(request.headers.items()))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


# --- errors and answers -------------------------------------------------------------------------------------------------


def test_the_code_of_an_error_stands_in_its_header_and_in_its_body(world: World) -> None:
    status, headers, body = sent(world, "SubmitJob", b'{"jobName": "job", "jobQueue": "nobody", "jobDefinition": "work"}')
    document = json.loads(body)
    assert (status, headers["x-amzn-errortype"], document["__type"]) == (400, "ClientException", "ClientException")
    assert document["message"]
    assert headers["x-amzn-requestid"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_required_member_that_is_missing_is_named(world: World, operation: str) -> None:
    shape = service_model("batch").operation_model(operation).input_shape
    required = [] if shape is None else [name for name in shape.required_members if name != "resourceArn"]
    status, headers, body = sent(world, operation, b"{}")
    if not required:
        assert status in (200, 400)
        return
    assert (status, headers["x-amzn-errortype"]) == (400, "ClientException")
    assert any(name in json.loads(body)["message"] for name in required) or "service jobs" in json.loads(body)["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 10_000])
def test_a_body_that_is_no_json_object_is_the_callers_fault(world: World, body: bytes) -> None:
    status, headers, _ = sent(world, "DescribeJobQueues", body)
    assert status == 400
    assert headers["x-amzn-errortype"]


def test_absent_members_are_left_out_and_never_null(world: World) -> None:
    world.submit(2)
    for operation, body in (("DescribeJobs", json.dumps({"jobs": [world.submit()]}).encode()), ("DescribeJobQueues", b"{}"), ("DescribeJobDefinitions", b"{}")):
        assert b"null" not in sent(world, operation, body)[2]


@pytest.mark.parametrize(("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-east-1", "aws")])
def test_arns_have_the_region_of_who_asks_and_are_understood_from_any(world: World, region: str, partition: str) -> None:
    client = world.played.client("batch", region=region)
    arn = f"arn:{partition}:batch:{region}:123456789012"
    job = client.submit_job(jobName="job", jobQueue=f"{ARN}:job-queue/default", jobDefinition=f"{ARN}:job-definition/work:1")
    assert job["jobArn"] == f"{arn}:job/{job['jobId']}"
    (shown,) = client.describe_jobs(jobs=[f"{ARN}:job/{job['jobId']}"])["jobs"]
    assert (shown["jobQueue"], shown["jobDefinition"]) == (f"{arn}:job-queue/default", f"{arn}:job-definition/work:1")
    client.close()


# --- parents and children -----------------------------------------------------------------------------------------------


def test_a_parent_counts_its_children_and_has_no_attempts_of_its_own(world: World) -> None:
    parent = world.submit(3, timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 2})
    world.begin(f"{parent}:0")
    shown = world.job(parent)
    summary = shown["arrayProperties"]["statusSummary"]
    assert set(summary) == {status.name for status in Status}
    assert (sum(summary.values()), summary["RUNNING"], shown["status"]) == (3, 1, "PENDING")
    assert shown["attempts"] == []
    assert shown["container"]["image"] == "busybox"
    world.finish()
    shown = world.job(parent)
    children = [world.job(f"{parent}:{index}") for index in range(3)]
    assert shown["startedAt"] == min(child["startedAt"] for child in children)
    assert shown["stoppedAt"] >= max(child["stoppedAt"] for child in children)
    assert [child["arrayProperties"]["index"] for child in children] == [0, 1, 2]
    assert {(child["jobName"], child["jobQueue"], child["jobDefinition"]) for child in children} == {
        (shown["jobName"], shown["jobQueue"], shown["jobDefinition"])
    }


def test_times_are_there_when_they_have_happened(world: World) -> None:
    job = world.submit()
    assert not {"startedAt", "stoppedAt"} & world.job(job).keys()
    world.begin(job)
    assert "stoppedAt" not in world.job(job)
    world.played.clock.advance(5)
    world.end(job)
    shown = world.job(job)
    assert shown["createdAt"] <= shown["startedAt"] == shown["stoppedAt"] - 5000
    never = world.submit(after=[{"jobId": world.submit(jobName="before")}])
    world.call("TerminateJob", jobId=never, reason=REASON)
    assert world.job(never)["stoppedAt"] > 0


# --- lists --------------------------------------------------------------------------------------------------------------


def listed(world: World, **asked: Any) -> list[str]:
    """The names of the jobs of one list."""
    return [job["jobName"] for job in world.call("ListJobs", **({"jobQueue": "default"} | asked))["jobSummaryList"]]


def filtered(world: World, name: str, *values: str, **asked: Any) -> list[str]:
    """The names of the jobs that pass a filter."""
    return listed(world, filters=[{"name": name, "values": list(values)}], **asked)


@pytest.fixture
def named(world: World) -> World:
    """Three jobs, each a second later than the one before; the first has run, the second is an array of another definition, the third waits."""
    world.call("RegisterJobDefinition", **{**DEFINITION, "jobDefinitionName": "workshop"})
    first = world.submit(jobName="Alpha")
    world.begin(first)
    world.end(first)
    world.played.clock.advance(1)
    second = world.submit(2, jobName="Alphabet", jobDefinition="workshop")
    world.played.clock.advance(1)
    world.submit(jobName="Beta", after=[{"jobId": second}])
    return world


def test_filters_choose_by_name_definition_and_time_and_show_the_latest_first(named: World) -> None:
    created = {name: named.call("ListJobs", jobQueue="default", filters=[{"name": "JOB_NAME", "values": [name]}]) for name in ("Alpha", "Alphabet", "Beta")}
    times = {name: answer["jobSummaryList"][0]["createdAt"] for name, answer in created.items()}
    assert filtered(named, "JOB_NAME", "alpha") == ["Alpha"]
    assert filtered(named, "JOB_NAME", "ALPHA*") == ["Alphabet", "Alpha"]
    assert filtered(named, "JOB_NAME", "alp") == []
    assert filtered(named, "JOB_DEFINITION", "work") == ["Beta", "Alpha"]
    assert filtered(named, "JOB_DEFINITION", "WORK") == []
    assert filtered(named, "JOB_DEFINITION", "work*") == ["Beta", "Alphabet", "Alpha"]
    assert filtered(named, "JOB_DEFINITION", f"{ARN}:job-definition/work:1") == ["Beta", "Alpha"]
    assert filtered(named, "JOB_DEFINITION", f"{ARN}:job-definition/work:2") == []
    assert filtered(named, "BEFORE_CREATED_AT", str(times["Beta"])) == ["Alphabet", "Alpha"]
    assert filtered(named, "AFTER_CREATED_AT", str(times["Alpha"])) == ["Beta", "Alphabet"]


def test_with_a_filter_the_status_counts_for_nothing_and_without_one_it_is_running(named: World) -> None:
    assert filtered(named, "JOB_NAME", "Alpha", jobStatus="FAILED") == ["Alpha"]
    assert listed(named) == []
    assert listed(named, jobStatus="SUCCEEDED") == ["Alpha"]
    assert sorted(listed(named, jobStatus="PENDING")) == ["Alphabet", "Beta"]


def test_the_status_counts_beside_a_share(world: World) -> None:
    world.call("CreateSchedulingPolicy", name="fair")
    order = [{"order": 1, "computeEnvironment": "local"}]
    world.call("CreateJobQueue", jobQueueName="shared", priority=1, computeEnvironmentOrder=order, schedulingPolicyArn=f"{ARN}:scheduling-policy/fair")
    for share in ("a", "b", "a"):
        world.submit(jobName=f"of-{share}", jobQueue="shared", shareIdentifier=share)
    assert filtered(world, "SHARE_IDENTIFIER", "b", jobQueue="shared", jobStatus="STARTING") + filtered(
        world, "SHARE_IDENTIFIER", "b", jobQueue="shared", jobStatus="RUNNABLE"
    ) == ["of-b"]
    assert filtered(world, "SHARE_IDENTIFIER", "b", jobQueue="shared", jobStatus="FAILED") == []


def test_a_filtered_page_has_100_jobs_at_most_and_another_one_1000(world: World) -> None:
    parent = world.submit(1200, after=[{"jobId": world.submit(jobName="before")}])
    page = world.call("ListJobs", arrayJobId=parent, jobStatus="PENDING")
    assert (len(page["jobSummaryList"]), "nextToken" in page) == (1000, True)
    rest = world.call("ListJobs", arrayJobId=parent, jobStatus="PENDING", nextToken=page["nextToken"])
    assert (len(rest["jobSummaryList"]), "nextToken" in rest) == (200, False)
    for _ in range(101):
        world.submit(jobName="many")
    assert len(filtered(world, "JOB_NAME", "many", maxResults=1000)) == 100


# --- inside a job -------------------------------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path)
    yield local
    local.close()


def test_a_child_finds_in_its_environment_who_it_is(local: Local, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    local.batch.register_job_definition(
        jobDefinitionName="look",
        type="container",
        parameters={"to": str(found), "unused": "x"},
        containerProperties={
            "image": "busybox",
            "command": ["sh", "-c", 'env >"$0/${AWS_BATCH_JOB_ARRAY_INDEX:-single}"', "Ref::to"],
            "environment": [{"name": "KEPT", "value": "definition"}, {"name": "CHANGED", "value": "definition"}],
            "resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    overrides = {"environment": [{"name": "CHANGED", "value": "override"}]}
    asked: dict[str, Any] = {"jobName": "look", "jobQueue": "default", "jobDefinition": "look", "containerOverrides": overrides}
    array = local.batch.submit_job(**asked, arrayProperties={"size": 2})["jobId"]
    single = local.batch.submit_job(**asked)["jobId"]
    local.wait(array, single)
    variables = {path.name: dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line) for path in found.iterdir()}
    assert set(variables) == {"0", "1", "single"}
    for index in ("0", "1"):
        own = variables[index]
        assert (own["AWS_BATCH_JOB_ID"], own["AWS_BATCH_JOB_ARRAY_INDEX"], own["AWS_BATCH_JOB_ARRAY_SIZE"]) == (f"{array}:{index}", index, "2")
    for own in variables.values():
        assert (own["AWS_BATCH_JOB_ATTEMPT"], own["AWS_BATCH_JQ_NAME"], own["AWS_BATCH_CE_NAME"]) == ("1", "default", "local")
        assert (own["KEPT"], own["CHANGED"], own["AWS_EXECUTION_ENV"]) == ("definition", "override", "AWS_ECS_EC2")
    assert variables["single"]["AWS_BATCH_JOB_ID"] == single
    assert "AWS_BATCH_JOB_ARRAY_INDEX" not in variables["single"]
