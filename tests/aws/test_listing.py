"""ListJobs: queues and arrays, statuses and filters, pages that hold while things move."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.jobs import BatchJob, Demand
from spawn.domain.queues import JobQueue
from spawn.domain.states import Status
from tests.aws.counting import Counter
from tests.aws.serving import Scripted
from tests.aws.shapes import assert_shape


def listed(served: Scripted, **asked: Any) -> dict[str, Any]:
    """What ListJobs says, after it was held against the model."""
    answer = served.call("ListJobs", **asked)
    assert_shape("batch", "ListJobs", answer)
    return answer


def ids(served: Scripted, **asked: Any) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = listed(served, **asked, **token)
        found += [job["jobId"] for job in answer["jobSummaryList"]]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}


def work(definition: str = "work:1", share: str | None = None) -> BatchJob:
    """What a Batch client asked for."""
    return BatchJob(definition=definition, container={"command": ["true"]}, share=share)


# --- queues -----------------------------------------------------------------------------------------------------------


def test_a_queue_shows_jobs_and_parents_and_none_of_their_children(scripted: Scripted) -> None:
    single, array, other = scripted.put(), scripted.put(3), scripted.put()
    scripted.begin(*scripted.running())
    assert ids(scripted, jobQueue="default") == [single.id]
    assert ids(scripted, jobQueue="default", jobStatus="RUNNING") == [single.id]
    assert ids(scripted, jobQueue="default", jobStatus="PENDING") == [array.id]
    assert ids(scripted, jobQueue="arn:aws:batch:us-east-1:123456789012:job-queue/default", jobStatus="RUNNABLE") == [other.id]
    scripted.finish()
    assert ids(scripted, jobQueue="default") == []
    assert sorted(ids(scripted, jobQueue="default", jobStatus="SUCCEEDED")) == sorted([single.id, array.id, other.id])


def test_queues_are_kept_apart_and_an_unknown_one_is_refused(scripted: Scripted) -> None:
    scripted.do(lambda state: state.put(JobQueue(name="other", environments=("local",))))
    here, there = scripted.put(), scripted.put(queue="other")
    assert ids(scripted, jobQueue="default", jobStatus="STARTING") == [here.id]
    assert ids(scripted, jobQueue="other", jobStatus="STARTING") == [there.id]
    with pytest.raises(AwsError, match="Job queue nowhere does not exist") as caught:
        listed(scripted, jobQueue="nowhere")
    assert caught.value.code == "ClientException"


def test_what_is_listed_says_where_it_stands(scripted: Scripted) -> None:
    single, array = scripted.put(batch=work("d:3", share="team")), scripted.put(2)
    scripted.finish({0: 3})
    shown = {job["jobId"]: job for job in listed(scripted, jobQueue="default", jobStatus="FAILED")["jobSummaryList"]}
    assert shown.keys() == {single.id, array.id}
    one, parent = shown[single.id], shown[array.id]
    assert (one["status"], one["statusReason"], one["container"]) == ("FAILED", "Essential container in task exited", {"exitCode": 3})
    assert one["jobArn"].endswith(f":job/{single.id}")
    assert one["jobDefinition"].endswith(":job-definition/d:3")
    assert one["shareIdentifier"] == "team"
    assert one["stoppedAt"] - one["startedAt"] == 10_000
    assert "arrayProperties" not in one
    assert "isCancelled" not in one
    assert parent["statusReason"] == "Array Child Job failed"
    assert "container" not in parent
    assert parent["arrayProperties"]["size"] == 2
    assert sum(parent["arrayProperties"]["statusSummary"].values()) == 2


def test_listing_and_describing_agree_in_every_status(scripted: Scripted) -> None:
    first = scripted.put()
    jobs = [first, scripted.put(demand=Demand(cpus=99_000, memory=0)), *(scripted.put(size) for size in (None, 2, 3))]
    scripted.call("TerminateJob", jobId=jobs[-1].id, reason="no")
    scripted.call("CancelJob", jobId=f"{jobs[-2].id}:1", reason="not this one")
    scripted.begin(scripted.running()[0])
    compared = 0
    for scope in ({"jobQueue": "default"}, {"arrayJobId": jobs[-1].id}, {"arrayJobId": jobs[-2].id}):
        for status in Status:
            for job in listed(scripted, **scope, jobStatus=status.name)["jobSummaryList"]:
                described = scripted.describe(job["jobId"])
                for member in ("jobArn", "jobName", "createdAt", "status", "statusReason", "startedAt", "stoppedAt", "jobDefinition"):
                    assert job.get(member) == described.get(member), member
                assert (job.get("isCancelled", False), job.get("isTerminated", False)) == (described["isCancelled"], described["isTerminated"])
                assert job.get("arrayProperties", {}).get("index") == described.get("arrayProperties", {}).get("index")
                compared += 1
    assert compared == 10


def test_of_runnable_jobs_that_take_the_same_one_alone_is_read_to_say_why_they_can_never_run(scripted: Scripted) -> None:
    sizes = (99_000, 88_000, 1000)
    jobs = {scripted.put(demand=Demand(cpus=sizes[number % 3], memory=0)).id: sizes[number % 3] for number in range(30)}
    counter = Counter(scripted)
    found = listed(scripted, jobQueue="default", jobStatus="RUNNABLE")["jobSummaryList"]
    assert counter.decoded == 3
    assert len(found) == 28  # two run
    for job in found:
        needs = jobs[job["jobId"]]
        assert ("statusReason" in job) == (needs > 1000)
        assert f"the job needs {needs // 1000} vCPUs" in job.get("statusReason", "the job needs 1 vCPUs")
        assert job.get("statusReason") == scripted.describe(job["jobId"]).get("statusReason")


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_an_array_shows_its_running_children_unless_another_status_is_asked_for(scripted: Scripted) -> None:
    array = scripted.put(6)
    one, two = scripted.running()
    scripted.begin(one, two)
    scripted.clock.advance(60)
    scripted.end(one, code=1)
    assert ids(scripted, arrayJobId=array.id) == [f"{array.id}:1"]
    assert ids(scripted, arrayJobId=array.id, jobStatus="FAILED") == [f"{array.id}:0"]
    assert ids(scripted, arrayJobId=array.id, jobStatus="STARTING") == [f"{array.id}:2"]
    assert ids(scripted, arrayJobId=array.id, jobStatus="RUNNABLE") == [f"{array.id}:{index}" for index in (3, 4, 5)]
    assert ids(scripted, arrayJobId=array.id, jobStatus="PENDING") == []
    (child,) = listed(scripted, arrayJobId=array.id, jobStatus="FAILED")["jobSummaryList"]
    assert child["arrayProperties"] == {"index": 0}
    assert child["container"] == {"exitCode": 1}


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_every_child_is_on_exactly_one_page_whether_it_has_moved_or_not(scripted: Scripted, page: int) -> None:
    array = scripted.put(9)
    for index in (4, 7):
        scripted.call("CancelJob", jobId=f"{array.id}:{index}", reason="x")
    scripted.end(scripted.running()[0], code=1)
    scripted.call("CancelJob", jobId=array.id, reason="all")
    assert ids(scripted, arrayJobId=array.id, jobStatus="FAILED", maxResults=page) == [f"{array.id}:{index}" for index in (0, 3, 4, 5, 6, 7, 8)]


def test_single_jobs_have_no_children_and_unknown_arrays_are_refused(scripted: Scripted) -> None:
    assert ids(scripted, arrayJobId=scripted.put().id, jobStatus="STARTING") == []
    with pytest.raises(AwsError, match="Job none does not exist"):
        listed(scripted, arrayJobId="none")


def test_there_are_no_multi_node_jobs(scripted: Scripted) -> None:
    assert listed(scripted, multiNodeJobId="x") == {"jobSummaryList": []}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({}, "Exactly one of jobQueue"),
        ({"jobQueue": "default", "arrayJobId": "x"}, "Exactly one of jobQueue"),
        ({"jobQueue": "default", "maxResults": 0}, "maxResults"),
        ({"jobQueue": "default", "jobStatus": "running"}, "jobStatus"),
        ({"jobQueue": "default", "nextToken": "garbage"}, "nextToken"),
        ({"jobQueue": "default", "filters": [{"name": "job_name", "values": ["x"]}]}, "is not a filter"),
        ({"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": []}]}, "no values"),
        ({"jobQueue": "default", "filters": [{"name": "BEFORE_CREATED_AT", "values": ["yesterday"]}]}, "milliseconds"),
        ({"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": ["x"]}] * 2}, "one can be used"),
    ],
)
def test_what_cannot_be_meant_is_refused(scripted: Scripted, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(AwsError, match=why) as caught:
        scripted.call("ListJobs", **asked)
    assert caught.value.code == "ClientException"


# --- filters ----------------------------------------------------------------------------------------------------------


def test_filters_choose_jobs_of_any_status_the_newest_first(scripted: Scripted) -> None:
    a = scripted.put(name="Align-1", batch=work("align:1"))
    scripted.clock.advance(1)
    b = scripted.put(2, name="align-2", batch=work("align:2"))
    scripted.clock.advance(1)
    c = scripted.put(name="sort", batch=work("sort:1"))
    scripted.finish()

    def found(name: str, *values: str, **more: Any) -> list[str]:
        return ids(scripted, jobQueue="default", filters=[{"name": name, "values": list(values)}], **more)

    assert found("JOB_NAME", "ALIGN*") == [b.id, a.id]
    assert found("JOB_NAME", "align-1") == [a.id]
    assert found("JOB_NAME", "align-1", "Sort", jobStatus="RUNNING") == [c.id, a.id]
    assert found("JOB_DEFINITION", "align") == [b.id, a.id]
    assert found("JOB_DEFINITION", "Align") == []
    assert found("JOB_DEFINITION", "arn:aws:batch:us-east-1:123456789012:job-definition/align:1") == [a.id]
    assert found("BEFORE_CREATED_AT", str(b.created_at)) == [a.id]
    assert found("BEFORE_CREATED_AT", str(b.created_at), str(c.created_at)) == [b.id, a.id]
    assert found("AFTER_CREATED_AT", str(a.created_at)) == [c.id, b.id]
    assert found("JOB_NAME", "*", maxResults=1) == [c.id, b.id, a.id]


def test_the_share_identifier_is_combined_with_a_status(scripted: Scripted) -> None:
    a, b, c = (scripted.put(batch=work(share=share)) for share in ("x", "x", "y"))
    filters = [{"name": "SHARE_IDENTIFIER", "values": ["x"]}]
    assert sorted(ids(scripted, jobQueue="default", jobStatus="STARTING", filters=filters)) == sorted([a.id, b.id])
    scripted.begin(scripted.running(b.key)[0])
    assert ids(scripted, jobQueue="default", jobStatus="RUNNING", filters=filters) == [b.id]
    assert sorted(ids(scripted, jobQueue="default", filters=filters)) == sorted([a.id, b.id])
    assert ids(scripted, jobQueue="default", jobStatus="RUNNABLE", filters=filters) == []
    assert c.id in ids(scripted, jobQueue="default", jobStatus="RUNNABLE")


def test_a_filtered_page_has_at_most_a_hundred_jobs_and_another_a_thousand(scripted: Scripted) -> None:
    for number in range(101):
        scripted.put(name=f"n{number}", demand=Demand(cpus=99_000, memory=0))
    filters = [{"name": "JOB_NAME", "values": ["n*"]}]
    first = listed(scripted, jobQueue="default", filters=filters, maxResults=1000)
    assert len(first["jobSummaryList"]) == 100
    assert len(ids(scripted, jobQueue="default", filters=filters)) == 101
    assert len(listed(scripted, jobQueue="default", jobStatus="RUNNABLE")["jobSummaryList"]) == 101
    array = scripted.put(1001, demand=Demand(cpus=99_000, memory=0))
    assert len(listed(scripted, arrayJobId=array.id, jobStatus="RUNNABLE", maxResults=5000)["jobSummaryList"]) == 1000
    assert len(ids(scripted, arrayJobId=array.id, jobStatus="RUNNABLE")) == 1001


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_go_on_where_they_were_though_jobs_come_and_go_and_the_engine_is_another(scripted: Scripted) -> None:
    jobs = [scripted.put(demand=Demand(cpus=99_000, memory=0)).id for _ in range(6)]
    first = listed(scripted, jobQueue="default", jobStatus="RUNNABLE", maxResults=3)
    seen = [job["jobId"] for job in first["jobSummaryList"]]
    scripted.call("TerminateJob", jobId=seen[0], reason="x")
    scripted.call("TerminateJob", jobId=seen[2], reason="x")
    scripted.clock.advance(0.001)
    new = scripted.put(demand=Demand(cpus=99_000, memory=0)).id
    scripted.restart()
    rest = listed(scripted, jobQueue="default", jobStatus="RUNNABLE", nextToken=first["nextToken"])
    assert sorted(seen + [job["jobId"] for job in rest["jobSummaryList"]]) == sorted([*jobs, new])
    assert "nextToken" not in rest


def test_the_token_of_another_list_is_refused(scripted: Scripted) -> None:
    array = scripted.put(5)
    token = listed(scripted, arrayJobId=array.id, jobStatus="RUNNABLE", maxResults=1)["nextToken"]
    for asked in ({"arrayJobId": array.id, "jobStatus": "FAILED"}, {"jobQueue": "default", "jobStatus": "RUNNABLE"}):
        with pytest.raises(AwsError, match="another list"):
            listed(scripted, **asked, nextToken=token)


def test_boto3_pages_through_an_array_over_http(scripted: Scripted) -> None:
    array = scripted.put(25)
    pages = scripted.batch.get_paginator("list_jobs").paginate(arrayJobId=array.id, jobStatus="RUNNABLE", PaginationConfig={"PageSize": 10})
    assert [len(page["jobSummaryList"]) for page in pages] == [10, 10, 3]
