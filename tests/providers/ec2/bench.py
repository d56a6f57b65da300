"""A fleet's work on an EC2 in memory, stepped by the test; for the rules of launching, thousands of times."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from spawn.domain.arrays import ArrayJob
from spawn.domain.fleets import Fleet
from spawn.domain.jobs import Job
from spawn.engine.news import ProviderEvent
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.preparing import Prepared
from spawn.providers.ec2.work import FleetWork
from spawn.testing.clock import ManualClock
from tests.domain.making import make_fleet, make_job
from tests.providers.ec2.fake_ec2 import Answer, FakeEc2

ZONES = ("us-east-1a", "us-east-1b", "us-west-2a")


class Bench:
    """A fleet's work on an EC2 in memory."""

    def __init__(self, directory: Path, answers: Sequence[Answer] = ()) -> None:
        self.clock = ManualClock()
        self.ec2 = FakeEc2(iter(answers), now=self.clock.now)
        self.events: list[ProviderEvent] = []
        self._path = directory / "ledger.db"
        self._place: str | None = None
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger(self._path)
        self.work = FleetWork(
            ledger=self.ledger,
            make_clients=lambda _: cast(Clients, self.ec2),
            chance=random.Random(1).random,
            calls_at_once=0,
            prepare=lambda _, job: Prepared(bucket="bucket", profile="worker", role=None, security_groups={}, fresh=False),
            dissolve=lambda _, job: None,
        )

    def restart(self) -> None:
        """Memory is gone."""
        self.ledger.close()
        self._open()

    def launch(self, job: Job) -> Job:
        """Hand over the first attempt of every child."""
        self.work.orders.admit(job, {})
        self.work.orders.start(ArrayJob(job), [(position, 1) for position in range(job.size)])
        return job

    def step(self) -> float:
        """A round; seconds until the next one is wanted."""
        wanted = self.work.step(self.clock.now())
        news = self.work.orders.news(self._place)
        self.events, self._place = self.events + news.events, news.place
        return 30.0 if wanted is None else max(0.0, (wanted - self.clock.now()) / 1000)

    def run(self, *, for_s: float = 7200.0) -> None:
        """Until nothing waits to be launched."""
        end = self.clock.now() + for_s * 1000
        while True:
            pause = self.step()
            self.check()
            if not self.ledger.one("SELECT 1 FROM attempt WHERE state IN ('wanted', 'launching')") and not self.open():
                return
            assert self.clock.now() < end, self.work.reasons
            self.clock.advance(pause)

    def open(self) -> list[Any]:
        """The launches without an answer."""
        return self.ledger.rows("SELECT * FROM launch WHERE state = 'open'")

    def check(self) -> None:
        """No attempt is a member of two launches that may happen, or have."""
        rows = self.ledger.rows("SELECT * FROM launch WHERE state IN ('open', 'done')")
        members = Counter[tuple[str, int, int]]()
        for row in rows:
            count = self.ledger.one("SELECT count(*) FROM instance WHERE token = ?", row["token"])[0] if row["state"] == "done" else row["count"]
            members.update((row["key"], *member) for each in json.loads(row["members"])[:count] for member in each)
        assert not members or max(members.values()) == 1, members

    def alive(self) -> list[dict[str, Any]]:
        """What runs in this EC2."""
        return [one for one in self.ec2.launched.values() if one["State"]["Name"] == "running"]

    def spread(self) -> Counter[str]:
        """How many instances each call asked for was launched, by zone."""
        return Counter(one["Placement"]["AvailabilityZone"] for one in self.ec2.launched.values())


@contextmanager
def bench(answers: Sequence[Answer] = ()) -> Iterator[Bench]:
    """A bench in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        made = Bench(Path(directory), answers)
        try:
            yield made
        finally:
            made.work.close()
            made.ledger.close()


def fleet_of(*, types: tuple[str, ...] = ("t3.micro",), zones: tuple[str, ...] = ZONES, quotas: dict[str, float] | None = None, **options: Any) -> Fleet:
    """A fleet with an offer for each type and zone."""
    like = make_fleet(**options)
    offers = tuple(replace(like.offers[0], type=kind, zone=zone, subnet=zone, region=zone[:-1]) for kind in types for zone in zones)
    return replace(like, account="1", offers=offers, quotas=quotas or {})


def cloud_job(size: int, **options: Any) -> Job:
    """A job for a fleet of these options."""
    return make_job(1, size, fleet=fleet_of(**options))
