"""Airflow: a DAG of `BatchOperator` and `BatchSensor` tasks run by `dag.test()`, and `BatchClientHook` by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3

HERE = Path.cwd()
DAGS = HERE / "dags"
os.environ |= {
    "AIRFLOW_HOME": str(HERE / "home"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    "AIRFLOW__AWS_BATCH_EXECUTOR__JOB_NAME": "airflow-executor",
    "AIRFLOW__AWS_BATCH_EXECUTOR__JOB_QUEUE": "default",
    "AIRFLOW__AWS_BATCH_EXECUTOR__JOB_DEFINITION": "airflow-shell",
    "AIRFLOW__AWS_BATCH_EXECUTOR__REGION_NAME": os.environ["AWS_DEFAULT_REGION"],
    "AIRFLOW__AWS_BATCH_EXECUTOR__MAX_SUBMIT_JOB_ATTEMPTS": "1",
    "PLACE": str(HERE),
}
DAGS.mkdir()
shutil.copy(Path(__file__).with_name("squares.py"), DAGS)
sys.path.insert(0, str(DAGS))

batch = boto3.client("batch")
batch.register_job_definition(
    jobDefinitionName="airflow-shell",
    type="container",
    containerProperties={
        "image": "busybox",
        "command": ["true"],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    },
)
migrated = subprocess.run(["airflow", "db", "migrate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
assert migrated.returncode == 0, migrated.stdout

from airflow.models.taskinstancekey import TaskInstanceKey  # noqa: E402 - reads its settings when imported
from airflow.providers.amazon.aws.executors.batch import batch_executor  # noqa: E402
from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook  # noqa: E402
from airflow.providers.common.compat.sdk import AirflowException  # noqa: E402
from squares import dag  # noqa: E402

run = dag.test()
tasks = {task.task_id: task for task in run.get_task_instances()}
states = {name: str(task.state) for name, task in tasks.items()}
assert states.pop("broken") == "failed", states
assert set(states) == {"made", "valid", "queue", "squares", "total", "seen", "deferred"}
assert set(states.values()) == {"success"}, states
assert [(HERE / f"square-{i}").read_text() for i in range(4)] == ["0\n", "1\n", "4\n", "9\n"]
assert (HERE / "total").read_text() == "14\n"
assert (HERE / "deferred").read_text() == "later\n"

[broken] = batch.list_jobs(jobQueue="default", filters=[{"name": "JOB_NAME", "values": ["airflow-broken"]}])["jobSummaryList"]
assert (broken["status"], broken["container"]["exitCode"]) == ("FAILED", 3), broken

hook = BatchClientHook()
job = {name: tasks[name].xcom_pull(task_ids=name) for name in ("squares", "total")}
array = hook.get_job_description(job["squares"])
assert (array["status"], array["arrayProperties"]["size"], array["tags"]) == ("SUCCEEDED", 4, {"made-by": "airflow"}), array
assert hook.check_job_success(job["total"])
[where] = hook.get_job_all_awslogs_info(f"{job['squares']}:2")
assert where["awslogs_group"] == "/aws/batch/job", where
events = boto3.client("logs").get_log_events(logGroupName=where["awslogs_group"], logStreamName=where["awslogs_stream_name"])["events"]
assert [event["message"] for event in events] == ["squaring 2"], events

sleeper = hook.client.submit_job(
    jobName="airflow-sleeper", jobQueue="default", jobDefinition="airflow-shell", containerOverrides={"command": ["sleep", "600"]}
)["jobId"]
hook.poll_for_job_running(sleeper, delay=0)
hook.terminate_job(sleeper, "not needed")
hook.poll_for_job_complete(sleeper, delay=0)
try:
    hook.check_job_success(sleeper)
    said = "that a terminated job is a good one"
except AirflowException as error:
    said = str(error)
assert "not needed" in said, said

# the executor that runs whole Airflow tasks as Batch jobs, here given the words that a job runs
executor = batch_executor.AwsBatchExecutor()
executor.check_health()
keys = {code: TaskInstanceKey(dag_id="any", task_id=f"exit-{code}", run_id="any", try_number=1, map_index=-1) for code in (0, 1)}
for code, key in keys.items():
    executor.execute_async(key=key, command=["sh", "-c", f"exit {code}"], queue=None, executor_config={})
end = time.monotonic() + 120
while (ended := {code: str(executor.event_buffer[key][0]) for code, key in keys.items() if key in executor.event_buffer}) != {0: "success", 1: "failed"}:
    assert time.monotonic() < end, ended
    executor.sync()
    time.sleep(0.2)
