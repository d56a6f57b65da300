"""Dependencies: every row of the table of combinations."""

from __future__ import annotations

from typing import Final

import pytest

from tests.aws.contract.world import REASON, UNKNOWN, Json, World

DEPENDENT: Final = ("FAILED", "Dependent Job failed")
CHILD_FAILED: Final = ("FAILED", "Array Child Job failed")
SIZES: Final = pytest.mark.parametrize("size", [None, 3], ids=["single", "array"])


def run(world: World, *jobs: str, code: int = 0) -> None:
    """These jobs begin and end alike."""
    for job in jobs:
        world.begin(job)
        world.end(job, code=code)


def over(world: World, *, code: int) -> str:
    """A single job that is over."""
    job = world.submit(jobName="before")
    run(world, job, code=code)
    return job


def children(job: str, size: int | None) -> list[str]:
    """The children of an array, or the single job itself."""
    return [job] if size is None else [f"{job}:{index}" for index in range(size)]


def all_are(world: World, status: str, job: str, size: int | None) -> bool:
    """Whether every child, or the single job, is in a status."""
    return all(world.status(one) == status for one in children(job, size))


# --- {jobId: J} ---------------------------------------------------------------------------------------------------------


@SIZES
def test_on_a_single_job_all_of_it_waits_until_that_has_succeeded(world: World, size: int | None) -> None:
    before = world.submit()
    job = world.submit(size, after=[{"jobId": before}])
    world.begin(before)
    assert all_are(world, "PENDING", job, size)
    world.end(before)
    assert not any(world.status(one) == "PENDING" for one in children(job, size))
    world.finish()
    assert world.status(job) == "SUCCEEDED"


@SIZES
def test_on_a_single_job_that_fails_it_fails(world: World, size: int | None) -> None:
    before = world.submit()
    job = world.submit(size, after=[{"jobId": before}])
    run(world, before, code=1)

    assert {world.state(one) for one in children(job, size)} == {DEPENDENT}
    assert world.status(job) == "FAILED"
    assert world.ran(job) == []
    assert world.job(job)["stoppedAt"] > 0


def test_an_array_whose_dependency_fails_says_so_itself(world: World) -> None:
    before = world.submit()
    job = world.submit(3, after=[{"jobId": before}])
    run(world, before, code=1)
    assert world.state(job) == DEPENDENT


# --- {jobId: A} ---------------------------------------------------------------------------------------------------------


@SIZES
def test_on_a_parent_it_waits_until_all_children_have_succeeded(world: World, size: int | None) -> None:
    parent = world.submit(2)
    job = world.submit(size, after=[{"jobId": parent}])
    run(world, f"{parent}:0")
    assert all_are(world, "PENDING", job, size)
    run(world, f"{parent}:1")
    assert not any(world.status(one) == "PENDING" for one in children(job, size))


@SIZES
def test_on_a_parent_of_which_a_child_fails_it_fails_after_all_children_have_ended(world: World, size: int | None) -> None:
    parent = world.submit(2)
    job = world.submit(size, after=[{"jobId": parent}])
    run(world, f"{parent}:0", code=1)
    assert world.status(parent) == "PENDING"
    assert all_are(world, "PENDING", job, size)
    run(world, f"{parent}:1")
    assert world.state(parent) == CHILD_FAILED
    assert {world.state(one) for one in children(job, size)} == {DEPENDENT}
    assert world.ran(job) == []


# --- {jobId: "A:3"} -----------------------------------------------------------------------------------------------------


@SIZES
def test_on_a_child_it_waits_for_that_child_alone(world: World, size: int | None) -> None:
    parent = world.submit(2)
    job = world.submit(size, after=[{"jobId": f"{parent}:1"}])
    run(world, f"{parent}:0")
    assert all_are(world, "PENDING", job, size)
    world.begin(f"{parent}:1")
    world.end(f"{parent}:1")
    world.finish()
    assert world.status(job) == "SUCCEEDED"


@SIZES
def test_on_a_child_that_fails_it_fails_while_the_siblings_of_that_one_go_on(world: World, size: int | None) -> None:
    parent = world.submit(2)
    job = world.submit(size, after=[{"jobId": f"{parent}:1"}])
    run(world, f"{parent}:1", code=1)
    assert {world.state(one) for one in children(job, size)} == {DEPENDENT}
    assert world.status(f"{parent}:0") == "STARTING"


def test_a_child_that_fails_is_no_failure_for_what_waits_for_another_one(world: World) -> None:
    parent = world.submit(2)
    job = world.submit(after=[{"jobId": f"{parent}:1"}])
    run(world, f"{parent}:0", code=1)
    run(world, f"{parent}:1")
    world.finish()
    assert world.status(job) == "SUCCEEDED"


# --- {type: SEQUENTIAL} -------------------------------------------------------------------------------------------------


