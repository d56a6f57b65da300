"""Snakemake with `--executor aws-batch` and its files in S3: two rules, one needing the other; one that fails; and Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3

HERE = Path.cwd()
BUCKET = "snakemake-files"
ROLE = "arn:aws:iam::123456789012:role/snakemake"

# what a job needs to find Snakemake and S3; on AWS the image and the job's role bring it
IN_THE_JOB = ["PATH", "HOME", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"]
# in every job the plugin installs the storage plugin with pip: without its dependencies, which are there already
os.environ["PIP_NO_DEPS"] = "1"
IN_THE_JOB += sorted(name for name in os.environ if name.startswith("PIP_"))


def command(target: str) -> list[str]:
    """Make the target on the default queue, with its files in the bucket."""
    words = ["snakemake", target, "--jobs", "2", "--executor", "aws-batch", "--container-image", "snakemake/snakemake:latest"]
    words += ["--aws-batch-region", os.environ["AWS_DEFAULT_REGION"], "--aws-batch-job-queue", "default", "--aws-batch-job-role", ROLE]
    words += ["--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/run"]
    return [*words, "--seconds-between-status-checks", "1", "--envvars", *IN_THE_JOB]


def snakemake(target: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(command(target), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def jobs_of(rule: str, *, size: int, status: str = "") -> list[dict[str, Any]]:
    """The jobs of a rule, once there are as many with that status; two minutes at most."""
    end = time.monotonic() + 120
    while True:
        listed = batch.list_jobs(jobQueue="default", filters=[{"name": "JOB_NAME", "values": [f"snakejob-{rule}-*"]}])["jobSummaryList"]
        if len([job for job in listed if job["status"].startswith(status)]) == size:
            return list(listed)
        assert time.monotonic() < end, listed
        time.sleep(0.5)


s3 = boto3.client("s3")
batch = boto3.client("batch")
s3.create_bucket(Bucket=BUCKET)
shutil.copy(Path(__file__).with_name("Snakefile"), HERE)

run = snakemake("total.txt")
assert run.returncode == 0, run.stdout
assert s3.get_object(Bucket=BUCKET, Key="run/total.txt")["Body"].read() == b"25\n"
assert s3.get_object(Bucket=BUCKET, Key="run/squares/4.txt")["Body"].read() == b"16\n"

jobs = jobs_of("square", size=2) + jobs_of("total", size=1)
# the plugin terminates every job that it saw end, which must not touch it, and deregisters its definition
assert {(job["status"], job["statusReason"]) for job in jobs} == {("SUCCEEDED", "Essential container in task exited")}, jobs
definitions = batch.describe_job_definitions(jobDefinitions=[job["jobDefinition"] for job in jobs])["jobDefinitions"]
assert [definition["status"] for definition in definitions] == ["INACTIVE"] * 3, definitions

failed = snakemake("broken.txt")
assert failed.returncode != 0, failed.stdout
assert "AWS Batch job failed. Code: 1" in failed.stdout, failed.stdout

# Ctrl-C: Snakemake terminates what runs
endless = subprocess.Popen(command("endless.txt"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
jobs_of("endless", size=1, status="RUNNING")
endless.send_signal(signal.SIGINT)
said, _ = endless.communicate(timeout=60)
assert endless.returncode != 0, said
[ended] = jobs_of("endless", size=1, status="FAILED")
assert ended["statusReason"] == "terminated by snakemake", ended
