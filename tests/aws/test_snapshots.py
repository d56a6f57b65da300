"""GetJobQueueSnapshot: the front of a queue in the order of dispatch, and its use by share."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from spawn.domain.jobs import BatchJob, Demand, Job
from spawn.domain.policies import SchedulingPolicy, Share
from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.engine.state import EngineState
from tests.aws.serving import Scripted
from tests.aws.shapes import assert_shape


def keep(served: Scripted, *resources: Any) -> None:
    def put(state: EngineState) -> None:
        for resource in resources:
            state.put(resource)

    served.do(put)


def of(share: str, priority: int = 0) -> BatchJob:
    return BatchJob(definition="work:1", container={}, share=share, priority=priority)


def fifo(served: Scripted) -> None:
    keep(served, JobQueue(name="q", environments=("local",)))


def fair(served: Scripted, *shares: Share) -> None:
    keep(served, SchedulingPolicy(name="p", shares=shares), JobQueue(name="q", environments=("local",), policy="p"))


def snapshot(served: Scripted, queue: str = "q") -> dict[str, Any]:
    answer = served.call("GetJobQueueSnapshot", jobQueue=queue)
    assert_shape("batch", "GetJobQueueSnapshot", answer)
    return answer


def front(served: Scripted) -> list[str]:
    return [job["jobArn"].rsplit("job/")[-1] for job in snapshot(served)["frontOfQueue"]["jobs"]]


def ids(job: Job, *positions: int) -> list[str]:
    return [job.child_id(position) for position in positions]


def test_an_empty_queue_has_no_front_and_nothing_in_use(scripted: Scripted) -> None:
    fifo(scripted)
    answer = snapshot(scripted)
    now = scripted.clock.now()
    assert answer == {
        "frontOfQueue": {"jobs": [], "lastUpdatedAt": now},
        "queueUtilization": {"totalCapacityUsage": [{"capacityUnit": "VCPU", "quantity": 0.0}], "lastUpdatedAt": now},
    }


def test_the_front_is_what_is_runnable_in_the_order_of_submission_children_by_their_index(scripted: Scripted) -> None:
    fifo(scripted)
    first, single, last = scripted.put(4, queue="q"), scripted.put(queue="q"), scripted.put(2, queue="q")
    assert front(scripted) == [*ids(first, 2, 3), single.id, *ids(last, 0, 1)]
    assert snapshot(scripted, "arn:aws:batch:eu-west-1:999999999999:job-queue/q")["frontOfQueue"]["jobs"][0]["jobArn"] == (
        f"arn:aws:batch:us-east-1:123456789012:job/{first.id}:2"
    )


def test_what_can_never_run_stands_in_its_place(scripted: Scripted) -> None:
    fifo(scripted)
    large = scripted.put(queue="q", demand=Demand(cpus=64_000, memory=0))
    small = scripted.put(4, queue="q")
    assert front(scripted) == [large.id, *ids(small, 2, 3)]


def test_no_more_than_a_hundred_are_named(scripted: Scripted) -> None:
    fifo(scripted)
    job = scripted.put(500, queue="q")
    assert front(scripted) == ids(job, *range(2, 102))


def test_a_place_is_held_since_the_queue_last_moved_or_the_job_came(scripted: Scripted) -> None:
    fifo(scripted)
    scripted.put(4, queue="q")
    moved = scripted.clock.now()
    scripted.clock.advance(5)
    scripted.put(queue="q")
    came = scripted.clock.now()
    scripted.clock.advance(5)
    assert [job["earliestTimeAtPosition"] for job in snapshot(scripted)["frontOfQueue"]["jobs"]] == [moved, moved, came]
    scripted.end(scripted.running()[0])
    assert {job["earliestTimeAtPosition"] for job in snapshot(scripted)["frontOfQueue"]["jobs"]} == {scripted.clock.now()}


def test_shares_stand_in_the_order_in_which_they_will_be_served_and_it_comes_true(scripted: Scripted) -> None:
    fair(scripted, Share(identifier="light", weight=0.25))
    jobs = [scripted.put(6, queue="q", batch=of("heavy")), scripted.put(6, queue="q", batch=of("light")), scripted.put(1, queue="q", batch=of("heavy", 9))]
    foreseen = front(scripted)
    by_key = {job.key: job for job in jobs}
    count = len(scripted.provider.started)
    while scripted.running():
        scripted.end(scripted.running()[0])
    came = [by_key[attempt.key].child_id(attempt.position) for attempt in scripted.provider.started[count:]]
    assert sorted(came) == sorted(foreseen)
    assert came[0] == foreseen[0]


def test_the_use_of_a_shared_queue_is_told_by_share_the_largest_first(scripted: Scripted) -> None:
    fair(scripted)
    scripted.put(1, queue="q", batch=of("small"), demand=Demand(cpus=250, memory=0))
    scripted.put(1, queue="q", batch=of("large"), demand=Demand(cpus=1500, memory=0))
    scripted.put(5, queue="q", batch=of("waits"))
    use = snapshot(scripted)["queueUtilization"]
    assert use["totalCapacityUsage"] == [{"capacityUnit": "VCPU", "quantity": 1.75}]
    assert use["fairshareUtilization"]["activeShareCount"] == 2
    top = [(share["shareIdentifier"], share["capacityUsage"][0]["quantity"]) for share in use["fairshareUtilization"]["topCapacityUtilization"]]
    assert top == [("large", 1.5), ("small", 0.25)]


def test_a_queue_that_is_not_there_is_refused(scripted: Scripted) -> None:
    with pytest.raises(ClientError, match="There is no job queue 'nope'") as refused:
        scripted.batch.get_job_queue_snapshot(jobQueue="nope")
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_boto3_reads_it(scripted: Scripted) -> None:
    keep(scripted, ComputeEnvironment(name="small", provider="local", max_cpus=1000), JobQueue(name="q", environments=("small",)))
    job = scripted.put(2, queue="q")
    answer = scripted.batch.get_job_queue_snapshot(jobQueue="q")
    assert [one["jobArn"] for one in answer["frontOfQueue"]["jobs"]] == [f"arn:aws:batch:us-east-1:123456789012:job/{job.id}:1"]
    assert answer["queueUtilization"]["totalCapacityUsage"] == [{"capacityUnit": "VCPU", "quantity": 1.0}]
