"""A compute environment that runs containers, from boto3 to podman and back."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.spored.containing import IMAGE, left_of, need_podman
from tests.system.conftest import Shell, eventually

Json = dict[str, Any]
Submit = Callable[..., str]


@pytest.fixture
def batch(shell: Shell) -> Iterator[Any]:
    """A client of an engine with a queue `boxes`, whose environment runs containers; afterwards no container may be left."""
    need_podman()
    import boto3

    shell("serve", "--detach", "--port", "0")
    exports = dict(word.split("=", 1) for line in shell("serve", "--print-env").lines for word in shlex.split(line) if "=" in word)
    client = boto3.client(
        "batch",
        endpoint_url=exports["AWS_ENDPOINT_URL_BATCH"],
        region_name=exports["AWS_DEFAULT_REGION"],
        aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
    )
    resources = {"type": "EC2", "minvCpus": 0, "maxvCpus": 4, "subnets": ["subnet-1"], "instanceRole": "role", "instanceTypes": ["optimal"]}
    tags = {"spawn:runtime": "podman"}
    client.create_compute_environment(computeEnvironmentName="engine", type="MANAGED", computeResources=resources, tags=tags)
    client.create_job_queue(jobQueueName="boxes", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "engine"}])
    yield client
    shell("engine", "stop", "--terminate", "--yes")
    client.close()
    assert left(shell) == []


def left(shell: Shell) -> list[str]:
    """What there is of the containers of this user's arrays, whose directories are named ID.KEY."""
    return left_of(path.name.rpartition(".")[2] for path in (shell.state / "arrays").iterdir())


def submit(batch: Any, *command: str, size: int | None = None, timeout: int | None = None, **properties: Any) -> str:
    """Submit a job of a definition of its own; its id."""
    requirements = [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}]
    container = {"image": IMAGE, "command": list(command), "resourceRequirements": requirements, **properties}
    batch.register_job_definition(jobDefinitionName="box", type="container", containerProperties=container)
    more: Json = {} if size is None else {"arrayProperties": {"size": size}}
    if timeout is not None:
        more["timeout"] = {"attemptDurationSeconds": timeout}
    job_id: str = batch.submit_job(jobName="job", jobQueue="boxes", jobDefinition="box", **more)["jobId"]
    return job_id


def described(batch: Any, job_id: str) -> Json:
    """The job now."""
    job: Json = batch.describe_jobs(jobs=[job_id])["jobs"][0]
    return job


def settled(batch: Any, job_id: str) -> Json:
    """The job once it has settled."""
    eventually(lambda: described(batch, job_id)["status"] in ("SUCCEEDED", "FAILED"))
    return described(batch, job_id)


def test_an_array_of_twenty_containers_each_told_its_index(batch: Any, shell: Shell) -> None:
    script = "echo $AWS_BATCH_JOB_ID $AWS_BATCH_JQ_NAME $AWS_BATCH_CE_NAME $AWS_EXECUTION_ENV $WHO; id -u; [ $AWS_BATCH_JOB_ARRAY_INDEX != 13 ]"
    parent = submit(batch, "/bin/sh", "-c", script, size=20, user="worker", environment=[{"name": "WHO", "value": "a b"}])
    job = settled(batch, parent)
    assert job["status"] == "FAILED"
    assert {status: count for status, count in job["arrayProperties"]["statusSummary"].items() if count} == {"SUCCEEDED": 19, "FAILED": 1}
    child = described(batch, f"{parent}:13")
    assert (child["container"]["exitCode"], child["statusReason"]) == (1, "Essential container in task exited")
    assert shell("logs", f"{parent}:7").out == f"{parent}:7 boxes engine AWS_ECS_EC2 a b\n1000\n"


def test_the_image_may_bring_the_command(batch: Any, shell: Shell) -> None:
    job = settled(batch, submit(batch))
    assert (job["status"], job["container"]["exitCode"]) == ("SUCCEEDED", 0)
    assert shell("logs", job["jobId"]).out == "the image's own command\n"


def test_an_out_of_memory_kill_is_told_as_on_aws(batch: Any) -> None:
    job = settled(batch, submit(batch, "/bin/sh", "-c", "x=a; while :; do x=$x$x; done"))
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 137)
    assert job["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"image": "127.0.0.1:9/nothing:1"}, "CannotPullContainerError: "),
        ({"command": ["/no/such"]}, "CannotStartContainerError: "),
        ({"secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/x"}]}, "CannotCreateContainerError: secrets: "),
    ],
)
def test_what_cannot_start_has_a_task_that_failed_to_start(batch: Any, properties: Json, reason: str) -> None:
    job = settled(batch, submit(batch, **properties))
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["attempts"][0]["container"]["reason"].startswith(reason)
    assert "exitCode" not in job["attempts"][0]["container"]


def test_a_job_is_terminated_wherever_it_is(batch: Any) -> None:
    patient = ("/bin/sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done")
    running, starting = submit(batch, *patient), submit(batch, *patient)
    eventually(lambda: described(batch, starting)["status"] in ("STARTING", "RUNNING"))
    batch.terminate_job(jobId=starting, reason="no more")
    eventually(lambda: described(batch, running)["status"] == "RUNNING")
    batch.terminate_job(jobId=running, reason="enough")
    for job_id, reason in ((starting, "no more"), (running, "enough")):
        job = settled(batch, job_id)
        assert (job["status"], job["statusReason"]) == ("FAILED", reason)


def test_files_of_the_host_come_and_go_through_volumes(batch: Any, shell: Shell) -> None:
    data = Path(shell.cwd) / "data"
    volumes = [{"name": "data", "host": {"sourcePath": str(data)}}]
    points = [{"sourceVolume": "data", "containerPath": "/data"}]
    parent = submit(batch, "/bin/sh", "-c", "touch /data/$AWS_BATCH_JOB_ARRAY_INDEX", size=3, volumes=volumes, mountPoints=points)
    assert settled(batch, parent)["status"] == "SUCCEEDED"
    assert sorted(path.name for path in data.iterdir()) == ["0", "1", "2"]


def test_nothing_is_left_of_containers_after_a_crash_of_the_runner(batch: Any, shell: Shell) -> None:
    parent = submit(batch, "/bin/sleep", "300", size=2)
    eventually(lambda: described(batch, parent)["arrayProperties"]["statusSummary"].get("RUNNING") == 2)
    shell.kill(int((shell.state / "runner/runner.lock").read_text()))
    job = settled(batch, parent)
    assert job["status"] == "FAILED"
    assert described(batch, f"{parent}:0")["attempts"][0]["statusReason"].startswith("Host EC2")
    assert left(shell) == []
