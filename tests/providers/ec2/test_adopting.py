"""Any machine that can read the bucket can take an array over, and go on with it."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from datetime import timedelta

import pytest

from spawn.domain.errors import ConfigurationError, NotFound
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.instants import from_seconds
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import InstanceState, Status
from spawn.providers.ec2.adopting import read_array
from spawn.providers.ec2.launches import is_staged, launch_in, unrolled
from spawn.providers.ec2.stored import array_document
from spawn.providers.ec2.userdata import BEGIN, END, Staged, embedded_or_none, staged
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.providers.ec2.buckets import AGENT, NOW, ArrayBucket, cloud_job, end, filled, launched, read

# --- reading ----------------------------------------------------------------------------------------------------------


def test_every_outcome_is_read_as_it_was_recorded(bucket: ArrayBucket) -> None:
    bucket.ended(0, 1)
    bucket.ended(1, 1, code=3)
    bucket.ended(2, 1, code=None, signal=15, why="interrupted")
    bucket.ended(3, 1, end="refused", started_at=None, reason="CannotStartContainerError: no such file")
    bucket.ended(4, 1, code=0, completed={"at": 1.0, "status": "failure", "message": "half of it"})
    found = read(bucket).found
    assert [record.outcome.kind for record in found.attempts] == [
        OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.INTERRUPTED, OutcomeKind.REFUSED, OutcomeKind.FAILED,
    ]  # fmt: skip
    assert [record.outcome.exit_code for record in found.attempts] == [0, 3, 143, None, 0]
    assert found.attempts[4].outcome.message == "half of it"
    assert (found.attempts[0].started_at, found.attempts[0].stopped_at) == (from_seconds(1_769_500_001), from_seconds(1_769_500_061))
    assert (found.attempts[0].cpu_s, found.attempts[0].max_rss_kib, found.attempts[0].instance_id) == (2.0, 2048, "i-0000000000000000a")
    assert {Status(row.status) for row in found.children.values()} == {Status.SUCCEEDED, Status.FAILED}
    assert found.children[2].losses == 1


def test_of_several_attempts_the_latest_says_how_the_child_stands(bucket: ArrayBucket) -> None:
    bucket.ended(0, 1, code=1)
    bucket.ended(0, 2, code=1)
    bucket.ended(0, 10, code=0)
    found = read(bucket).found
    assert [record.attempt for record in found.attempts] == [1, 2, 10]
    assert (found.children[0].status, found.children[0].attempt) == (Status.SUCCEEDED, 10)


def test_a_claim_without_a_record_is_under_way_while_its_instance_lives(bucket: ArrayBucket) -> None:
    instances = launched(bucket, [[[0, 0, 1, 1, 1]], [[1, 1, 1, 1, 1]]])
    bucket.put("0/1/claim.json", {"instance_id": instances[0], "at": 1_769_500_000})
    bucket.put("0/1/started.json", {"attempt": "x", "instance_id": instances[0], "at": 1_769_500_005})
    bucket.put("1/1/claim.json", {"instance_id": instances[1], "at": 1_769_500_000})
    taken = read(bucket)
    assert taken.found.attempts == ()
    assert [(row.status, row.started_at, row.instance_id) for row in taken.found.children.values()] == [
        (Status.RUNNING, from_seconds(1_769_500_005), instances[0]),
        (Status.STARTING, None, instances[1]),
    ]
    assert taken.under_way == {AttemptId(bucket.job.key, position, 1): instances[position] for position in (0, 1)}
    assert {seen.facts["InstanceId"] for seen in taken.instances} == set(instances)
    end(bucket, instances)


def test_a_claim_without_a_record_is_lost_when_its_instance_is_gone(bucket: ArrayBucket) -> None:
    bucket.put("0/1/claim.json", {"instance_id": "i-0123456789abcdef0", "at": 1_769_500_000})
    bucket.put("0/1/started.json", {"attempt": "x", "instance_id": "i-0123456789abcdef0", "at": 1_769_500_005})
    bucket.put("instances/i-0123456789abcdef0.json", {"instance_id": "i-0123456789abcdef0", "at": 1_769_500_300})
    (record,) = read(bucket).found.attempts
    assert record.outcome.is_lost
    assert record.outcome.status_reason == "Host EC2 (instance i-0123456789abcdef0) terminated."
    assert record.stopped_at == from_seconds(1_769_500_300)


def test_what_an_instance_was_launched_for_is_under_way_before_it_checks_in(bucket: ArrayBucket) -> None:
    instances = launched(bucket, [[[0, 0, 1, 2, 1]], [[2, 2, 3, 1, 1]]])
    bucket.ended(0, 1, instance=instances[0])
    bucket.ended(2, 1, code=1)
    taken = read(bucket)
    assert taken.under_way == {AttemptId(bucket.job.key, 1, 1): instances[0], AttemptId(bucket.job.key, 2, 3): instances[1]}
    assert [(position, Status(row.status), row.attempt) for position, row in taken.found.children.items()] == [
        (0, Status.SUCCEEDED, 1), (1, Status.STARTING, 1), (2, Status.STARTING, 3),
    ]  # fmt: skip
    end(bucket, instances)


def test_what_waits_in_a_queue_is_under_way_while_an_instance_takes_from_it(bucket: ArrayBucket) -> None:
    instances = launched(bucket, [[], []], pool="https://sqs.example.invalid/spawn")
    bucket.ended(1, 1)
    taken = read(bucket)
    assert taken.under_way == {AttemptId(bucket.job.key, position, 1): None for position in (0, 2, 3, 4)}
    end(bucket, instances)


def test_user_data_is_asked_for_once_a_launch(lab: Lab, bucket: ArrayBucket) -> None:
    instances = launched(bucket, [[[position, position, 1, 1, 1]] for position in range(5)])
    lab.calls.clear()
    assert len(read(bucket).under_way) == 5
    assert lab.calls.count("DescribeInstanceAttribute") == 1
    end(bucket, instances)


def test_a_record_that_cannot_be_understood_is_said_and_guessed_nothing_from(bucket: ArrayBucket) -> None:
    bucket.ended(0, 1)
    bucket.put("0/1/outcome.json", b"{ half")
    (record,) = read(bucket).found.attempts
    assert record.outcome.is_lost
    assert record.outcome.reason == "its record in the bucket could not be read"


def test_without_permission_to_ask_ec2_the_end_that_the_agent_confirmed_decides(lab: Lab, bucket: ArrayBucket) -> None:
    lab.add_fault(Fault(kind=FaultKind.DENIED, service="ec2"))
    for index, ends_at in ((0, NOW / 1000 + 60), (1, NOW / 1000 - 3600)):
        instance = f"i-{index:017x}"
        bucket.put(f"{index}/1/started.json", {"attempt": "x", "instance_id": instance, "at": 1_769_500_005})
        bucket.put(f"instances/{instance}.json", {"instance_id": instance, "at": 1_769_500_300, "ends_at": ends_at})
    found = read(bucket).found
    assert [Status(row.status) for row in found.children.values()] == [Status.RUNNING, Status.FAILED]


def test_a_thousand_logs_and_outputs_cost_no_page_each(lab: Lab, bucket: ArrayBucket) -> None:
    bucket.hook("provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 10})
    for index in range(5):
        bucket.ended(index, 1)
        for number in range(25):
            bucket.put(f"{index}/1/log/{number:016d}", b"x")
            bucket.put(f"{index}/1/output/{number}", b"x")
    lab.calls.clear()
    found = read_array(bucket.clients, bucket.job.id, bucket=bucket.bucket, at=NOW).found
    assert len(found.attempts) == 5
    assert lab.calls.count("ListObjectsV2") <= 20


def test_an_instance_that_outlives_its_attempt_is_adopted_with_its_end(lab: Lab) -> None:
    bucket = filled(lab, size=1, lifetime=Lifetime(ttl=timedelta(hours=2), on_complete=OnComplete.NONE))
    instances = launched(bucket, [[[0, 0, 1, 1, 1]]])
    bucket.ended(0, 1, instance=instances[0])
    bucket.put(f"instances/{instances[0]}.json", {"instance_id": instances[0], "at": 1_769_500_300, "ends_at": 1_769_507_000})
    (record,) = read(bucket).found.attempts
    assert (record.instance, record.instance_ends_at) == (InstanceState.RUNNING, from_seconds(1_769_507_000))
    end(bucket, instances)


def test_an_array_that_is_not_in_the_bucket_is_not_found(bucket: ArrayBucket) -> None:
    with pytest.raises(NotFound, match=r"there is no array 'array-1'.*--bucket"):
        read_array(bucket.clients, JobId("array-1"), bucket=bucket.bucket, at=NOW)


def test_the_bucket_is_that_of_the_account_and_region_when_none_is_named(lab: Lab) -> None:
    bucket = ArrayBucket(lab, cloud_job(lab, bucket="elsewhere"), f"spawn-{lab.account}-us-east-1")
    bucket.announce()
    assert read_array(bucket.clients, bucket.job.id, bucket=None, at=NOW).found.job.key == bucket.job.key


def test_a_document_of_another_wire_is_refused(bucket: ArrayBucket) -> None:
    bucket.put("array.json", {"wire": 7, "job": {}})
    with pytest.raises(ConfigurationError, match="speaks wire 7"):
        read(bucket)


def test_a_document_that_says_another_id_is_refused(bucket: ArrayBucket) -> None:
    bucket.job = replace(bucket.job, id=JobId("array-2"))
    bucket.announce()
    document = bucket.s3.get_object(Bucket=bucket.bucket, Key="arrays/array-2/array.json")["Body"].read()
    bucket.s3.put_object(Bucket=bucket.bucket, Key="arrays/array-20260127-100000/array.json", Body=document)
    with pytest.raises(ConfigurationError, match="is not of the array"):
        read_array(bucket.clients, JobId("array-20260127-100000"), bucket=bucket.bucket, at=NOW)


def test_a_launch_is_read_back_from_user_data_as_it_was_written() -> None:
    launch = {"members": [[[0, 0, 1, 3, 1]], []], "pool": None, "array": "ä"}
    written = embedded_or_none(launch, AGENT, None)
    assert written is not None
    assert launch_in(written) == launch
    made = staged(Staged(bucket="b", region="us-east-1", key="launch.json", sha256="0" * 64, endpoint=None), AGENT, None)
    assert launch_in(made) is None
    assert (is_staged(made), is_staged(written)) == (True, False)


@pytest.mark.parametrize(
    "user_data", [b"", b"#!/bin/sh\necho", b"\x1f\x8bno", f"\n{BEGIN}\n# !!\n{END}\n".encode(), gzip.compress(b"x", mtime=0)[:-9], base64.b64encode(b"x")]
)
def test_user_data_of_others_has_no_launch(user_data: bytes) -> None:
    assert launch_in(user_data) is None


def test_runs_stand_for_consecutive_positions() -> None:
    assert unrolled([[3, 30, 2, 3, 10], [9, 7, 1, 1, 1]]) == [(3, 2), (4, 2), (5, 2), (9, 1)]


def test_an_instance_that_ends_while_its_array_is_read_has_lost_nothing(bucket: ArrayBucket) -> None:
    instances = launched(bucket, [[[0, 0, 1, 1, 1]]])
    bucket.put("0/1/claim.json", {"instance_id": instances[0], "at": 1_769_500_000})
    bucket.hook("after-call.s3.ListObjectsV2", lambda **_: end(bucket, instances))
    taken = read(bucket)
    assert taken.found.attempts == ()
    assert taken.under_way == {AttemptId(bucket.job.key, 0, 1): instances[0]}


def test_an_instance_that_is_launched_while_its_array_is_read_is_alive(bucket: ArrayBucket) -> None:
    instances: list[str] = []

    def launch_one(**_: object) -> None:
        if not instances:
            instances.extend(launched(bucket, [[[0, 0, 1, 1, 1]]]))
            bucket.put("0/1/claim.json", {"instance_id": instances[0], "at": 1_769_500_000})

    bucket.hook("before-call.s3.ListObjectsV2", launch_one)
    assert read(bucket).under_way == {AttemptId(bucket.job.key, 0, 1): instances[0]}
    end(bucket, instances)


def test_the_cap_of_an_array_is_read_with_it(bucket: ArrayBucket) -> None:
    assert read(bucket).found.max_concurrent is None
    bucket.put("array.json", array_document(bucket.job, 1, max_concurrent=2))
    assert (read(bucket).found.max_concurrent, read(bucket).afoot.max_concurrent) == (2, 2)
