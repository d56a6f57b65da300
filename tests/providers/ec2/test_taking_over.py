"""An array that was read from its bucket is in the store as if it had been launched here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spawn.domain.dependencies import Dependency, Waits
from spawn.domain.errors import Conflict
from spawn.domain.ids import JobId
from spawn.domain.indexes import IndexSet
from spawn.domain.instants import from_seconds
from spawn.domain.states import Status
from spawn.engine import commands
from spawn.engine.adopting import adopt
from spawn.testing.ec2lab.lab import Lab
from tests.engine.driving import Driven
from tests.providers.ec2.buckets import ArrayBucket, cloud_job, end, launched, read


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path)


def taken_in(driven: Driven, bucket: ArrayBucket) -> JobId:
    found = read(bucket).found
    return JobId(driven.do(lambda state: adopt(state, found)).id)


def test_an_adopted_array_stands_as_its_bucket_says_and_survives_a_restart(driven: Driven, bucket: ArrayBucket) -> None:
    bucket.ended(0, 1)
    bucket.ended(1, 1, code=3)
    bucket.ended(1, 2, code=0)
    bucket.ended(2, 1, code=9)
    job = taken_in(driven, bucket)
    for _ in range(2):
        row = driven.store.job(job)
        assert row is not None
        assert (row.status, row.counts[Status.SUCCEEDED], row.counts[Status.FAILED]) == (Status.FAILED, 2, 3)
        assert driven.store.attempts_made(bucket.job.key) == {0: 1, 1: 2, 2: 1}
        rows = dict(driven.store.rows(bucket.job.key))
        assert rows[2].stopped_at == from_seconds(1_769_500_061)
        assert row.base_reason is not None
        assert row.base_reason.startswith("Not started: ")
        driven.restart()


def test_adopting_launches_nothing_and_a_retry_goes_on_with_the_next_attempt(driven: Driven, bucket: ArrayBucket) -> None:
    bucket.ended(0, 1)
    bucket.ended(1, 1, code=3)
    bucket.ended(1, 2, code=3)
    job = taken_in(driven, bucket)
    driven.engine.turn()
    assert driven.cloud.started == []
    changed = driven.do(lambda state: commands.retry(state, job, [1, 4], dry_run=False))
    assert changed.positions == (1, 4)
    driven.engine.turn()
    assert {(attempt.position, attempt.attempt) for attempt in driven.cloud.started} == {(1, 3), (4, 1)}


def test_what_runs_goes_on_here(driven: Driven, bucket: ArrayBucket) -> None:
    instances = launched(bucket, [[[0, 0, 1, 1, 1]]])
    bucket.put("0/1/started.json", {"attempt": "x", "instance_id": instances[0], "at": 1_769_500_005})
    for index in range(1, 5):
        bucket.ended(index, 1)
    job = taken_in(driven, bucket)
    row = driven.store.job(job)
    assert row is not None
    assert (row.status, row.counts[Status.RUNNING]) == (Status.PENDING, 1)
    assert driven.engine.state.book.by_id[job].under_way[0].instance_id == instances[0]
    end(bucket, instances)


def test_an_array_that_is_here_already_is_not_taken_again(driven: Driven, bucket: ArrayBucket) -> None:
    bucket.ended(0, 1)
    job = taken_in(driven, bucket)
    with pytest.raises(Conflict, match=f"{job} is here already"):
        taken_in(driven, bucket)


def test_what_the_array_once_waited_for_is_not_waited_for_again(driven: Driven, lab: Lab) -> None:
    bucket = ArrayBucket(lab, cloud_job(lab, size=2))
    bucket.job = replace(bucket.job, depends_on=(Dependency(job=JobId("elsewhere")),), waits=Waits(whole=(JobId("elsewhere"),)))
    bucket.announce()
    bucket.ended(0, 1, code=1)
    job = taken_in(driven, bucket)
    assert driven.do(lambda state: commands.retry(state, job, [0], dry_run=False)).positions == (0,)


def test_indexes_with_gaps_find_their_places(driven: Driven, lab: Lab) -> None:
    bucket = ArrayBucket(lab, cloud_job(lab, size=3))
    bucket.job = replace(bucket.job, indexes=IndexSet.selection("3,10-11"))
    bucket.announce()
    bucket.ended(10, 1)
    bucket.ended(99, 1)
    assert list(read(bucket).found.children) == [1]
    assert json.loads(bucket.s3.get_object(Bucket=bucket.bucket, Key=f"arrays/{bucket.job.id}/array.json")["Body"].read())["job"]["indexes"] == "3,10-11"
