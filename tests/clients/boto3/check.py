"""boto3: an array with retries, a second array N_TO_N behind it, a failing child, a termination, and the logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

HERE = Path.cwd()
NAME = HERE.name
SIZE = 6
batch = boto3.client("batch")
logs = boto3.client("logs")

# child 3 fails at its first attempt, child 5 always
FLAKY = f"""
i=$AWS_BATCH_JOB_ARRAY_INDEX
echo "index $i attempt $AWS_BATCH_JOB_ATTEMPT"
[ $i = 3 ] && [ $AWS_BATCH_JOB_ATTEMPT = 1 ] && exit 42
[ $i = 5 ] && exit 43
echo $((i * i)) > {HERE}/square-$i
"""
AFTER = f"i=$AWS_BATCH_JOB_ARRAY_INDEX; echo $(($(cat {HERE}/square-$i) + 1)) > {HERE}/after-$i"


def define(name: str, script: str) -> str:
    """Register a definition that runs the script, and name it."""
    answer = batch.register_job_definition(
        jobDefinitionName=f"{NAME}-{name}",
        type="container",
        containerProperties={
            "image": "busybox",
            "command": ["sh", "-c", script],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    return str(answer["jobDefinitionArn"])


def submit(name: str, definition: str, **more: Any) -> str:
    """Submit a job to the default queue."""
    return str(batch.submit_job(jobName=f"{NAME}-{name}", jobQueue="default", jobDefinition=definition, **more)["jobId"])


def described(job: str) -> dict[str, Any]:
    """The one job of that id."""
    [job_detail] = batch.describe_jobs(jobs=[job])["jobs"]
    return dict(job_detail)


def reached(job: str, *statuses: str) -> dict[str, Any]:
    """Wait, for two minutes at most, until the job has one of the statuses."""
    end = time.monotonic() + 120
    while (detail := described(job))["status"] not in statuses:
        assert time.monotonic() < end, f"{job} is still {detail['status']}: {detail.get('statusReason')}"
        time.sleep(0.2)
    return detail


def messages(stream: str) -> list[str]:
    """The lines of a log stream."""
    events = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]


def retries_and_dependencies() -> None:
    """Child 3 succeeds at its second attempt; child 5 uses up both, and takes only its own dependent with it."""
    first = submit("first", define("flaky", FLAKY), arrayProperties={"size": SIZE}, retryStrategy={"attempts": 2})
    second = submit("second", define("after", AFTER), arrayProperties={"size": SIZE}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    last = submit("last", define("never", "exit 0"), dependsOn=[{"jobId": second}])

    parent = reached(first, "SUCCEEDED", "FAILED")
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed"), parent
    summary = parent["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"], sum(summary.values())) == (SIZE - 1, 1, SIZE), summary

    children = {child["jobId"]: child for child in batch.describe_jobs(jobs=[f"{first}:{i}" for i in range(SIZE)])["jobs"]}
    retried, failed = children[f"{first}:3"], children[f"{first}:5"]
    assert [attempt["container"]["exitCode"] for attempt in retried["attempts"]] == [42, 0], retried
    assert [attempt["container"]["exitCode"] for attempt in failed["attempts"]] == [43, 43], failed
    assert failed["container"]["exitCode"] == 43
    streams = [attempt["container"]["logStreamName"] for attempt in retried["attempts"]]
    assert [messages(stream) for stream in streams] == [["index 3 attempt 1"], ["index 3 attempt 2"]]

    parent = reached(second, "SUCCEEDED", "FAILED")
    assert parent["status"] == "FAILED", parent
    results = {i: (HERE / f"after-{i}").read_text().strip() for i in range(SIZE - 1)}
    assert results == {i: str(i * i + 1) for i in range(SIZE - 1)}, results
    dependent = described(f"{second}:5")
    assert (dependent["status"], dependent["statusReason"], dependent["attempts"]) == ("FAILED", "Dependent Job failed", []), dependent
    assert reached(last, "SUCCEEDED", "FAILED")["statusReason"] == "Dependent Job failed"

    pages = batch.get_paginator("list_jobs").paginate(arrayJobId=first, jobStatus="SUCCEEDED", PaginationConfig={"PageSize": 2})
    assert sorted(job["arrayProperties"]["index"] for page in pages for job in page["jobSummaryList"]) == [0, 1, 2, 3, 4]


def termination() -> None:
    """A running array ends with the reason given, its children too; an ended one is left as it is."""
    job = submit("sleepers", define("sleeper", "echo started; sleep 600"), arrayProperties={"size": 4})
    reached(f"{job}:0", "RUNNING")
    batch.terminate_job(jobId=job, reason="enough")
    parent = reached(job, "SUCCEEDED", "FAILED")
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "enough"), parent
    assert parent["arrayProperties"]["statusSummary"]["FAILED"] == 4, parent
    batch.terminate_job(jobId=job, reason="again")
    assert described(job)["statusReason"] == "enough"


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, int]:
    """The error's code and HTTP status with which a call is refused."""
    try:
        answer = call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"{request} was not refused: {answer}")


def refusals() -> None:
    """What AWS refuses is refused with the code that clients catch; a stranger is refused everything."""
    job = {"jobName": f"{NAME}-one", "jobQueue": "default", "jobDefinition": f"{NAME}-never"}
    assert refusal(batch.submit_job, **job, arrayProperties={"size": 1}) == ("ClientException", 400)
    assert refusal(batch.submit_job, **(job | {"jobQueue": "nowhere"})) == ("ClientException", 400)
    strangers = boto3.client("batch", aws_access_key_id="AKIANOBODY", aws_secret_access_key="no-key-of-this-endpoint")
    assert refusal(strangers.submit_job, **job)[1] == 403


retries_and_dependencies()
termination()
refusals()