def test_sequential_children_run_one_after_the_other(world: World) -> None:
    job = world.submit(3, after=[{"type": "SEQUENTIAL"}])
    for index in range(3):
        assert world.statuses(job, 3) == ["SUCCEEDED"] * index + ["STARTING"] + ["PENDING"] * (2 - index)
        run(world, f"{job}:{index}")
    assert world.status(job) == "SUCCEEDED"
    assert world.ran(job) == [0, 1, 2]


def test_a_sequential_child_that_fails_fails_all_behind_it(world: World) -> None:
    job = world.submit(5, after=[{"type": "SEQUENTIAL"}])
    run(world, f"{job}:0")
    run(world, f"{job}:1", code=1)
    assert world.statuses(job, 5) == ["SUCCEEDED"] + ["FAILED"] * 4
    assert {world.state(f"{job}:{index}") for index in (2, 3, 4)} == {DEPENDENT}
    assert world.state(job) == CHILD_FAILED
    assert world.ran(job) == [0, 1]


def test_sequential_is_refused_for_a_single_job(world: World) -> None:
    world.refusal("SubmitJob", jobName="job", jobQueue="default", jobDefinition="work", dependsOn=[{"type": "SEQUENTIAL"}])


@SIZES
def test_sequential_with_a_job_is_a_plain_dependency(world: World, size: int | None) -> None:
    before = world.submit()
    job = world.submit(size, after=[{"jobId": before, "type": "SEQUENTIAL"}])
    assert all_are(world, "PENDING", job, size)
    run(world, before)
    assert world.status(children(job, size)[-1]) in ("STARTING", "RUNNABLE")
    world.finish()
    assert world.status(job) == "SUCCEEDED"


# --- {jobId: A, type: N_TO_N} -------------------------------------------------------------------------------------------


def test_n_to_n_children_wait_for_the_child_of_their_index(world: World) -> None:
    parent = world.submit(2)
    job = world.submit(2, after=[{"jobId": parent, "type": "N_TO_N"}])
    run(world, f"{parent}:1")
    assert world.statuses(job, 2) == ["PENDING", "STARTING"]
    run(world, f"{job}:1")
    assert world.statuses(job, 2) == ["PENDING", "SUCCEEDED"]
    world.finish()
    assert world.status(job) == "SUCCEEDED"


def test_n_to_n_a_failed_child_fails_the_child_of_its_index_alone(world: World) -> None:
    parent = world.submit(2)
    job = world.submit(2, after=[{"jobId": parent, "type": "N_TO_N"}])
    run(world, f"{parent}:1", code=1)
    assert (world.state(f"{job}:1"), world.status(f"{job}:0"), world.status(job)) == (DEPENDENT, "PENDING", "PENDING")
    world.finish()
    assert (world.state(job), world.statuses(job, 2)) == (CHILD_FAILED, ["SUCCEEDED", "FAILED"])
    assert world.ran(job) == [0]


def test_n_to_n_between_arrays_of_other_sizes_is_refused(world: World) -> None:
    parent = world.submit(2)
    asked: Json = {"jobName": "job", "jobQueue": "default", "jobDefinition": "work", "arrayProperties": {"size": 3}}
    message = world.refusal("SubmitJob", **asked, dependsOn=[{"jobId": parent, "type": "N_TO_N"}])
    assert parent in message


@pytest.mark.parametrize(("theirs", "ours"), [(None, None), (None, 3), (2, None)])
def test_n_to_n_with_a_job_that_is_no_array_is_a_plain_dependency(world: World, theirs: int | None, ours: int | None) -> None:
    before = world.submit(theirs)
    job = world.submit(ours, after=[{"jobId": before, "type": "N_TO_N"}])
    waited = children(before, theirs)
    for one in waited:
        assert all_are(world, "PENDING", job, ours)
        run(world, one)
    world.finish()
    assert world.status(job) == "SUCCEEDED"


# --- several ------------------------------------------------------------------------------------------------------------


def test_a_plain_dependency_and_sequential_first_wait_and_then_run_in_turn(world: World) -> None:
    before = world.submit()
    job = world.submit(3, after=[{"jobId": before}, {"type": "SEQUENTIAL"}])
    assert world.statuses(job, 3) == ["PENDING"] * 3
    run(world, before)
    assert world.statuses(job, 3) == ["STARTING", "PENDING", "PENDING"]
    world.finish()
    assert (world.status(job), world.ran(job)) == ("SUCCEEDED", [0, 1, 2])


def test_of_several_n_to_n_a_child_waits_for_its_index_in_each(world: World) -> None:
    world.played.provider.slots = 4
    first, second = world.submit(2), world.submit(2)
    job = world.submit(2, after=[{"jobId": first, "type": "N_TO_N"}, {"jobId": second, "type": "N_TO_N"}])
    run(world, f"{first}:0", f"{first}:1")
    assert world.statuses(job, 2) == ["PENDING", "PENDING"]
    run(world, f"{second}:1")
    assert world.statuses(job, 2) == ["PENDING", "STARTING"]
    world.finish()
    assert world.status(job) == "SUCCEEDED"


