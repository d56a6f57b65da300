"""The workflow of AWS Batch's array job guide, JobA to JobE: smaller than printed.

Its whole size is run by `make bench ARGS=workflow`, by both clients.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Shell, eventually

SIZE = 10_000
BAD = 471

# as the guide has them, but for the ids of the jobs before, and the commas that it has one too few or too many of
JOBS = """
{ "jobName": "JobA", "jobQueue": "ProdQueue", "jobDefinition": "JobA-list-and-validate:1" }
{ "jobName": "JobB", "jobQueue": "ProdQueue", "jobDefinition": "JobB-CPU-Intensive-Processing:1", "containerOverrides": { "vcpus": 32, "memory": 4096 }, \
"arrayProperties": { "size": 10000 }, "dependsOn": [ { "jobId": "JobA_job_ID" } ] }
{ "jobName": "JobC", "jobQueue": "ProdQueue", "jobDefinition": "JobC-Memory-Intensive-Processing:1", "containerOverrides": { "vcpus": 1, "memory": 32768 }, \
"arrayProperties": { "size": 10000 }, "dependsOn": [ { "jobId": "JobB_job_ID", "type": "N_TO_N" } ] }
{ "jobName": "JobD", "jobQueue": "ProdQueue", "jobDefinition": "JobD-Sequential-Validation:1", "containerOverrides": { "vcpus": 1, "memory": 32768 }, \
"arrayProperties": { "size": 10 }, "dependsOn": [ { "jobId": "JobC_job_ID" }, { "type": "SEQUENTIAL" } ] }
{ "jobName": "JobE", "jobQueue": "ProdQueue", "jobDefinition": "JobE-Cleanup-and-Notification:1", \
"parameters": { "SourceBucket": "s3://JobD-Output-Bucket", "Recipient": "" }, "dependsOn": [ { "jobId": "JobD_job_ID" } ] }
"""

Json = dict[str, Any]
Call = Callable[[str, Json], Json]


def exports(shell: Shell) -> dict[str, str]:
    """What a shell knows after `eval "$(spawn serve --print-env)"`."""
    shell("serve", "--detach", "--port", "0")
    lines = shell("serve", "--print-env").lines
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line) if "=" in word)


def boto3_call(environment: dict[str, str]) -> Call:
    """Calls by boto3."""
    import boto3

    client = boto3.client(
        "batch",
        endpoint_url=environment["AWS_ENDPOINT_URL_BATCH"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    return lambda operation, document: getattr(client, operation.replace("-", "_"))(**document)


def aws_call(environment: dict[str, str]) -> Call:
    """Calls by the aws command line, documents as `--cli-input-json`."""
    program = Path(sys.executable).with_name("aws")

    def call(operation: str, document: Json) -> Json:
        command = [str(program), "batch", operation, "--cli-input-json", json.dumps(document), "--output", "json"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert run.returncode == 0, run.stderr
        answer: Json = json.loads(run.stdout or "{}")
        return answer

    return call


def prepare(call: Call, bad: Path) -> None:
    """The queue and the five definitions; the children of JobB fail at the index that stands in a file."""
    call("create-job-queue", {"jobQueueName": "ProdQueue", "priority": 1, "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "local"}]})
    fails = f'read bad <{shlex.quote(str(bad))}; [ "$AWS_BATCH_JOB_ARRAY_INDEX" != "$bad" ]'
    commands = {
        "JobA-list-and-validate": ["/bin/true"],
        "JobB-CPU-Intensive-Processing": ["sh", "-c", fails],
        "JobC-Memory-Intensive-Processing": ["/bin/true"],
        "JobD-Sequential-Validation": ["/bin/true"],
        "JobE-Cleanup-and-Notification": ["sh", "-c", "echo Ref::SourceBucket 'Ref::Recipient' done"],
    }
    for name, command in commands.items():
        requirements = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]
        properties = {"image": "busybox", "command": command, "resourceRequirements": requirements}
        answer = call("register-job-definition", {"jobDefinitionName": name, "type": "container", "containerProperties": properties})
        assert answer["revision"] == 1


def submit(call: Call, size: int) -> dict[str, str]:
    """Submit the five jobs, with so many children in JobB and JobC; their ids by name."""
    ids: dict[str, str] = {}
    for line in JOBS.replace(str(SIZE), str(size)).strip().splitlines():
        for name, job_id in ids.items():
            line = line.replace(f"{name}_job_ID", job_id)
        answer = call("submit-job", json.loads(line))
        ids[answer["jobName"]] = answer["jobId"]
    return ids


def described(call: Call, *ids: str) -> list[Json]:
    """The jobs of these ids, in this order."""
    found: list[Json] = call("describe-jobs", {"jobs": list(ids)})["jobs"]
    assert [job["jobId"] for job in found] == list(ids)
    return found


def run_to_the_end(look: Call, ids: dict[str, str]) -> dict[str, Json]:
    """Each job by name, once JobE and all others have settled."""
    eventually(lambda: all(job["status"] in ("SUCCEEDED", "FAILED") for job in described(look, *ids.values())), within_s=240, every_s=0.25)
    return dict(zip(ids, described(look, *ids.values()), strict=True))


@pytest.mark.parametrize(("client", "size"), [(boto3_call, SIZE // 10), (aws_call, SIZE // 4)], ids=["boto3", "aws"])
def test_the_workflow_of_the_guide_runs_as_it_stands_there(shell: Shell, client: Callable[[dict[str, str]], Call], size: int) -> None:
    environment = shell.environment | exports(shell)
    call, look = client(environment), boto3_call(environment)
    bad = shell.home / "bad"
    bad.write_text("none\n")
    prepare(call, bad)

    jobs = run_to_the_end(look, submit(call, size))
    assert {name: job["status"] for name, job in jobs.items()} == dict.fromkeys(jobs, "SUCCEEDED")
    assert [jobs[name]["arrayProperties"]["statusSummary"]["SUCCEEDED"] for name in ("JobB", "JobC", "JobD")] == [size, size, 10]

    bad.write_text(f"{BAD}\n")
    size = min(size, SIZE // 10)
    ids = submit(call, size)
    jobs = run_to_the_end(look, ids)
    assert {name: (job["status"], job.get("statusReason")) for name, job in jobs.items() if name != "JobA"} == {
        "JobB": ("FAILED", "Array Child Job failed"),
        "JobC": ("FAILED", "Array Child Job failed"),
        "JobD": ("FAILED", "Dependent Job failed"),
        "JobE": ("FAILED", "Dependent Job failed"),
    }
    for name in ("JobB", "JobC"):
        summary = jobs[name]["arrayProperties"]["statusSummary"]
        assert (summary["SUCCEEDED"], summary["FAILED"]) == (size - 1, 1)
    failed_b, failed_c = described(look, f"{ids['JobB']}:{BAD}", f"{ids['JobC']}:{BAD}")
    assert (failed_b["status"], failed_b["statusReason"], failed_b["container"]["exitCode"]) == ("FAILED", "Essential container in task exited", 1)
    assert (failed_c["status"], failed_c["statusReason"], failed_c["attempts"]) == ("FAILED", "Dependent Job failed", [])
    assert failed_c["stoppedAt"] > 0
