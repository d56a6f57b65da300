"""CancelJob and TerminateJob: every cell of the table in AWS's guide, one by one, in bulk, and on real processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.dependencies import Dependency
from spawn.domain.jobs import Job
from spawn.domain.retries import RetryStrategy
from spawn.engine.news import Dropped
from tests.aws.serving import Local, Scripted, statuses
from tests.aws.shapes import assert_shape
from tests.system.conftest import eventually

BOTH = pytest.mark.parametrize("operation", ["CancelJob", "TerminateJob"])


def stop(served: Scripted | Local, operation: str, job: str, reason: str = "enough") -> None:
    """Stop a job, and see that nothing is answered."""
    assert served.call(operation, jobId=job, reason=reason) == {}
    served.do(lambda _: None)


def flags(shown: dict[str, Any]) -> tuple[str, str | None, bool, bool]:
    """Status, reason, isCancelled and isTerminated."""
    return shown["status"], shown.get("statusReason"), shown["isCancelled"], shown["isTerminated"]


def full(served: Scripted) -> list[Job]:
    """Jobs that fill the two slots there are."""
    return [served.put(name="filler"), served.put(name="filler")]


# --- single jobs, by status -------------------------------------------------------------------------------------------


@BOTH
def test_a_runnable_job_fails_with_the_reason(scripted: Scripted, operation: str) -> None:
    full(scripted)
    job = scripted.put()
    stop(scripted, operation, job.id, "wrong input")
    cancelled = operation == "CancelJob"
    assert flags(scripted.describe(job.id)) == ("FAILED", "wrong input", cancelled, not cancelled)
    scripted.finish()
    assert all(attempt.key != job.key for attempt in scripted.provider.started)


def test_a_cancelled_pending_job_fails_once_its_dependencies_have_ended(scripted: Scripted) -> None:
    first = scripted.put()
    job = scripted.put(depends_on=(Dependency(job=first.id),))
    dependent = scripted.put(depends_on=(Dependency(job=job.id),))
    stop(scripted, "CancelJob", job.id)
    assert flags(scripted.describe(job.id)) == ("PENDING", "enough", True, False)
    scripted.finish()
    assert flags(scripted.describe(job.id)) == ("FAILED", "enough", True, False)
    assert flags(scripted.describe(dependent.id)) == ("FAILED", "Dependent Job failed", False, False)


def test_a_terminated_pending_job_fails_at_once(scripted: Scripted) -> None:
    first = scripted.put()
    job = scripted.put(depends_on=(Dependency(job=first.id),))
    stop(scripted, "TerminateJob", job.id)
    assert flags(scripted.describe(job.id)) == ("FAILED", "enough", False, True)
    assert scripted.status(first.id) == "STARTING"


@pytest.mark.parametrize("begun", [False, True])
def test_cancelling_has_no_effect_on_a_job_that_starts_or_runs(scripted: Scripted, begun: bool) -> None:
    job = scripted.put(retry=RetryStrategy(attempts=2))
    (attempt,) = scripted.running()
    if begun:
        scripted.begin(attempt)
    before = scripted.describe(job.id)
    stop(scripted, "CancelJob", job.id)
    assert scripted.describe(job.id) == before
    assert scripted.provider.dropped == []
    assert scripted.provider.stopped == []
    scripted.end(attempt, code=1)
    assert scripted.status(job.id) == "STARTING"  # its second attempt


@pytest.mark.parametrize("begun", [False, True])
def test_terminating_stops_a_job_that_starts_or_runs_and_it_is_not_retried(scripted: Scripted, begun: bool) -> None:
    job = scripted.put(retry=RetryStrategy(attempts=2))
    (attempt,) = scripted.running()
    if begun:
        scripted.begin(attempt)
    stop(scripted, "TerminateJob", job.id, "no more")
    assert scripted.provider.stopped == [attempt]
    assert flags(scripted.describe(job.id)) == ("RUNNING" if begun else "STARTING", "no more", False, True)
    if begun:
        scripted.end(attempt, code=None, signal=15, why="stopped")
    else:
        scripted.tell(Dropped(attempt, scripted.clock.now()))
    shown = scripted.describe(job.id)
    assert flags(shown) == ("FAILED", "no more", False, True)
    assert shown["stoppedAt"] > 0
    assert [attempt["container"]["exitCode"] for attempt in shown["attempts"]] == ([143] if begun else [])


@BOTH
@pytest.mark.parametrize("code", [0, 3])
def test_a_job_that_has_ended_stays_as_it_is(scripted: Scripted, operation: str, code: int) -> None:
    job, array = scripted.put(), scripted.put(2)
    scripted.finish({0: code})
    before = scripted.call("DescribeJobs", jobs=[job.id, array.id, f"{array.id}:0"])
    for one in (job.id, array.id, f"{array.id}:0"):
        stop(scripted, operation, one)
    assert scripted.call("DescribeJobs", jobs=[job.id, array.id, f"{array.id}:0"]) == before


@BOTH
def test_what_is_unknown_is_no_error(scripted: Scripted, operation: str) -> None:
    array = scripted.put(2)
    for unknown in ("a" * 32, f"{array.id}:2", f"{array.id}:x", "?", "arn:aws:batch:us-east-1:123456789012:job/none"):
        stop(scripted, operation, unknown)
    assert scripted.status(array.id) == "PENDING"


@BOTH
def test_arns_are_taken_and_those_of_other_things_refused(scripted: Scripted, operation: str) -> None:
    full(scripted)
    array = scripted.put(2)
    stop(scripted, operation, f"arn:aws:batch:eu-west-1:1:job/{array.id}:1")
    assert [scripted.status(f"{array.id}:{index}") for index in (0, 1)] == ["RUNNABLE", "FAILED"]
    with pytest.raises(AwsError, match="job-queue/q' is not the ARN of a job"):
        scripted.call(operation, jobId="arn:aws:batch:us-east-1:123456789012:job-queue/q", reason="x")


@BOTH
@pytest.mark.parametrize(("job", "reason", "why"), [("", "x", "jobId: it is empty"), ("x", "", "reason: it is empty"), ("x", "y" * 1025, "1025 characters")])
def test_an_empty_id_and_an_empty_or_long_reason_are_refused(scripted: Scripted, operation: str, job: str, reason: str, why: str) -> None:
    with pytest.raises(AwsError, match=why) as caught:
        scripted.call(operation, jobId=job, reason=reason)
    assert caught.value.code == "ClientException"
    assert scripted.call(operation, jobId="x", reason="y" * 1024) == {}


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_cancelling_an_array_leaves_what_runs_and_its_parent_fails_with_the_reason_at_the_end(scripted: Scripted) -> None:
    array = scripted.put(5)
    one, two = scripted.running()
    scripted.begin(one)
    stop(scripted, "CancelJob", array.id, "too slow")
    assert statuses(scripted, array.id) == {"STARTING": 1, "RUNNING": 1, "FAILED": 3}
    assert flags(scripted.describe(array.id)) == ("PENDING", "too slow", True, False)
    assert flags(scripted.describe(f"{array.id}:4")) == ("FAILED", "too slow", True, False)
    scripted.end(one)
    scripted.begin(two)
    scripted.end(two)
    assert statuses(scripted, array.id) == {"SUCCEEDED": 2, "FAILED": 3}
    assert flags(scripted.describe(array.id)) == ("FAILED", "too slow", True, False)
    assert flags(scripted.describe(f"{array.id}:0")) == ("SUCCEEDED", "Essential container in task exited", False, False)


def test_cancelling_an_array_of_which_all_have_started_changes_nothing(scripted: Scripted) -> None:
    array = scripted.put(2)
    scripted.begin(*scripted.running())
    stop(scripted, "CancelJob", array.id)
    scripted.finish()
    assert flags(scripted.describe(array.id)) == ("SUCCEEDED", None, False, False)


def test_terminating_an_array_stops_every_child_and_retries_none(scripted: Scripted) -> None:
    array = scripted.put(5, retry=RetryStrategy(attempts=4))
    one, two = scripted.running()
    scripted.begin(one, two)
    stop(scripted, "TerminateJob", array.id, "budget")
    assert scripted.provider.stopped == [one, two]
    assert statuses(scripted, array.id) == {"RUNNING": 2, "FAILED": 3}
    assert scripted.status(array.id) == "PENDING"
    scripted.end(one, code=None, signal=15, why="stopped")
    assert scripted.status(array.id) == "PENDING"
    scripted.end(two, code=None, signal=9, why="stopped")
    assert flags(scripted.describe(array.id)) == ("FAILED", "budget", False, True)
    assert flags(scripted.describe(f"{array.id}:0")) == ("FAILED", "budget", False, True)
    assert flags(scripted.describe(f"{array.id}:4")) == ("FAILED", "budget", False, True)
    assert scripted.describe(f"{array.id}:1")["container"]["exitCode"] == 137
    assert len(scripted.provider.started) == 2


def test_a_pending_array_is_cancelled_when_its_dependency_has_ended_and_terminated_at_once(scripted: Scripted) -> None:
    first = scripted.put()
    cancelled, terminated = (scripted.put(3, depends_on=(Dependency(job=first.id),)) for _ in range(2))
    stop(scripted, "CancelJob", cancelled.id)
    stop(scripted, "TerminateJob", terminated.id)
    assert flags(scripted.describe(cancelled.id)) == ("PENDING", "enough", True, False)
    assert flags(scripted.describe(f"{cancelled.id}:2")) == ("PENDING", "enough", True, False)
    assert flags(scripted.describe(terminated.id)) == ("FAILED", "enough", False, True)
    scripted.finish()
    assert flags(scripted.describe(cancelled.id)) == ("FAILED", "enough", True, False)
    assert flags(scripted.describe(f"{cancelled.id}:2")) == ("FAILED", "enough", True, False)


@BOTH
def test_stopping_a_child_that_waits_fails_it_alone_and_its_parent_at_the_end(scripted: Scripted, operation: str) -> None:
    array = scripted.put(4)
    stop(scripted, operation, f"{array.id}:3")
    # AWS: "jobs that have not progressed to the STARTING state are cancelled", also by TerminateJob
    assert flags(scripted.describe(f"{array.id}:3")) == ("FAILED", "enough", True, False)
    assert flags(scripted.describe(array.id)) == ("PENDING", None, False, False)
    scripted.finish()
    assert statuses(scripted, array.id) == {"SUCCEEDED": 3, "FAILED": 1}
    assert flags(scripted.describe(array.id)) == ("FAILED", "Array Child Job failed", False, False)


def test_a_cancelled_child_that_runs_goes_on_and_a_terminated_one_is_stopped(scripted: Scripted) -> None:
    array = scripted.put(2, retry=RetryStrategy(attempts=2))
    one, two = scripted.running()
    scripted.begin(one, two)
    stop(scripted, "CancelJob", f"{array.id}:0")
    stop(scripted, "TerminateJob", f"{array.id}:1", "that one")
    assert scripted.provider.stopped == [two]
    assert scripted.provider.dropped == []
    scripted.end(one, code=0)
    scripted.end(two, code=None, signal=15, why="stopped")
    assert flags(scripted.describe(f"{array.id}:0")) == ("SUCCEEDED", "Essential container in task exited", False, False)
    assert flags(scripted.describe(f"{array.id}:1")) == ("FAILED", "that one", False, True)


# --- in bulk ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["CancelJobs", "TerminateJobs"])
def test_many_are_stopped_at_once_and_what_is_wrong_with_one_is_said_of_it(scripted: Scripted, operation: str) -> None:
    full(scripted)
    single, array = scripted.put(), scripted.put(3)
    queue = "arn:aws:batch:us-east-1:123456789012:job-queue/q"
    answer = scripted.call(operation, jobs=[single.id, "", "unknown", queue, f"{array.id}:1", single.id], reason="all of you")
    assert_shape("batch", operation, answer)
    assert answer["successful"] == [single.id, "unknown", f"{array.id}:1"]
    assert [(error["job"], error["code"]) for error in answer["errors"]] == [("", "ValidationException"), (queue, "ValidationException")]
    assert [scripted.status(job) for job in (single.id, f"{array.id}:0", f"{array.id}:1")] == ["FAILED", "RUNNABLE", "FAILED"]


@pytest.mark.parametrize("operation", ["CancelJobs", "TerminateJobs"])
def test_more_than_fifty_none_and_no_reason_are_refused(scripted: Scripted, operation: str) -> None:
    for jobs, reason in ((["x"] * 51, "y"), ([], "y"), (["x"], "")):
        with pytest.raises(AwsError) as caught:
            scripted.call(operation, jobs=jobs, reason=reason)
        assert caught.value.code == "ClientException"
    assert scripted.call(operation, jobs=["x"] * 50, reason="y") == {"successful": ["x"], "errors": []}


def test_boto3_stops_jobs_over_http(scripted: Scripted) -> None:
    full(scripted)
    one, two = scripted.put(), scripted.put()
    scripted.batch.terminate_job(jobId=one.id, reason="x")
    assert scripted.batch.cancel_jobs(jobs=[two.id], reason="x")["successful"] == [two.id]
    assert (scripted.status(one.id), scripted.status(two.id)) == ("FAILED", "FAILED")
    with pytest.raises(scripted.batch.exceptions.ClientException, match="reason"):
        scripted.batch.terminate_job(jobId=one.id, reason="")


def test_a_new_engine_goes_on_stopping(scripted: Scripted) -> None:
    array = scripted.put(3, retry=RetryStrategy(attempts=3))
    one, two = scripted.running()
    scripted.begin(one, two)
    stop(scripted, "TerminateJob", array.id)
    scripted.restart()
    scripted.do(lambda _: None)
    assert {one, two} <= set(scripted.provider.stopped[2:])
    for attempt in (one, two):
        scripted.end(attempt, code=None, signal=15, why="stopped")
    assert flags(scripted.describe(array.id)) == ("FAILED", "enough", False, True)


# --- real processes ---------------------------------------------------------------------------------------------------


def running(local: Local, job: str, count: int) -> Callable[[], bool]:
    """Whether so many children run."""
    return lambda: statuses(local, job).get("RUNNING") == count


def test_a_terminated_array_gets_sigterm_and_what_ignores_it_sigkill(local: Local) -> None:
    script = 'trap "echo asked to end; exit 9" TERM; [ "$AWS_BATCH_JOB_ARRAY_INDEX" = 1 ] && trap "" TERM; echo ready; while :; do sleep 0.02; done'
    array = local.put(4, command=("sh", "-c", script), retry=RetryStrategy(attempts=3), grace=timedelta(seconds=1))
    eventually(running(local, array.id, 2))
    paths = [local.files.log(array, position, 1) for position in (0, 1)]
    eventually(lambda: all(path.exists() and "ready" in path.read_text() for path in paths))
    stop(local, "TerminateJob", array.id, "seen enough")
    local.wait(array.id)
    first, second, third = local.call("DescribeJobs", jobs=[f"{array.id}:{index}" for index in (0, 1, 2)])["jobs"]
    assert flags(local.describe(array.id)) == ("FAILED", "seen enough", False, True)
    assert [flags(child) for child in (first, second, third)] == [("FAILED", "seen enough", False, True)] * 3
    assert (first["container"]["exitCode"], second["container"]["exitCode"], third["attempts"]) == (9, 137, [])
    assert "asked to end" in paths[0].read_text()
    assert (len(first["attempts"]), len(second["attempts"])) == (1, 1)


@pytest.mark.parametrize("code", [0, 1])
def test_a_cancelled_pending_child_keeps_the_reason_whatever_its_dependency_comes_to(scripted: Scripted, code: int) -> None:
    first = scripted.put()
    job = scripted.put(3, depends_on=(Dependency(job=first.id),))
    stop(scripted, "CancelJob", f"{job.id}:2", "not this one")
    scripted.finish({0: code})
    assert flags(scripted.describe(f"{job.id}:2")) == ("FAILED", "not this one", True, False)
    assert scripted.describe(f"{job.id}:1").get("statusReason") == ("Dependent Job failed" if code else "Essential container in task exited")


def test_a_child_that_was_cancelled_before_the_array_was_terminated_stays_cancelled(scripted: Scripted) -> None:
    full(scripted)
    job = scripted.put(4)
    stop(scripted, "CancelJob", f"{job.id}:2", "not this one")
    scripted.clock.advance(1)
    stop(scripted, "TerminateJob", job.id)
    assert flags(scripted.describe(f"{job.id}:2")) == ("FAILED", "not this one", True, False)
    assert flags(scripted.describe(f"{job.id}:3")) == ("FAILED", "enough", False, True)
