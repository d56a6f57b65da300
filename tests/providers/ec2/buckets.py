"""An array on EC2 as its bucket tells of it, written as instances would write it."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from spawn.domain.ids import JobId
from spawn.domain.instances import Lifetime
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import EC2_PLACE
from spawn.providers.ec2.adopting import Taken, read_array
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.stored import array_document
from spawn.providers.ec2.tags import tags_of
from spawn.providers.ec2.userdata import Fetched, embedded_or_none
from spawn.testing.ec2lab.lab import Lab
from tests.domain.making import make_fleet, make_job

NOW = Instant(1_769_600_000_000)
AGENT = Fetched(url="https://example.invalid/spored", sha256="0" * 64)

_NUMBERS = itertools.count(1)


@cache
def clients_of(endpoint: str, settings: tuple[tuple[str, str], ...]) -> Clients:
    """Clients take longer to make than a test."""
    return Clients(dict(settings))


def cloud_job(lab: Lab, *, size: int = 3, lifetime: Lifetime | None = None, regions: tuple[str, ...] = ("us-east-1",), **options: Any) -> Job:
    """An array with a key and a bucket that no other test has."""
    like = make_fleet(**options)
    offers = tuple(replace(like.offers[0], region=region, zone=f"{region}a") for region in regions)
    number = next(_NUMBERS)
    fleet = replace(like, account=lab.account, bucket=f"bucket-{number}", offers=offers)
    return make_job(number, size, id=JobId("array-20260127-100000"), name="array", queue=EC2_PLACE, fleet=fleet, lifetime=lifetime or Lifetime())


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the files of attempts are here."""

    root: Path

    def directory(self, job: Job) -> Path:
        """Everything of one job."""
        return self.root

    def log(self, job: Job, position: int, attempt: int) -> Path:
        """An attempt's log."""
        return self.root / "0" / f"{job.index_at(position)}-{attempt}.log"

    def output(self, job: Job, position: int, attempt: int) -> Path:
        """An attempt's outputs."""
        return self.root / "0" / f"{job.index_at(position)}-{attempt}.out"

    def runner_directory(self, job: Job) -> str:
        """Nowhere."""
        return ""

    def session_spec(self, job: Job) -> dict[str, object]:
        """Nothing."""
        return {}


class ArrayBucket:
    """Writes objects of one array."""

    def __init__(self, lab: Lab, job: Job, name: str | None = None) -> None:
        self.clients = clients_of(lab.endpoint, tuple(lab.environment().items()))
        self._hooks: list[tuple[str, Any]] = []
        self.s3 = self.clients.client("s3", "us-east-1")
        self.job = job
        assert job.fleet is not None
        self.bucket = name or job.fleet.bucket
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, name: str, content: bytes | dict[str, Any]) -> None:
        """An object below the array's prefix."""
        body = content if isinstance(content, bytes) else json.dumps({"wire": 1, **content}).encode()
        self.s3.put_object(Bucket=self.bucket, Key=f"arrays/{self.job.id}/{name}", Body=body)

    def hook(self, event: str, handler: Any) -> None:
        """Have a handler called at an event of the S3 client, until `unhook`."""
        self.s3.meta.events.register(event, handler)
        self._hooks.append((event, handler))

    def unhook(self) -> None:
        """Let the client be as it was."""
        for event, handler in self._hooks:
            self.s3.meta.events.unregister(event, handler)

    def announce(self) -> None:
        """array.json."""
        self.put("array.json", array_document(self.job, 1))

    def ended(self, index: int, attempt: int, *, instance: str = "i-0000000000000000a", **facts: Any) -> None:
        """Everything that an attempt leaves which ended; with code 0 unless said otherwise."""
        begun = {"attempt": f"{self.job.key}:{index}:{attempt}", "instance_id": instance, "at": 1_769_500_000.0 + attempt}
        self.put(f"{index}/{attempt}/claim.json", begun)
        self.put(f"{index}/{attempt}/started.json", begun)
        outcome = {"instance_id": instance, "started_at": begun["at"], "ended_at": 1_769_500_060.0 + attempt, "end": "ended", "code": 0, "signal": None}
        outcome |= {"why": None, "reason": None, "completed": None, "user": 1.5, "system": 0.5, "maxrss": 2048}
        self.put(f"{index}/{attempt}/outcome.json", outcome | facts)


def filled(lab: Lab, **facts: Any) -> ArrayBucket:
    """The bucket of an array that was launched."""
    bucket = ArrayBucket(lab, cloud_job(lab, **facts))
    bucket.announce()
    return bucket


def read(bucket: ArrayBucket) -> Taken:
    """What there is to be taken over."""
    return read_array(bucket.clients, bucket.job.id, bucket=bucket.bucket, at=NOW)


def launched(bucket: ArrayBucket, members: list[list[list[int]]], *, pool: str | None = None) -> list[str]:
    """Instances of a launch, one for each of `members`."""
    launch = {"members": members, "pool": pool, "token": "t"}
    user_data = embedded_or_none(launch, AGENT, 3600)
    assert user_data is not None
    tags = [{"Key": key, "Value": value} for key, value in tags_of(bucket.job, owner="me", launched_at=NOW).items()]
    answer = bucket.clients.client("ec2").run_instances(
        ImageId=bucket.clients.client("ssm").get_parameter(Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")["Parameter"]["Value"],
        InstanceType="t3.micro",
        MinCount=len(members),
        MaxCount=len(members),
        ClientToken=f"{bucket.job.key}",
        UserData=user_data,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return [one["InstanceId"] for one in sorted(answer["Instances"], key=lambda one: one["AmiLaunchIndex"])]


def end(bucket: ArrayBucket, instances: list[str]) -> None:
    """Terminate instances."""
    bucket.clients.client("ec2").terminate_instances(InstanceIds=instances)
