"""What S3 answers to a fleet's work: what is not deleted, and whose bucket it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawn.domain.errors import ConfigurationError
from spawn.domain.jobs import Job
from spawn.providers.ec2.storage import bucket_region
from tests.providers.ec2.driving import Driven, driven
from tests.providers.ec2.labs import clients_of, lab, plan_in, wish


def discarded(fleet: Driven, job: Job) -> list[str]:
    """The directories that are told to be gone, once the array's files are to be deleted."""
    fleet.work.orders.forget(job.key)
    directory = fleet.directory / f"{job.id}.{job.key}"
    directory.mkdir()
    gone: list[str] = []
    fleet.work.discard(str(directory), gone.append)
    return gone


def left(fleet: Driven, job: Job) -> int:
    """How many objects of an array are in the bucket."""
    answer = fleet.clients.client("s3", "us-east-1").list_objects_v2(Bucket=fleet.bucket, Prefix=f"arrays/{job.id}/")
    return int(answer["KeyCount"])


def test_an_array_whose_objects_may_not_be_deleted_is_kept_until_they_may(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run()
        gone = discarded(fleet, job)
        fleet.lab.forbid("s3:DeleteObject")
        fleet.step()
        assert gone == []
        assert left(fleet, job) > 0
        assert fleet.reader.job(job.key) is not None
        fleet.lab.forbid()
        fleet.run(300, until=lambda: bool(gone))
        assert left(fleet, job) == 0
        assert fleet.reader.job(job.key) is None


def test_who_may_not_delete_objects_hears_of_every_end_all_the_same(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        fleet.lab.forbid("s3:DeleteObject")
        job = fleet.job(3)
        fleet.start(job)
        fleet.run(1200)
        assert len(fleet.ends(job)) == 3
        assert len(fleet.events) == len(set(fleet.events))


def test_a_bucket_that_somebody_else_made_under_our_name_is_not_used() -> None:
    with lab() as stranger, lab() as where:
        name = f"spawn-{where.account}-us-east-1"
        clients_of(stranger).client("s3", "us-east-1").create_bucket(Bucket=name)
        with pytest.raises(ConfigurationError, match="belongs to another account"):
            plan_in(where, wish())


def test_a_bucket_of_another_account_that_is_named_is_used() -> None:
    with lab() as partner, lab() as where:
        clients_of(partner).client("s3", "us-east-1").create_bucket(Bucket="shared-by-both")
        assert plan_in(where, wish(bucket="shared-by-both")).fleet.bucket == "shared-by-both"


def test_urls_in_user_data_can_be_fetched_without_a_header() -> None:
    with lab() as where:
        s3 = clients_of(where).client("s3", "us-east-1")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": f"spawn-{where.account}-us-east-1", "Key": "agent"}, ExpiresIn=60)
        assert "expected-bucket-owner" not in url


def test_who_may_not_look_at_objects_waits_for_the_permission(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        job = fleet.job(2)
        fleet.lab.forbid("s3:GetObject")
        fleet.start(job)
        fleet.run(60, until=lambda: fleet.clock.now() > job.created_at + 30_000)
        assert fleet.ends(job) == {}
        assert any("`spawn access`" in why.sentence for why in fleet.work.reasons[job.key])
        fleet.lab.forbid()
        fleet.run()
        assert len(fleet.ends(job)) == 2


def test_credentials_that_expire_while_a_bucket_is_looked_up_are_told_of() -> None:
    with lab() as where:
        clients = clients_of(where)
        where.sign_in("expired")
        with pytest.raises(ConfigurationError, match="the credentials may have expired"):
            bucket_region(clients, "mine", "us-east-1")
