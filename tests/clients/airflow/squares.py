"""An Airflow DAG of AWS Batch jobs: a compute environment, an array job, a job behind it, a sensor, a deferred job, and a job that fails."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.providers.amazon.aws.operators.batch import BatchCreateComputeEnvironmentOperator, BatchOperator
from airflow.providers.amazon.aws.sensors.batch import BatchComputeEnvironmentSensor, BatchJobQueueSensor, BatchSensor
from airflow.sdk import DAG

# the hook's own way of polling sooner than its 1 to 10 s
BatchClientHook.DEFAULT_DELAY_MIN = 0
BatchClientHook.DEFAULT_DELAY_MAX = 1

PLACE = os.environ["PLACE"]
SQUARE = 'i=$AWS_BATCH_JOB_ARRAY_INDEX; echo "squaring $i"; echo $((i * i)) > $PLACE/square-$i'


def running(*command: str) -> dict[str, object]:
    """The overrides of a container that runs the command."""
    return {"command": list(command), "environment": [{"name": "PLACE", "value": PLACE}]}


with DAG("squares", schedule=None) as dag:
    made = BatchCreateComputeEnvironmentOperator(
        task_id="made",
        compute_environment_name="airflow-made",
        environment_type="MANAGED",
        state="ENABLED",
        compute_resources={"type": "SPOT", "maxvCpus": 2, "subnets": ["subnet-1"], "instanceRole": "any", "instanceTypes": ["optimal"]},
    )
    valid = BatchComputeEnvironmentSensor(task_id="valid", compute_environment="airflow-made", poke_interval=1)
    queue = BatchJobQueueSensor(task_id="queue", job_queue="default", poke_interval=1)
    squares = BatchOperator(
        task_id="squares",
        job_name="airflow-squares",
        job_queue="default",
        job_definition="airflow-shell",
        array_properties={"size": 4},
        container_overrides=running("sh", "-c", SQUARE),
        retry_strategy={"attempts": 2},
        tags={"made-by": "airflow"},
    )
    total = BatchOperator(
        task_id="total",
        job_name="airflow-total",
        job_queue="default",
        job_definition="airflow-shell",
        parameters={"name": "total"},
        container_overrides=running("sh", "-c", 'awk "{ total += \\$1 } END { print total }" $PLACE/square-* | tee "$PLACE/$0"', "Ref::name"),
        awslogs_enabled=True,
        awslogs_fetch_interval=timedelta(seconds=1),
        submit_job_timeout=120,
    )
    seen = BatchSensor(task_id="seen", job_id=str(total.output), poke_interval=1)
    deferred = BatchOperator(
        task_id="deferred",
        job_name="airflow-deferred",
        job_queue="default",
        job_definition="airflow-shell",
        container_overrides=running("sh", "-c", "sleep 1; echo later > $PLACE/deferred"),
        deferrable=True,
        poll_interval=1,
    )
    broken = BatchOperator(
        task_id="broken",
        job_name="airflow-broken",
        job_queue="default",
        job_definition="airflow-shell",
        container_overrides=running("sh", "-c", "touch $PLACE/broken-ran; exit 3"),
    )
    made >> valid >> queue >> squares >> total >> seen >> deferred >> broken
