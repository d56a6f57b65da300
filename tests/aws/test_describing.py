"""DescribeJobs: what is shown of jobs, parents and children in every status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.dependencies import Dependency, DependencyType
from spawn.domain.ids import AttemptId
from spawn.domain.jobs import BatchJob, Demand, Job
from spawn.domain.retries import RetryStrategy
from spawn.engine import commands
from spawn.engine.news import Lost, Refused
from spawn.engine.submission import Submission
from tests.aws.serving import Scripted, statuses
from tests.aws.shapes import assert_shape


def described(served: Scripted, *jobs: str) -> list[dict[str, Any]]:
    """What DescribeJobs says, after it was held against the model."""
    answer = served.call("DescribeJobs", jobs=list(jobs))
    assert_shape("batch", "DescribeJobs", answer)
    found: list[dict[str, Any]] = answer["jobs"]
    return found


def launched(served: Scripted, **asked: Any) -> Job:
    """A job of `spawn launch`."""
    submission = Submission(**({"command": ("true",), "workdir": "/"} | asked))
    job: Job = served.do(lambda state: commands.submit(state, submission, ())).job
    return job


def test_jobs_are_answered_in_the_order_of_the_request_each_once_and_without_the_unknown(scripted: Scripted) -> None:
    array, single = scripted.put(3), scripted.put()
    arn = f"arn:aws-cn:batch:cn-north-1:999999999999:job/{array.id}:2"
    asked = [
        single.id,
        "",
        f"{array.id}:2",
        "a" * 32,
        array.id,
        arn,
        f"{array.id}:3",
        f"{single.id}:0",
        f"{array.id}:02",
        "arn:aws:batch:::job-queue/q",
        "x:y:z#0",
    ]
    assert [job["jobId"] for job in described(scripted, *asked)] == [single.id, f"{array.id}:2", array.id]


def test_nothing_is_known_of_nothing(scripted: Scripted) -> None:
    assert described(scripted) == []


def test_more_than_a_hundred_ids_are_refused_in_the_words_of_aws(scripted: Scripted) -> None:
    with pytest.raises(AwsError, match=r"^Error executing request, Exception : Maximum number of jobs supported is  100 \., RequestId: \S+$"):
        scripted.call("DescribeJobs", jobs=["x"] * 101)
    assert described(scripted, *["x"] * 100) == []


def test_arns_are_of_the_region_and_partition_of_the_caller(scripted: Scripted) -> None:
    job = scripted.put()
    (shown,) = scripted.call("DescribeJobs", jobs=[job.id], region="cn-north-1")["jobs"]
    start = "arn:aws-cn:batch:cn-north-1:123456789012"
    assert (shown["jobArn"], shown["jobQueue"], shown["jobDefinition"]) == (
        f"{start}:job/{job.id}",
        f"{start}:job-queue/default",
        f"{start}:job-definition/work:1",
    )


def test_a_job_that_waits_shows_empty_lists_and_neither_start_nor_end(scripted: Scripted) -> None:
    scripted.put(2)
    job = scripted.put(retry=RetryStrategy(attempts=3), timeout=timedelta(seconds=90), tags={"a": "b"})
    (shown,) = described(scripted, job.id)
    assert shown["status"] == "RUNNABLE"
    assert not {"startedAt", "stoppedAt", "statusReason", "arrayProperties", "shareIdentifier"} & shown.keys()
    assert shown["attempts"] == []
    assert shown["dependsOn"] == []
    assert shown["parameters"] == {}
    assert shown["platformCapabilities"] == []
    assert shown["retryStrategy"] == {"attempts": 3, "evaluateOnExit": []}
    assert shown["timeout"] == {"attemptDurationSeconds": 90}
    assert shown["tags"] == {"a": "b"}
    assert shown["propagateTags"] is False
    assert shown["createdAt"] == scripted.clock.now()
    assert {"name": "AWS_BATCH_JOB_ID", "value": job.id} in shown["container"]["environment"]


def test_a_running_job_shows_its_task_and_log_stream_and_no_attempt_yet(scripted: Scripted) -> None:
    job = scripted.put()
    assert described(scripted, job.id)[0]["status"] == "STARTING"
    assert "logStreamName" not in described(scripted, job.id)[0]["container"]
    (attempt,) = scripted.running()
    scripted.begin(attempt)
    (shown,) = described(scripted, job.id)
    assert (shown["status"], shown["startedAt"], shown["attempts"]) == ("RUNNING", scripted.clock.now(), [])
    assert shown["container"]["logStreamName"] == f"work/default/{attempt.task_id}"
    assert shown["container"]["taskArn"] == f"arn:aws:ecs:us-east-1:123456789012:task/local_Batch/{attempt.task_id}"
    assert "exitCode" not in shown["container"]


def test_every_attempt_is_kept_and_the_container_shows_the_latest(scripted: Scripted) -> None:
    job = scripted.put(retry=RetryStrategy(attempts=3))
    for code in (3, 4):
        (attempt,) = scripted.running()
        scripted.begin(attempt)
        scripted.clock.advance(5)
        scripted.end(attempt, code=code)
    (shown,) = described(scripted, job.id)
    assert shown["status"] == "STARTING"
    assert "startedAt" not in shown
    assert "exitCode" not in shown["container"]
    assert [attempt["container"]["exitCode"] for attempt in shown["attempts"]] == [3, 4]
    scripted.finish()
    (shown,) = described(scripted, job.id)
    assert (shown["status"], shown["statusReason"]) == ("SUCCEEDED", "Essential container in task exited")
    assert [attempt["container"]["exitCode"] for attempt in shown["attempts"]] == [3, 4, 0]
    assert [attempt["stoppedAt"] - attempt["startedAt"] for attempt in shown["attempts"]] == [5000, 5000, 10_000]
    assert len({attempt["container"]["logStreamName"] for attempt in shown["attempts"]}) == 3
    assert shown["container"]["logStreamName"] == shown["attempts"][-1]["container"]["logStreamName"]
    assert (shown["container"]["exitCode"], shown["startedAt"], shown["stoppedAt"]) == (
        0,
        shown["attempts"][-1]["startedAt"],
        shown["attempts"][-1]["stoppedAt"],
    )


def test_how_an_attempt_ended_is_said_in_the_words_of_aws(scripted: Scripted) -> None:
    refused, lost, late, oom = scripted.put(), scripted.put(), scripted.put(), scripted.put()
    one, two = scripted.running()
    scripted.tell(Refused(one, scripted.clock.now(), "CannotStartContainerError: no such file"))
    scripted.begin(two)
    scripted.tell(Lost(two, scripted.clock.now()))
    three, four = scripted.running()
    scripted.begin(three, four)
    scripted.end(three, code=None, signal=9, why="timeout")
    scripted.end(four, code=None, signal=9, why="oom")
    shown = {job["jobId"]: job for job in described(scripted, refused.id, lost.id, late.id, oom.id)}
    assert shown[refused.id]["statusReason"] == "Task failed to start"
    assert shown[refused.id]["container"]["reason"] == "CannotStartContainerError: no such file"
    assert "logStreamName" not in shown[refused.id]["attempts"][0]["container"]
    assert shown[lost.id]["attempts"][0]["statusReason"] == f"Host EC2 (instance {two.instance_id}) terminated."
    assert "exitCode" not in shown[lost.id]["container"]
    assert (shown[late.id]["statusReason"], shown[late.id]["container"]["exitCode"]) == ("Job attempt duration exceeded timeout", 137)
    assert shown[oom.id]["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert all(job["stoppedAt"] > 0 and job["status"] == "FAILED" for job in shown.values())


def test_a_parent_counts_its_children_and_runs_nothing_itself(scripted: Scripted) -> None:
    array = scripted.put(5)
    scripted.begin(scripted.running()[0])
    (shown,) = described(scripted, array.id)
    assert (shown["status"], shown["attempts"]) == ("PENDING", [])
    assert shown["container"]
    assert not {"exitCode", "logStreamName"} & shown["container"].keys()
    properties = shown["arrayProperties"]
    assert properties["size"] == 5
    assert "index" not in properties
    assert properties["statusSummary"] == {"SUBMITTED": 0, "PENDING": 0, "RUNNABLE": 3, "STARTING": 1, "RUNNING": 1, "SUCCEEDED": 0, "FAILED": 0}
    scripted.finish({3: 1})
    (shown,) = described(scripted, array.id)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert statuses(scripted, array.id) == {"SUCCEEDED": 4, "FAILED": 1}
    children = described(scripted, *(f"{array.id}:{index}" for index in range(5)))
    assert [child["status"] for child in children] == ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert [child["arrayProperties"] for child in children] == [{"statusSummary": {}, "index": index} for index in range(5)]
    assert shown["startedAt"] == min(child["startedAt"] for child in children)
    assert shown["stoppedAt"] == max(child["stoppedAt"] for child in children)


def test_a_parent_that_succeeded_gives_no_reason(scripted: Scripted) -> None:
    array = scripted.put(2)
    scripted.finish()
    (shown,) = described(scripted, array.id)
    assert shown["status"] == "SUCCEEDED"
    assert "statusReason" not in shown


def test_what_depends_on_a_failed_job_ends_without_running_and_still_has_an_end(scripted: Scripted) -> None:
    first = scripted.put(2)
    after = (Dependency(job=first.id),)
    single, array = scripted.put(depends_on=after), scripted.put(3, depends_on=after)
    assert [job["status"] for job in described(scripted, single.id, array.id, f"{array.id}:1")] == ["PENDING"] * 3
    scripted.finish({1: 7})
    shown = described(scripted, single.id, array.id, f"{array.id}:1")
    assert [(job["status"], job["statusReason"]) for job in shown] == [("FAILED", "Dependent Job failed")] * 3
    assert all(job["stoppedAt"] > 0 and "startedAt" not in job and job["attempts"] == [] for job in shown)
    assert not any(job["isCancelled"] or job["isTerminated"] for job in shown)


def test_dependencies_are_shown_as_submitted_on_a_parent_and_resolved_on_its_children(scripted: Scripted) -> None:
    a, b = scripted.put(3), scripted.put()
    asked = (Dependency(job=a.id, type=DependencyType.N_TO_N), Dependency(job=b.id), Dependency(job=a.id, index=2), Dependency(type=DependencyType.SEQUENTIAL))
    array = scripted.put(3, depends_on=asked)
    parent, zero, two = described(scripted, array.id, f"{array.id}:0", f"{array.id}:2")
    assert parent["dependsOn"] == [{"jobId": a.id, "type": "N_TO_N"}, {"jobId": b.id}, {"jobId": f"{a.id}:2"}, {"type": "SEQUENTIAL"}]
    assert [entry["jobId"] for entry in zero["dependsOn"]] == [b.id, f"{a.id}:2", f"{a.id}:0"]
    assert [entry["jobId"] for entry in two["dependsOn"]] == [b.id, f"{a.id}:2", f"{a.id}:2", f"{array.id}:1"]


def test_a_job_too_large_for_the_host_says_so_while_it_waits(scripted: Scripted) -> None:
    single, array = scripted.put(demand=Demand(cpus=64_000, memory=0)), scripted.put(2, demand=Demand(cpus=64_000, memory=0))
    small = scripted.put()
    one, child, parent, fits = described(scripted, single.id, f"{array.id}:1", array.id, small.id)
    assert one["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert child["statusReason"] == one["statusReason"]
    assert "statusReason" not in parent
    assert "statusReason" not in fits


def test_what_was_submitted_is_shown_again(scripted: Scripted) -> None:
    batch = BatchJob(
        definition="a-name:12",
        container={"command": ["x"], "environment": [{"name": "A", "value": "1"}], "image": "i"},
        parameters={"p": "q"},
        platform_capabilities=("EC2",),
        propagate_tags=True,
        share="team",
        priority=7,
        consumables={"licence": 2},
    )
    (shown,) = described(scripted, scripted.put(batch=batch).id)
    assert shown["jobDefinition"].endswith(":job-definition/a-name:12")
    assert (shown["shareIdentifier"], shown["schedulingPriority"], shown["propagateTags"], shown["platformCapabilities"]) == ("team", 7, True, ["EC2"])
    assert shown["parameters"] == {"p": "q"}
    assert shown["container"]["environment"][0] == {"name": "A", "value": "1"}
    (taken,) = shown["consumableResourceProperties"]["consumableResourceList"]
    assert taken["consumableResource"].endswith("consumable-resource/licence")
    assert taken["quantity"] == 2


def test_a_task_of_ecs_properties_shows_them_with_what_became_of_them(scripted: Scripted) -> None:
    ecs = {"taskProperties": [{"containers": [{"name": "main", "image": "i", "command": ["x"], "environment": []}], "volumes": []}]}
    job = scripted.put(batch=BatchJob(definition="t:1", container={"command": ["x"]}, shown={"ecsProperties": ecs}))
    scripted.finish()
    (shown,) = described(scripted, job.id)
    (task,) = shown["ecsProperties"]["taskProperties"]
    (container,) = task["containers"]
    assert (container["name"], container["exitCode"]) == ("main", 0)
    assert task["taskArn"]
    assert container["logStreamName"].startswith("t/default/")
    (attempt,) = shown["attempts"]
    assert attempt["taskProperties"][0]["containers"][0]["exitCode"] == 0
    assert shown["container"] == {}


def test_jobs_of_spawn_launch_are_described_too_without_the_values_of_their_environment(scripted: Scripted) -> None:
    job = launched(scripted, indexes="10-14:2", env={"SECRET": "s3cret"}, memory_mib=64)
    parent, child = described(scripted, job.id, f"{job.id}:12")
    assert parent["jobDefinition"].endswith("job-definition/launch:1")
    assert parent["arrayProperties"]["size"] == 3
    assert child["arrayProperties"]["index"] == 12
    assert child["container"]["command"] == ["true"]
    assert {"type": "MEMORY", "value": "64"} in child["container"]["resourceRequirements"]
    assert "s3cret" not in repr((parent, child))
    assert described(scripted, f"{job.id}:11") == []


def test_a_new_engine_shows_the_same(scripted: Scripted) -> None:
    array = scripted.put(4, retry=RetryStrategy(attempts=2))
    scripted.begin(*scripted.running())
    scripted.end(scripted.running()[0], code=1)
    ids = [array.id, *(f"{array.id}:{index}" for index in range(4))]
    before = described(scripted, *ids)
    scripted.restart()
    assert described(scripted, *ids) == before


def test_boto3_reads_the_answer_over_http(scripted: Scripted) -> None:
    array = scripted.put(2)
    (job,) = scripted.batch.describe_jobs(jobs=[f"{array.id}:1"])["jobs"]
    assert job["jobId"] == f"{array.id}:1"
    with pytest.raises(scripted.batch.exceptions.ClientException, match="Maximum number of jobs supported is  100 "):
        scripted.batch.describe_jobs(jobs=["x"] * 101)


def test_the_attempt_of_a_child_is_found_by_its_task_id(scripted: Scripted) -> None:
    array = scripted.put(2)
    scripted.finish()
    (child,) = described(scripted, f"{array.id}:1")
    assert AttemptId.of_task(child["container"]["taskArn"].rpartition("/")[2]) == AttemptId(array.key, 1, 1)
