"""redun: `redun run` of a workflow on its `aws_batch` executor: an array job, a single job behind it, and a failing job."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import boto3

HERE = Path.cwd()
BUCKET = "redun-scratch"
SIZE = 5  # fewer jobs of a kind are submitted one by one

# what a job needs to find redun and the S3 that the scratch files are in; on AWS the image and the job's role bring it
IN_THE_JOB = ("PATH", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


def configure() -> None:
    """Lay out a redun project in the working directory."""
    shutil.copy(Path(__file__).with_name("workflow.py"), HERE)
    environment = [{"name": name, "value": os.environ[name]} for name in IN_THE_JOB]
    (HERE / ".redun").mkdir()
    (HERE / ".redun" / "redun.ini").write_text(
        f"""
[backend]
db_uri = sqlite:///{HERE}/redun.db

[executors.batch]
type = aws_batch
image = redun-tasks
queue = default
s3_scratch = s3://{BUCKET}/
aws_region = {os.environ["AWS_DEFAULT_REGION"]}
role = none
vcpus = 1
memory = 1
job_monitor_interval = 0.5
job_stale_time = 4.0
job_def_extra = {json.dumps({"containerProperties": {"environment": environment}})}
"""
    )


def redun(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the redun command."""
    return subprocess.run(["redun", *words], capture_output=True, text=True, check=False)


boto3.client("s3").create_bucket(Bucket=BUCKET)
batch = boto3.client("batch")
configure()

run = redun("run", "workflow.py", "main", "--n", str(SIZE))
assert run.returncode == 0, run.stdout + run.stderr
result = ast.literal_eval(run.stdout)
assert [(each["x"], each["square"]) for each in result["squares"]] == [(x, x * x) for x in range(SIZE)], result
parents = {each["job"].split(":")[0] for each in result["squares"]}
assert len(parents) == 1, result
[array] = parents
assert sorted(each["job"] for each in result["squares"]) == [f"{array}:{index}" for index in range(SIZE)], result
assert all(each["job"] == f"{array}:{each['index']}" for each in result["squares"]), result
assert (result["total"]["total"], ":" in result["total"]["job"]) == (sum(x * x for x in range(SIZE)), False), result

[parent, single] = batch.describe_jobs(jobs=[array, result["total"]["job"]])["jobs"]
assert (parent["status"], parent["arrayProperties"]["size"]) == ("SUCCEEDED", SIZE), parent
assert parent["tags"]["redun_task_name"] == "spawn_clients.square", parent
assert {"type": "MEMORY", "value": "2048"} in single["container"]["resourceRequirements"], single

failed = redun("run", "workflow.py", "broken", "--path", "/no/such/file")
assert failed.returncode != 0, failed.stdout
assert "No such file or directory: '/no/such/file'" in failed.stderr, failed.stderr
assert "looking for /no/such/file" in failed.stderr, "redun did not show the job's log: " + failed.stderr

# redun looks for a definition equal to the one it would register; it finds its own again
definitions = batch.describe_job_definitions(jobDefinitionName="redun-tasks-redun-jd")["jobDefinitions"]
assert [definition["revision"] for definition in definitions] == [1], definitions