def test_of_several_plain_dependencies_one_failure_is_enough(world: World) -> None:
    first, second = world.submit(), world.submit()
    job = world.submit(after=[{"jobId": first}, {"jobId": second}])
    run(world, first, code=1)
    assert world.state(job) == DEPENDENT


# --- dependencies that are over, unknown or wrong -----------------------------------------------------------------------


@SIZES
def test_a_dependency_that_has_succeeded_is_met_at_once(world: World, size: int | None) -> None:
    job = world.submit(size, after=[{"jobId": over(world, code=0)}])
    assert "PENDING" not in {world.status(one) for one in children(job, size)}


@SIZES
def test_on_a_job_that_has_failed_a_job_is_taken_and_fails(world: World, size: int | None) -> None:
    job = world.submit(size, after=[{"jobId": over(world, code=1)}])
    assert {world.state(one) for one in children(job, size)} == {DEPENDENT}
    assert (world.status(job), world.ran(job)) == ("FAILED", [])


@pytest.mark.parametrize("entry", [{"jobId": UNKNOWN}, {"jobId": UNKNOWN, "type": "N_TO_N"}, {"jobId": f"{UNKNOWN}:0"}])
def test_an_unknown_job_is_refused_by_its_name(world: World, entry: Json) -> None:
    message = world.refusal("SubmitJob", jobName="job", jobQueue="default", jobDefinition="work", dependsOn=[entry])
    assert UNKNOWN in message


def test_a_child_that_an_array_does_not_have_is_refused(world: World) -> None:
    parent = world.submit(2)
    world.refusal("SubmitJob", jobName="job", jobQueue="default", jobDefinition="work", dependsOn=[{"jobId": f"{parent}:2"}])


@pytest.mark.parametrize("entry", [{"type": "N_TO_1"}, {"type": "n_to_n"}, {"type": "N_TO_N"}, {}, {"jobId": ""}])
def test_a_dependency_of_no_type_and_one_on_nothing_are_refused(world: World, entry: Json) -> None:
    asked: Json = {"jobName": "job", "jobQueue": "default", "jobDefinition": "work", "arrayProperties": {"size": 2}}
    world.refusal("SubmitJob", **asked, dependsOn=[entry])


def test_more_than_20_dependencies_are_refused_and_20_are_taken(world: World) -> None:
    before = [{"jobId": over(world, code=0)}] * 21
    message = world.refusal("SubmitJob", jobName="job", jobQueue="default", jobDefinition="work", dependsOn=before)
    assert message == "Error executing request, Exception : Job cannot have more than 20 dependencies, RequestId: ..."
    world.submit(after=before[:20])


# --- what holds for all of them -----------------------------------------------------------------------------------------


def test_dependencies_cross_queues(world: World) -> None:
    world.call("CreateJobQueue", jobQueueName="other", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}])
    before = world.submit(jobQueue="other")
    job = world.submit(after=[{"jobId": before}])
    assert world.status(job) == "PENDING"
    run(world, before)
    assert world.status(job) == "STARTING"


def test_dependents_wait_through_all_retries(world: World) -> None:
    before = world.submit(retryStrategy={"attempts": 3})
    job = world.submit(after=[{"jobId": before}])
    for _ in range(2):
        run(world, before, code=1)
        assert (world.status(before), world.status(job)) == ("STARTING", "PENDING")
    run(world, before, code=1)
    assert (world.status(before), world.state(job)) == ("FAILED", DEPENDENT)


def test_a_retry_that_succeeds_releases_dependents(world: World) -> None:
    before = world.submit(retryStrategy={"attempts": 2})
    job = world.submit(after=[{"jobId": before}])
    run(world, before, code=1)
    run(world, before)
    assert world.status(job) == "STARTING"


def test_failure_goes_on_to_all_that_comes_after(world: World) -> None:
    first = world.submit()
    jobs = [first]
    for size in (None, 3, None, 2):
        jobs.append(world.submit(size, after=[{"jobId": jobs[-1]}]))
    run(world, first, code=1)
    assert [world.state(job) for job in jobs[1:]] == [DEPENDENT] * 4


def test_a_parent_shows_its_dependencies_as_submitted_and_its_children_their_own(world: World) -> None:
    before, parent = world.submit(), world.submit(3)
    asked = [{"jobId": before}, {"jobId": parent, "type": "N_TO_N"}, {"type": "SEQUENTIAL"}]
    job = world.submit(3, after=asked)
    assert world.job(job)["dependsOn"] == asked
    of_children = [{entry["jobId"] for entry in world.job(f"{job}:{index}")["dependsOn"]} for index in range(3)]
    assert of_children == [{before, f"{parent}:0"}, {before, f"{parent}:1", f"{job}:0"}, {before, f"{parent}:2", f"{job}:1"}]
    single = world.submit(after=[{"jobId": f"{parent}:1"}])
    assert world.job(single)["dependsOn"] == [{"jobId": f"{parent}:1"}]
    assert world.call("TerminateJob", jobId=before, reason=REASON) == {}
