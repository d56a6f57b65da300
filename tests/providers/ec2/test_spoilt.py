"""Objects of the bucket that are not what an instance writes: one of them spoils nothing but what it is about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from spawn.domain.errors import ProviderUnavailable
from spawn.domain.hindrances import Because
from spawn.domain.ids import AttemptId
from spawn.engine.news import Ended, Lost, Started
from spawn.providers.ec2.objects import ENGINE, claim
from spawn.providers.ec2.settling import UNREADABLE
from spawn.providers.ec2.turn import Array, Crew, Turn
from tests.providers.ec2.bench import bench, cloud_job
from tests.providers.ec2.driving import Driven, driven, lasting


def put(fleet: Driven, array: str, name: str, content: bytes) -> None:
    """Write an object below an array's prefix, as everybody may who may write there."""
    fleet.clients.client("s3", "us-east-1").put_object(Bucket=fleet.bucket, Key=f"arrays/{array}/{name}", Body=content)


@pytest.mark.parametrize(
    ("name", "content", "lost"),
    [
        ("news/999-1-ended", b"i-1", False),
        ("news/99999999999999999999-1-ended", b"i-1", False),
        ("0/1/outcome.json", b"{not json", True),
        ("0/1/outcome.json", b"{}", True),
        ("0/1/outcome.json", b'{"instance_id": "i-1", "started_at": 1e300, "ended_at": 1, "end": "ended"}', True),
        ("0/1/claim.json", b"[]", True),
        ("instances/INSTANCE.json", b"{bad", False),
        ("instances/INSTANCE.json", b'{"at": "soon"}', False),
    ],
)
def test_what_is_not_understood_costs_its_own_attempt_at_most_and_no_other_array(tmp_path: Path, name: str, content: bytes, lost: bool) -> None:
    with driven(tmp_path, acts=lasting(60)) as fleet:
        job, other = fleet.job(2), fleet.job(2)
        fleet.start(job)
        fleet.run(until=lambda: Counter(type(event) for event in fleet.events)[Started] == 2)
        instance = fleet.reader.instances(job.key)[0].instance_id
        put(fleet, job.id, name.replace("INSTANCE", instance), content)
        put(fleet, job.id, "news/0-1-ended", instance.encode())
        fleet.start(other)
        fleet.step(look=True)
        if lost:
            fleet.lab.kill(instance)
        fleet.run()
        ends = fleet.ends(job) | fleet.ends(other)
        assert len(ends) == 4
        first = ends.pop(AttemptId(job.key, 0, 1))
        assert all(isinstance(end, Ended) for end in ends.values())
        if lost:
            assert isinstance(first, Lost)
            assert first.why == UNREADABLE
        else:
            assert isinstance(first, Ended)


def test_what_an_instance_may_be_claiming_at_this_moment_is_not_taken_for_unclaimed() -> None:
    with bench() as at:
        job = at.launch(cloud_job(1))
        at.step()
        turn = Turn(ledger=at.ledger, memory=at.work._memory, crew=Crew(0), now=at.clock.now())
        [array] = turn.arrays()
        assert isinstance(array, Array)
        name = f"arrays/{job.id}/0/1/claim.json"
        at.ec2.refusals["PutObject"] = ["ConditionalRequestConflict"]
        with pytest.raises(ClientError, match="ConditionalRequestConflict"):
            claim(turn, array, 0, 1)
        assert name not in at.ec2.objects
        at.ec2.refusals["PutObject"] = ["PreconditionFailed"]  # and it is gone again when it is read
        with pytest.raises(ProviderUnavailable, match=r"claim\.json"):
            claim(turn, array, 0, 1)
        assert claim(turn, array, 0, 1) == ENGINE


def test_while_a_bucket_cannot_be_read_that_is_said_and_not_that_agents_are_silent(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(3000)) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))

        def refuse(place: str) -> None:
            if place == "before list_objects_v2":
                raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": "it is gone"}}, "ListObjectsV2")

        fleet.kill = refuse
        fleet.pass_time(900)
        fleet.step(look=True)
        [(why, count)] = fleet.work.reasons[job.key].items()
        assert (why.because, count) == (Because.UNHEARD, 1)
        assert "it is gone" in why.sentence
