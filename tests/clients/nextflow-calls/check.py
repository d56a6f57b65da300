"""The calls that Nextflow's `awsbatch` executor makes, through boto3, with the launcher command that it gives its jobs.

Nextflow itself is not here: what PyPI has is a launcher that fetches the program from Nextflow's own site.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import boto3

BUCKET = "nextflow-work"
NAME = "nf-quay-io-nextflow-bash"
TOKEN = "6cf5f3ac1d4e2a9c"
TASKS = 3
#: what the jobs need to find `aws` and S3; Nextflow puts it into the definition (`containerOptions '--env …'`)
IN_THE_JOB = ("PATH", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")

batch = boto3.client("batch")
logs = boto3.client("logs")
s3 = boto3.client("s3")


def definition() -> str | None:
    """The active definition that has the token, as `name:revision`."""
    found = batch.describe_job_definitions(jobDefinitionName=NAME)["jobDefinitions"]
    named = [each for each in found if each["status"] == "ACTIVE" and each.get("parameters", {}).get("nf-token") == TOKEN]
    return f"{NAME}:{named[0]['revision']}" if named else None


def register() -> str:
    """Register the definition that every task of one image shares."""
    answer = batch.register_job_definition(
        jobDefinitionName=NAME,
        type="container",
        parameters={"nf-token": TOKEN},
        tags={"nextflow.io/createdAt": "2026-01-01T00:00:00Z", "nextflow.io/version": "26.10.3"},
        containerProperties={
            "image": "quay.io/nextflow/bash",
            "command": ["true"],
            "environment": [{"name": name, "value": os.environ[name]} for name in IN_THE_JOB],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "1024"}],
        },
    )
    return f"{answer['jobDefinitionName']}:{answer['revision']}"


def launcher() -> list[str]:
    """What an array's child runs: fetch the wrapper of its index from S3, run it, and save its log."""
    tasks = " ".join(f"s3://{BUCKET}/work/{index}" for index in range(TASKS))
    script = f"""array=( {tasks} ); task=${{array[$AWS_BATCH_JOB_ARRAY_INDEX]}}
trap "{{ ret=\\$?; aws s3 cp --only-show-errors .command.log $task/.command.log||true; exit \\$ret; }}" EXIT
aws s3 cp --only-show-errors $task/.command.run - | bash 2>&1 | tee .command.log"""
    return ["bash", "-o", "pipefail", "-c", script]


def submit(name: str, command: list[str], **more: Any) -> str:
    """Submit as Nextflow does: retried when the host is lost, and for no other reason."""
    rules = [{"action": "RETRY", "onStatusReason": "Host EC2*"}, {"action": "EXIT", "onReason": "*"}]
    answer = batch.submit_job(
        jobName=name,
        jobQueue="default",
        jobDefinition=definition() or register(),
        retryStrategy={"attempts": 5, "evaluateOnExit": rules},
        timeout={"attemptDurationSeconds": 60},
        propagateTags=True,
        tags={"pipeline": "squares"},
        containerOverrides={
            "command": command,
            "environment": [{"name": "NXF_DEBUG", "value": "0"}],
            "resourceRequirements": [{"type": "MEMORY", "value": "256"}],
        },
        **more,
    )
    return str(answer["jobId"])


def reached(ids: list[str], *statuses: str) -> list[dict[str, Any]]:
    """Wait, for two minutes at most, until all have one of the statuses."""
    end = time.monotonic() + 120
    while True:
        jobs = batch.describe_jobs(jobs=ids)["jobs"]
        if [job["jobId"] for job in jobs if job["status"] in statuses] == ids:
            return list(jobs)
        assert time.monotonic() < end, jobs
        time.sleep(0.2)


s3.create_bucket(Bucket=BUCKET)
for index in range(TASKS):
    s3.put_object(Bucket=BUCKET, Key=f"work/{index}/.command.run", Body=f"echo task {index}; exit {7 if index == 1 else 0}".encode())

array = submit("squares", launcher(), arrayProperties={"size": TASKS})
jobs = reached([f"{array}:{index}" for index in range(TASKS)], "SUCCEEDED", "FAILED")
assert [job["status"] for job in jobs] == ["SUCCEEDED", "FAILED", "SUCCEEDED"], jobs
assert [job["container"]["exitCode"] for job in jobs] == [0, 7, 0], jobs
assert [len(job["attempts"]) for job in jobs] == [1, 1, 1], jobs
assert jobs[1]["statusReason"] == "Essential container in task exited", jobs[1]
assert all(job["container"]["taskArn"] for job in jobs), jobs
for index, job in enumerate(jobs):
    saved = s3.get_object(Bucket=BUCKET, Key=f"work/{index}/.command.log")["Body"].read()
    assert saved == f"task {index}\n".encode(), saved
    events = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=job["container"]["logStreamName"])["events"]
    assert [event["message"] for event in events] == [f"task {index}"], events

endless = submit("endless", ["sleep", "600"], arrayProperties={"size": 2})
reached([f"{endless}:0"], "RUNNING")
batch.terminate_job(jobId=endless, reason="Job killed by NF")
for job in reached([f"{endless}:0", f"{endless}:1"], "FAILED"):
    assert job["statusReason"] == "Job killed by NF", job
assert definition() == f"{NAME}:1", "the definition was registered again"
assert Path(".command.log").exists() is False, "a job wrote into the client's directory"
