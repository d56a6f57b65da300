"""The workflow A to E of AWS Batch's array job guide, 10,000 children in B and in C, by boto3 and by the aws command line, against xargs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engine import PrivateEngine
from benchmarks.figures import Figure, interleaved, median, timed

AT_ONCE = 2
GOAL = 1.5

BOTO3 = "boto3"
AWS = "aws batch submit-job"
BARE = "xargs"

Call = Callable[[str, dict[str, Any]], dict[str, Any]]


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """Seconds from the first SubmitJob until JobE has SUCCEEDED, and the same number of processes started by xargs."""
    size = 1_000 if quick else 10_000
    count = 2 * size + 12
    with tempfile.TemporaryDirectory(prefix="spawn-bench.") as directory, PrivateEngine() as engine:
        numbers = Path(directory) / "numbers"
        numbers.write_text("".join(f"{number}\n" for number in range(count)))
        environment = {**os.environ, **engine.serve()}
        call = _boto3(environment)
        _prepare(call)
        contestants: dict[str, Callable[[], float]] = {
            BOTO3: lambda: _workflow(call, call, size),
            BARE: lambda: timed(["xargs", f"-P{AT_ONCE}", "-n1", "/bin/true"], stdin=numbers),
        }
        if shutil.which("aws", path=str(Path(sys.executable).parent)):
            contestants[AWS] = lambda: _workflow(_aws(environment), call, size)
        medians = {name: median(times) for name, times in interleaved(contestants, rounds).items()}
    lines = [
        Figure(what=f"JobA to JobE, {size:,} children in JobB and in JobC, by {name}", command="", value=f"{medians[name]:.2f} s")
        for name in medians
        if name != BARE
    ]
    lines.append(Figure(what=f"{count:,} × /bin/true, bare", command=f"seq {count} | xargs -P{AT_ONCE} -n1 /bin/true", value=f"{medians[BARE]:.2f} s"))
    for name in (BOTO3, AWS):
        if name in medians:
            ratio = medians[name] / medians[BARE]
            lines.append(Figure(what=f"by {name} ÷ bare", command="", value=f"{ratio:.2f}", goal=f"≤ {GOAL}", met=ratio <= GOAL))
    return lines


def _boto3(environment: dict[str, str]) -> Call:
    import boto3

    client = boto3.client(
        "batch",
        endpoint_url=environment["AWS_ENDPOINT_URL_BATCH"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    return lambda operation, document: getattr(client, operation)(**document)


def _aws(environment: dict[str, str]) -> Call:
    program = str(Path(sys.executable).with_name("aws"))

    def call(operation: str, document: dict[str, Any]) -> dict[str, Any]:
        command = [program, "batch", operation.replace("_", "-"), "--cli-input-json", json.dumps(document)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"benchmark: aws batch {operation}: {run.stderr.strip()}")
        answer: dict[str, Any] = json.loads(run.stdout)
        return answer

    return call


def _prepare(call: Call) -> None:
    call("create_job_queue", {"jobQueueName": "ProdQueue", "priority": 1, "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "local"}]})
    names = (
        "JobA-list-and-validate",
        "JobB-CPU-Intensive-Processing",
        "JobC-Memory-Intensive-Processing",
        "JobD-Sequential-Validation",
        "JobE-Cleanup-and-Notification",
    )
    for name in names:
        properties = {"image": "none", "command": ["/bin/true"], "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]}
        call("register_job_definition", {"jobDefinitionName": name, "type": "container", "containerProperties": properties})


def _workflow(submit: Call, look: Call, size: int) -> float:
    """Seconds from JobA's createdAt to JobE's stoppedAt."""

    def job(name: str, definition: str, **more: object) -> str:
        found: str = submit("submit_job", {"jobName": name, "jobQueue": "ProdQueue", "jobDefinition": f"{definition}:1", **more})["jobId"]
        return found

    a = job("JobA", "JobA-list-and-validate")
    overrides = {"vcpus": 1, "memory": 64}
    b = job("JobB", "JobB-CPU-Intensive-Processing", containerOverrides=overrides, arrayProperties={"size": size}, dependsOn=[{"jobId": a}])
    c = job(
        "JobC", "JobC-Memory-Intensive-Processing", containerOverrides=overrides, arrayProperties={"size": size}, dependsOn=[{"jobId": b, "type": "N_TO_N"}]
    )
    d = job("JobD", "JobD-Sequential-Validation", containerOverrides=overrides, arrayProperties={"size": 10}, dependsOn=[{"jobId": c}, {"type": "SEQUENTIAL"}])
    e = job("JobE", "JobE-Cleanup-and-Notification", dependsOn=[{"jobId": d}])
    while (last := look("describe_jobs", {"jobs": [e]})["jobs"][0])["status"] not in ("SUCCEEDED", "FAILED"):
        time.sleep(0.1)
    if last["status"] != "SUCCEEDED":
        sys.exit(f"benchmark: JobE is {last['status']}")
    created: int = look("describe_jobs", {"jobs": [a]})["jobs"][0]["createdAt"]
    stopped: int = last["stoppedAt"]
    return (stopped - created) / 1000
