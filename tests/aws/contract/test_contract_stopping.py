"""CancelJob, TerminateJob and their bulk forms: every cell of the table of states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.aws.contract.world import REASON, UNKNOWN, World

FORMS: Final = ("CancelJob", "CancelJobs", "TerminateJob", "TerminateJobs")
CANCEL: Final = ("CancelJob", "CancelJobs")
TERMINATE: Final = ("TerminateJob", "TerminateJobs")
FAILED: Final = ("FAILED", REASON)

Lead = Callable[[World], str]


def stop(world: World, form: str, job: str, reason: str = REASON) -> None:
    """Cancel or terminate a job, which must be answered as done."""
    if form.endswith("Jobs"):
        assert world.call(form, jobs=[job], reason=reason) == {"successful": [job], "errors": []}
    else:
        assert world.call(form, jobId=job, reason=reason) == {}


def is_stopped(world: World, job: str) -> bool:
    """Whether the job says that somebody stopped it."""
    shown = world.job(job)
    return bool(shown["isCancelled"] or shown["isTerminated"]) and shown["stoppedAt"] > 0


# --- jobs in each state -------------------------------------------------------------------------------------------------


def runnable(world: World) -> str:
    world.fill()
    return world.submit()


def pending(world: World) -> str:
    return world.submit(after=[{"jobId": world.submit(jobName="before")}])


def starting(world: World) -> str:
    return world.submit(retryStrategy={"attempts": 3})


def running(world: World) -> str:
    job = starting(world)
    world.begin(job)
    return job


def succeeded(world: World) -> str:
    job = running(world)
    world.end(job)
    return job


def failed(world: World) -> str:
    job = world.submit()
    world.begin(job)
    world.end(job, code=3)
    return job


STATES: Final[dict[str, Lead]] = {
    "RUNNABLE": runnable,
    "PENDING": pending,
    "STARTING": starting,
    "RUNNING": running,
    "SUCCEEDED": succeeded,
    "FAILED": failed,
}


def led(world: World, state: str) -> str:
    """A single job in a state."""
    job = STATES[state](world)
    assert world.status(job) == state
    return job


def led_child(world: World, state: str) -> str:
    """The child of index 1 of an array of three, in a state; the others are in none that they could be taken for it."""
    if state == "PENDING":
        parent = world.submit(3, after=[{"jobId": world.submit(jobName="before")}])
        child = f"{parent}:1"
    elif state == "RUNNABLE":
        world.fill()
        child = f"{world.submit(3)}:1"
    else:
        child = f"{world.submit(3)}:1"
        if state != "STARTING":
            world.begin(child)
        if state in ("SUCCEEDED", "FAILED"):
            world.end(child, code=0 if state == "SUCCEEDED" else 3)
    assert world.status(child) == state
    return child


LEADS: Final = {"single": led, "child": led_child}


@pytest.fixture(params=["single", "child"])
def lead(request: pytest.FixtureRequest) -> Callable[[World, str], str]:
    """Leads a single job to a state, or a child of an array."""
    return LEADS[request.param]


# --- what each form does in each state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_runnable_job_fails_at_once_with_the_reason_and_never_runs(world: World, form: str, lead: Any) -> None:
    job = lead(world, "RUNNABLE")
    stop(world, form, job)
    assert world.state(job) == FAILED
    assert is_stopped(world, job)
    world.finish()
    assert (world.state(job), world.job(job)["attempts"]) == (FAILED, [])


@pytest.mark.parametrize("form", CANCEL)
def test_a_pending_job_that_was_cancelled_fails_when_what_it_waited_for_is_over(world: World, form: str, lead: Any) -> None:
    job = lead(world, "PENDING")
    stop(world, form, job)
    assert world.status(job) == "PENDING"
    world.finish()
    assert (world.state(job), world.job(job)["attempts"]) == (FAILED, [])
    assert world.job(job)["isCancelled"] is True


@pytest.mark.parametrize("form", TERMINATE)
def test_a_pending_job_that_was_terminated_fails_at_once(world: World, form: str, lead: Any) -> None:
    job = lead(world, "PENDING")
    stop(world, form, job)
    assert world.state(job) == FAILED
    assert is_stopped(world, job)
    world.finish()
    assert (world.state(job), world.job(job)["attempts"]) == (FAILED, [])


@pytest.mark.parametrize("form", CANCEL)
@pytest.mark.parametrize("state", ["STARTING", "RUNNING"])
def test_cancelling_does_nothing_to_a_job_under_way(world: World, form: str, state: str, lead: Any) -> None:
    job = lead(world, state)
    before = world.job(job)
    stop(world, form, job)
    assert world.job(job) == before
    assert world.played.provider.stopped == []
    world.finish()
    assert world.status(job) == "SUCCEEDED"


@pytest.mark.parametrize("form", TERMINATE)
@pytest.mark.parametrize("state", ["STARTING", "RUNNING"])
def test_terminating_stops_a_job_under_way_which_is_not_retried(world: World, form: str, state: str, lead: Any) -> None:
    job = lead(world, state)
    attempt = world.under_way(job)
    stop(world, form, job)
    told = world.played.provider.stopped + world.played.provider.dropped
    assert attempt in told
    if state == "RUNNING":
        assert world.status(job) == "RUNNING"
    world.stop_what_was_told_to()
    assert world.state(job) == FAILED
    shown = world.job(job)
    assert (shown["isTerminated"], shown["isCancelled"]) == (True, False)
    assert [one["statusReason"] for one in shown["attempts"]] == [REASON]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_a_job_that_is_over_stays_as_it_is(world: World, form: str, state: str, lead: Any) -> None:
    job = lead(world, state)
    before = world.job(job)
    stop(world, form, job)
    assert world.job(job) == before


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unknown", [UNKNOWN, f"{UNKNOWN}:3", "nothing at all"])
def test_an_unknown_job_counts_as_done(world: World, form: str, unknown: str) -> None:
    stop(world, form, unknown)


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_child_of_an_array_counts_as_done_and_its_siblings_stay_as_they_are(world: World, form: str) -> None:
    parent = world.submit(3)
    before = world.statuses(parent, 3)
    stop(world, form, f"{parent}:3")
    assert world.statuses(parent, 3) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_job_is_found_by_its_arn(world: World, form: str) -> None:
    job = led(world, "RUNNABLE")
    stop(world, form, world.job(job)["jobArn"])
    assert world.state(job) == FAILED


# --- arrays -------------------------------------------------------------------------------------------------------------


def mixed(world: World) -> tuple[str, list[str]]:
    """An array of eight of which one child is over, one runs, some start and some wait; and the statuses of the children."""
    parent = world.submit(8)
    world.begin(f"{parent}:0")
    world.played.clock.advance(10)
    world.end(f"{parent}:0")
    world.begin(f"{parent}:1")
    statuses = world.statuses(parent, 8)
    assert list(dict.fromkeys(statuses)) == ["SUCCEEDED", "RUNNING", "STARTING", "RUNNABLE"]
    return parent, statuses


@pytest.mark.parametrize("form", CANCEL)
def test_cancelling_a_parent_ends_the_children_that_wait_and_leaves_those_under_way(world: World, form: str) -> None:
    parent, before = mixed(world)
    stop(world, form, parent)
    assert world.statuses(parent, 8) == [{"RUNNABLE": "FAILED"}.get(status, status) for status in before]
    waited = [index for index, status in enumerate(before) if status == "RUNNABLE"]
    assert {world.state(f"{parent}:{index}") for index in waited} == {FAILED}
    assert world.status(parent) == "PENDING"
    world.finish()
    assert world.statuses(parent, 8) == ["FAILED" if index in waited else "SUCCEEDED" for index in range(8)]
    assert world.state(parent) == FAILED
    assert world.job(parent)["isCancelled"] is True
    assert set(world.ran(parent)) == set(range(8)).difference(waited)


@pytest.mark.parametrize("form", TERMINATE)
def test_terminating_a_parent_ends_every_child(world: World, form: str) -> None:
    parent, _ = mixed(world)
    stop(world, form, parent)
    world.stop_what_was_told_to()
    assert world.statuses(parent, 8) == ["SUCCEEDED"] + ["FAILED"] * 7
    assert {world.state(f"{parent}:{index}") for index in range(1, 8)} == {FAILED}
    assert world.state(parent) == FAILED
    assert world.job(parent)["isTerminated"] is True


@pytest.mark.parametrize("form", CANCEL)
def test_a_parent_that_waits_fails_when_what_it_waited_for_is_over(world: World, form: str) -> None:
    parent = world.submit(3, after=[{"jobId": world.submit(jobName="before")}])
    stop(world, form, parent)
    assert (world.status(parent), world.statuses(parent, 3)) == ("PENDING", ["PENDING"] * 3)
    world.finish()
    assert (world.state(parent), world.statuses(parent, 3)) == (FAILED, ["FAILED"] * 3)
    assert world.ran(parent) == []


@pytest.mark.parametrize("form", TERMINATE)
def test_a_parent_that_waits_and_is_terminated_fails_at_once(world: World, form: str) -> None:
    parent = world.submit(3, after=[{"jobId": world.submit(jobName="before")}])
    stop(world, form, parent)
    assert (world.state(parent), world.statuses(parent, 3)) == (FAILED, ["FAILED"] * 3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("code", [0, 3])
def test_a_parent_that_is_over_stays_as_it_is(world: World, form: str, code: int) -> None:
    parent = world.submit(2)
    world.begin(f"{parent}:0", f"{parent}:1")
    world.end(f"{parent}:0", f"{parent}:1", code=code)
    before = world.job(parent)
    stop(world, form, parent)
    assert world.job(parent) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_child_ends_alone_and_its_parent_fails_at_the_end(world: World, form: str) -> None:
    world.fill()
    parent = world.submit(3)
    stop(world, form, f"{parent}:1")
    assert world.statuses(parent, 3) == ["RUNNABLE", "FAILED", "RUNNABLE"]
    assert world.status(parent) == "PENDING"
    world.finish()
    assert world.statuses(parent, 3) == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert world.state(f"{parent}:1") == FAILED
    assert world.state(parent) == ("FAILED", "Array Child Job failed")
    assert world.ran(parent) == [0, 2]


@pytest.mark.parametrize("form", FORMS)
def test_what_depends_on_a_job_that_was_stopped_fails(world: World, form: str) -> None:
    job = led(world, "RUNNABLE")
    dependent = world.submit(after=[{"jobId": job}])
    stop(world, form, job)
    assert world.state(dependent) == ("FAILED", "Dependent Job failed")


@pytest.mark.parametrize("form", CANCEL)
def test_what_depends_on_a_cancelled_job_that_waits_fails_when_that_job_does(world: World, form: str) -> None:
    job = led(world, "PENDING")
    dependent = world.submit(after=[{"jobId": job}])
    stop(world, form, job)
    assert world.status(dependent) == "PENDING"
    world.finish()
    assert (world.state(job), world.state(dependent)) == (FAILED, ("FAILED", "Dependent Job failed"))


# --- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["CancelJob", "TerminateJob"])
@pytest.mark.parametrize("members", [{"jobId": "", "reason": REASON}, {"jobId": UNKNOWN, "reason": ""}, {"jobId": UNKNOWN, "reason": "x" * 1025}])
def test_an_empty_id_an_empty_reason_and_a_long_reason_are_refused(world: World, form: str, members: dict[str, str]) -> None:
    job = led(world, "RUNNABLE")
    world.refusal(form, **(members | ({"jobId": job} if members["jobId"] else {})))
    assert world.status(job) == "RUNNABLE"


@pytest.mark.parametrize("form", ["CancelJob", "TerminateJob"])
def test_a_reason_of_1024_characters_is_taken_whole(world: World, form: str) -> None:
    job = led(world, "RUNNABLE")
    stop(world, form, job, reason="x" * 1024)
    assert world.state(job) == ("FAILED", "x" * 1024)


@pytest.mark.parametrize("form", ["CancelJobs", "TerminateJobs"])
@pytest.mark.parametrize("members", [{"jobs": []}, {"jobs": [UNKNOWN] * 51}, {"reason": ""}, {"reason": "x" * 1025}])
def test_a_bulk_form_takes_1_to_50_jobs_and_a_reason(world: World, form: str, members: dict[str, Any]) -> None:
    job = led(world, "RUNNABLE")
    world.refusal(form, **({"jobs": [job], "reason": REASON} | members))
    assert world.status(job) == "RUNNABLE"


@pytest.mark.parametrize("form", ["CancelJobs", "TerminateJobs"])
def test_a_bulk_form_says_of_each_job_what_became_of_it(world: World, form: str) -> None:
    job = led(world, "RUNNABLE")
    answer = world.call(form, jobs=[job, UNKNOWN, "", "arn:aws:batch:us-east-1:123456789012:job-queue/default"], reason=REASON)
    assert answer["successful"] == [job, UNKNOWN]
    assert [(error["job"], error["code"]) for error in answer["errors"]] == [
        ("", "ValidationException"),
        ("arn:aws:batch:us-east-1:123456789012:job-queue/default", "ValidationException"),
    ]
    assert world.state(job) == FAILED


def test_a_bulk_form_takes_50_jobs_at_once(world: World) -> None:
    world.fill()
    jobs = [world.submit() for _ in range(50)]
    assert world.call("TerminateJobs", jobs=jobs, reason=REASON) == {"successful": jobs, "errors": []}
    assert {job["status"] for job in world.call("DescribeJobs", jobs=jobs)["jobs"]} == {"FAILED"}
