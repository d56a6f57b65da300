"""What EC2 lists, and what it means when it does not."""

from __future__ import annotations

from pathlib import Path

from spawn.engine.news import Ended
from tests.providers.ec2.driving import driven, lasting


def test_an_instance_whose_tags_somebody_removed_is_followed_to_its_end(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(600)) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run(until=lambda: fleet.states() == {"begun": 2})
        ec2 = fleet.clients.client("ec2", "us-east-1")
        [first, second] = [life.instance_id for life in fleet.lab.lives()]
        tags = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [first]}])["Tags"]
        ec2.delete_tags(Resources=[first], Tags=[{"Key": tag["Key"]} for tag in tags])
        fleet.run()
        ends = fleet.ends(job)
        assert [type(end) for end in ends.values()] == [Ended, Ended]
        assert {life.instance_id for life in fleet.reader.lives(job.key) if life.ended is not None} == {first, second}
        assert fleet.calls("TerminateInstances") == 0


def test_what_another_machine_is_told_of_its_own_attempts_is_left_to_it(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run(until=lambda: bool(fleet.lab.lives()))
        s3, hint = fleet.clients.client("s3", "us-east-1"), f"arrays/{job.id}/news/0-2-claimed"
        s3.put_object(Bucket=fleet.bucket, Key=hint, Body=b"")
        fleet.run()
        assert len(fleet.ends(job)) == 2
        listed = s3.list_objects_v2(Bucket=fleet.bucket, Prefix=f"arrays/{job.id}/news/").get("Contents", [])
        assert [entry["Key"] for entry in listed] == [hint]
