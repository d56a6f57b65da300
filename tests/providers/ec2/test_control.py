"""What instances are told through control.json, by one machine or by several that follow the same array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from spawn.domain.fleets import Distribution
from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.providers.ec2.clients import code_of
from spawn.providers.ec2.orders import Afoot
from spawn.providers.ec2.views import LedgerReader
from tests.providers.ec2.bench import Bench, bench, cloud_job
from tests.providers.ec2.buckets import ArrayBucket

HOUR = 3_600_000


def said(at: Bench) -> dict[str, Any]:
    """What it says."""
    [body] = [body for key, body in at.ec2.objects.items() if key.endswith("/control.json")]
    found: dict[str, Any] = json.loads(body)
    return found


def ends_said(at: Bench) -> list[float | None]:
    """The ends that it names, in the order of the instances' names."""
    return [end * 1000 for _, end in sorted(said(at)["ends_at_of"].items())]


def extend(at: Bench, job: Job, position: int, to: int) -> Instant:
    """Move an end, and have it written."""
    at.work.orders.wish("extend", [AttemptId(job.key, position, 1)], float(to))
    at.step()
    return Instant(to)


@contextmanager
def two(size: int, **options: Any) -> Iterator[tuple[Bench, Bench, Job]]:
    """Two machines that follow the same array; the first one launched it."""
    with bench() as here, bench() as there:
        job = here.launch(cloud_job(size, zones=("us-east-1a",), **options))
        here.run()
        there.ec2 = here.ec2
        there.clock.advance((here.clock.now() - there.clock.now()) / 1000)
        of = {row["position"]: row["instance"] for row in here.ledger.rows("SELECT position, instance FROM attempt")}
        instances = tuple((name, "us-east-1", here.clock.now()) for name in sorted(set(of.values())))
        attempts = tuple((position, 1, name) for position, name in of.items())
        there.work.orders.take_over(Afoot(job=job, max_concurrent=None, attempts=attempts, instances=instances), {}, here.clock.now())
        there.step()
        yield here, there, job


def test_one_machine_alone_writes_it_with_one_call_each_time() -> None:
    with bench() as at:
        job = at.launch(cloud_job(2, zones=("us-east-1a",)))
        at.run()
        at.ec2.calls.clear()
        for number in (1, 2, 3):
            to = extend(at, job, number % 2, at.clock.now() + number * HOUR)
            assert to in ends_said(at)
            assert said(at)["seq"] == number
            at.restart()
        extend(at, job, 1, to)  # nothing new
        assert at.ec2.calls["put_object control.json"] == 3
        assert at.ec2.calls["get_object control.json"] == 0


def test_what_two_machines_wish_stands_together_and_the_newer_end_of_an_instance_wins() -> None:
    with two(3) as (here, there, job):
        first = extend(here, job, 0, here.clock.now() + HOUR)
        second = extend(there, job, 1, here.clock.now() + 2 * HOUR)
        assert ends_said(here) == [first, second]
        later = extend(there, job, 0, here.clock.now() + 3 * HOUR)
        third = extend(here, job, 2, here.clock.now() + 4 * HOUR)
        assert ends_said(here) == [later, second, third]
        assert said(here)["seq"] == 4
        shorter = extend(here, job, 0, here.clock.now() + HOUR // 2)
        assert ends_said(here) == [shorter, second, third]
        there.work.orders.wish("extend", [AttemptId(job.key, 0, 1)], float(later))  # as after a restart: not newer than what it was then
        there.step()
        assert ends_said(here) == [shorter, second, third]
        assert [facts.extended_to for facts in LedgerReader(here.ledger).instances(job.key).values()] == [shorter, second, third]


def test_what_one_machine_stops_the_other_does_not_let_go_on() -> None:
    with two(2, instances=1, per_instance=2, distribute=Distribution.STATIC) as (here, there, job):
        for at, position in ((here, 0), (there, 1), (here, 0)):
            at.ledger.write("UPDATE attempt SET state = 'begun' WHERE state = 'launched'")
            at.work.orders.wish("stop", [AttemptId(job.key, position, 1)], 5.0 + position)
            at.step()
        assert {attempt: how["grace_s"] for attempt, how in said(here)["stop"].items()} == {
            str(AttemptId(job.key, 0, 1)): 5.0,
            str(AttemptId(job.key, 1, 1)): 6.0,
        }
        there.ledger.write("UPDATE attempt SET state = 'over' WHERE position = 0")
        extend(there, job, 1, here.clock.now() + HOUR)
        assert list(said(here)["stop"]) == [str(AttemptId(job.key, 1, 1))]


def test_an_answer_that_was_lost_after_the_work_was_done_is_not_written_again() -> None:
    with bench() as at:
        job = at.launch(cloud_job(1))
        at.run()
        at.ec2.refusals["PutObject"] = ["lost"]
        to = extend(at, job, 0, at.clock.now() + HOUR)
        at.clock.advance(5)
        at.step()
        assert ends_said(at) == [to]
        assert said(at)["seq"] == 1
        to = extend(at, job, 0, at.clock.now() + 2 * HOUR)
        assert (ends_said(at), said(at)["seq"]) == ([to], 2)


def test_what_somebody_deleted_or_spoilt_is_written_again_in_full() -> None:
    with bench() as at:
        job = at.launch(cloud_job(2, zones=("us-east-1a",)))
        at.run()
        first = extend(at, job, 0, at.clock.now() + HOUR)
        [key] = [key for key in at.ec2.objects if key.endswith("/control.json")]
        del at.ec2.objects[key]
        second = extend(at, job, 1, at.clock.now() + 2 * HOUR)
        assert ends_said(at) == [first, second]
        at.ec2.objects[key] = b"[]"
        third = extend(at, job, 1, at.clock.now() + 3 * HOUR)
        assert ends_said(at) == [first, third]
        assert said(at)["seq"] == 3


def test_the_laboratory_keeps_the_conditions_of_a_writing_as_s3_does(bucket: ArrayBucket) -> None:
    def put(key: str, **condition: str) -> str:
        try:
            return str(bucket.s3.put_object(Bucket=bucket.bucket, Key=key, Body=b"{}", **condition)["ETag"])
        except ClientError as error:
            return code_of(error)

    etag = put("one", IfNoneMatch="*")
    assert put("one", IfNoneMatch="*") == "PreconditionFailed"
    assert put("one", IfMatch=etag) == etag
    assert put("one", IfMatch='"another"') == "PreconditionFailed"
    assert put("none", IfMatch=etag) == "NoSuchKey"
