"""Metaflow: `flow.py run` with a foreach of `@batch` steps, its data in S3, and what Metaflow's own client then knows of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3

HERE = Path.cwd()
BUCKET = "metaflow-data"

os.environ |= {
    "METAFLOW_DEFAULT_DATASTORE": "s3",
    "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{BUCKET}/metaflow",
    "METAFLOW_DATATOOLS_S3ROOT": f"s3://{BUCKET}/data",
    "METAFLOW_S3_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
    "METAFLOW_DEFAULT_METADATA": "local",
    "METAFLOW_BATCH_JOB_QUEUE": "default",
    "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": "arn:aws:iam::123456789012:role/metaflow",
    "METAFLOW_USER": "somebody",
    "METAFLOW_CLIENT_CACHE_PATH": str(HERE / "cache"),  # else in /tmp, where another user's may be
}


def flow(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the flow's own command line."""
    return subprocess.run([sys.executable, "flow.py", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


boto3.client("s3").create_bucket(Bucket=BUCKET)
shutil.copy(Path(__file__).with_name("flow.py"), HERE)

ran = flow("run")
assert ran.returncode == 0, ran.stdout
assert "squaring 4" in ran.stdout, "Metaflow did not show the job's log: " + ran.stdout
assert "not at the first attempt" in ran.stdout, ran.stdout

from metaflow import Flow, namespace  # noqa: E402 - reads its settings when imported

namespace(None)
run = Flow("Squares").latest_run
assert run.successful, ran.stdout
data = run["join"].task.data
assert data.squares == [4, 9, 16], data.squares
metadata = [task.metadata_dict for task in run["square"]]
assert sorted(each["aws-batch-job-id"] for each in metadata) == sorted(data.jobs), metadata
assert {(each["aws-batch-jq-name"], each["aws-batch-job-attempt"]) for each in metadata} == {("default", "1")}, metadata

batch = boto3.client("batch")
jobs = batch.describe_jobs(jobs=data.jobs)["jobs"]
assert [job["status"] for job in jobs] == ["SUCCEEDED"] * 3, jobs
assert {job["parameters"]["metaflow.step_name"] for job in jobs} == {"square"}, jobs

listed = flow("batch", "list", "--run-id", run.id)
assert "No running AWS Batch jobs found." in listed.stdout, listed.stdout
