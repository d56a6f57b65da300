"""A fleet in a test's own hands: stepped by the test, against a laboratory whose clock the test moves, with instances that are acted.

How to drive it, for the tests of rules and of faults:

    with driven(tmp_path, plan=LabPlan(...), acts=ActPlan(...)) as fleet:
        job = fleet.job(100, instances=None, spot=True)     # a Job whose fleet was looked up in the laboratory
        fleet.start(job)                                    # as the engine does: attempt 1 of every child
        fleet.run()                                         # step and move the clock until nothing is open, or for so long
        fleet.events                                        # everything told so far, in order
        fleet.restart()                                     # the engine was killed: memory is gone, ledger and laboratory are not

`fleet.step()` is one round at the present time; it returns when the next one is wanted, and `fleet.pass_time(seconds)` lets time go on for
instances and laboratory. All of it happens in the caller's thread: the same plan, acts and calls give the same events.

An engine that is killed in the midst of a round is had with `fleet.kill`, which is called with `before NAME` and `after NAME` of every call
to AWS (NAME as boto3 has it): let it raise `Killed`, which goes through the round, and then `fleet.restart()`.

What must hold in the end, whatever happened: `fleet.is_over()`; `fleet.ends(job)` has every attempt that was handed over; each
attempt was told as Started at most once; every instance of `fleet.lab.lives()` is in `fleet.reader.lives(job.key)`, and none lives.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from spawn.domain.arrays import ArrayJob
from spawn.domain.costs import Price
from spawn.domain.fleets import Fleet, FleetOptions, Offer
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.domain.queues import EC2_PLACE
from spawn.engine.news import Dropped, Ended, Lost, ProviderEvent, Refused
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.preparing import Prepared
from spawn.providers.ec2.views import LedgerReader
from spawn.providers.ec2.work import FleetWork
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from spawn.testing.ec2lab.boot.acted import ActedMachines
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from tests.domain.making import make_job

ENDS = (Ended, Lost, Dropped, Refused)
_VCPUS = {"t3.micro": 2, "t3.small": 2, "c7i.large": 2, "m7i.xlarge": 4}
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
_TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
_ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sqs:*","ec2:*"],"Resource":"*"}]}'
_NUMBERS = itertools.count(1)


class Killed(BaseException):
    """The engine's process ended here."""


class Driven:
    """A laboratory, and one fleet's work on it."""

    def __init__(self, directory: Path, lab: Lab, clock: ManualClock, machines: Callable[[], ActedMachines]) -> None:
        self.directory = directory
        self.lab = lab
        self.clock = clock
        self.access = lab.environment()
        self.clients = Clients(self.access)
        self.events: list[ProviderEvent] = []
        self.jobs: list[Job] = []
        self.dissolved: list[JobId] = []
        self.kill: Callable[[str], None] = lambda _: None  #: called with the name of each call to AWS, before and after it
        self._machines = machines
        self.place: str | None = None  #: up to which events were heard
        self._bucket = f"bucket-{next(_NUMBERS)}"
        self._prepared = False
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger(self.directory / "ledger.db")
        self.work = FleetWork(
            ledger=self.ledger,
            make_clients=lambda _: cast(Clients, _Watched(self.clients, self)),
            chance=random.Random(7).random,
            calls_at_once=0,
            prepare=lambda _, job: self._prepare(job),
            dissolve=lambda _, job: self.dissolved.append(job.id),
        )
        self.reader = LedgerReader(self.ledger)

    def restart(self) -> None:
        """What a kill and a new engine do: memory is gone, the ledger and the laboratory are not."""
        self.ledger.close()
        self._open()

    def move(self, directory: Path) -> None:
        """Go on as another machine, whose ledger knows nothing; what was told so far was told there."""
        self.ledger.close()
        self.directory, self.place = directory, None
        self.events.clear()
        self._open()

    @property
    def bucket(self) -> str:
        """Where the arrays' objects are."""
        return self._bucket

    def _prepare(self, job: Job) -> Prepared:
        if not self._prepared:
            self.clients.client("s3", "us-east-1").create_bucket(Bucket=self._bucket)
            iam = self.clients.client("iam", "us-east-1")
            iam.create_role(RoleName="worker", AssumeRolePolicyDocument=_TRUST)
            iam.put_role_policy(RoleName="worker", PolicyName="all", PolicyDocument=_ALLOW)
            iam.create_instance_profile(InstanceProfileName="worker")
            iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
            self._prepared = True
        assert job.fleet is not None
        return Prepared(bucket=self._bucket, profile="worker", role="worker", security_groups={}, fresh=True)

    # --- what is launched -----------------------------------------------------------------------------------------------

    def job(
        self,
        size: int | None = 3,
        *,
        types: tuple[str, ...] = ("t3.micro",),
        zones: int = 3,
        ttl: timedelta | None = timedelta(hours=1),
        on_complete: OnComplete = OnComplete.TERMINATE,
        quotas: dict[str, float] | None = None,
        facts: dict[str, Any] | None = None,
        **options: Any,
    ) -> Job:
        """A job whose fleet is what the laboratory has: a subnet in each zone of us-east-1."""
        number = next(_NUMBERS)
        subnets = _subnets(self.clients)[:zones]
        offers = tuple(_offer(self.clients, kind, zone, subnet) for kind in types for zone, subnet in subnets)
        fleet = Fleet(
            options=FleetOptions(instance_types=types, **options),
            account=self.lab.account,
            bucket=self._bucket,
            bucket_region="us-east-1",
            offers=offers,
            quotas=quotas or {},
            volume_gib=8,
            volume_usd_gib_month=0.08,
        )
        lifetime = Lifetime(ttl=ttl, on_complete=on_complete)
        name = f"array-{number}"
        job = replace(make_job(number, size, id=JobId(name), name=name, queue=EC2_PLACE, fleet=fleet, lifetime=lifetime), **(facts or {}))
        self.work.orders.admit(job, self.access)
        self.jobs.append(job)
        return job

    def start(self, job: Job, attempts: list[tuple[int, int]] | None = None) -> None:
        """Hand attempts over (the first one of each child unless others are named), as the engine does; again and again if need be."""
        self.work.orders.start(ArrayJob(job), [(position, 1) for position in range(job.size)] if attempts is None else attempts)

    # --- time -----------------------------------------------------------------------------------------------------------

    def step(self, *, look: bool = False) -> Instant | None:
        """One round now; when the next one is wanted."""
        try:
            return self.work.step(self.clock.now(), look=look)
        finally:
            news = self.work.orders.news(self.place)
            self.events += news.events
            self.place = news.place

    def pass_time(self, seconds: float) -> None:
        """Let time go on, and instances do what they do in it."""
        end = self.clock.now() + round(seconds * 1000)
        while self.clock.now() < end:
            due = self._machines().due()
            until = end if due is None else min(end, max(self.clock.now() + 1, round(due * 1000) + 1))
            self.lab.advance((until - self.clock.now()) / 1000)
            self._machines().tick()
            self.lab.tick()

    def run(self, for_s: float = 3600.0, *, until: Callable[[], bool] | None = None) -> None:
        """Step and let time go on until it is so (nothing is open any more, unless something else is said); an error after so many seconds."""
        end, done = self.clock.now() + for_s * 1000, until or self.is_over
        while True:
            wanted = self.step()
            if done():
                return
            assert self.clock.now() < end, f"not so after {for_s} s: {self.states()} {self.work.reasons}"
            pause = 30.0 if wanted is None else (wanted - self.clock.now()) / 1000
            if pause > 0:
                self.pass_time(min(pause, 30.0))

    def is_over(self) -> bool:
        """Whether every attempt that was handed over has ended, and no instance lives."""
        return not self.ledger.one("SELECT 1 FROM attempt WHERE state <> 'over'") and not self.ledger.one("SELECT 1 FROM instance WHERE settled = 0")

    # --- what is looked at ----------------------------------------------------------------------------------------------

    def states(self) -> dict[str, int]:
        """How many attempts are in each state of the ledger."""
        return {row["state"]: row["n"] for row in self.ledger.rows("SELECT state, count(*) AS n FROM attempt GROUP BY state")}

    def ends(self, job: Job) -> dict[AttemptId, ProviderEvent]:
        """How each attempt ended, by what was told first."""
        found: dict[AttemptId, ProviderEvent] = {}
        for event in self.events:
            if isinstance(event, ENDS) and event.attempt.key == job.key:
                found.setdefault(event.attempt, event)
        return found

    def calls(self, action: str) -> int:
        """How many calls of an action the laboratory has answered, or failed to."""
        return Counter(call.action for call in self.lab.calls)[action]


def lasting(seconds: float, **more: Any) -> ActPlan:
    """Every attempt lasts so long."""
    return ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=seconds, **more))


class _Watched:
    """Clients that tell of each call before it is made and after it was answered."""

    def __init__(self, clients: Clients, fleet: Driven) -> None:
        self._clients = clients
        self._fleet = fleet

    def client(self, service: str, region: str | None = None) -> Any:
        """A client of that service."""
        return _WatchedClient(self._clients.client(service, region), self._fleet)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)


class _WatchedClient:
    def __init__(self, client: Any, fleet: Driven) -> None:
        self._client = client
        self._fleet = fleet

    def __getattr__(self, name: str) -> Any:
        made = getattr(self._client, name)

        def call(**asked: Any) -> Any:
            # who waits for AWS in a transaction lets everybody wait who asks the ledger something
            assert not self._fleet.ledger.is_writing, f"{name} was called in a transaction"
            self._fleet.kill(f"before {name}")
            answer = made(**asked)
            self._fleet.kill(f"after {name}")
            return answer

        return made if name.startswith("generate") else call


@contextmanager
def driven(directory: Path, *, plan: LabPlan | None = None, acts: ActPlan | None = None) -> Iterator[Driven]:
    """A laboratory of this plan with instances that act so, and a fleet's work on it."""
    clock, made = ManualClock(), list[ActedMachines]()

    def machines(hypervisor: Any) -> ActedMachines:
        made.append(ActedMachines(hypervisor, plan=acts or ActPlan(), clock=clock))
        return made[-1]

    with Lab(plan or LabPlan(), machines=machines, clock=clock) as lab:
        fleet = Driven(directory, lab, clock, lambda: made[-1])
        try:
            yield fleet
        finally:
            fleet.work.close()
            fleet.ledger.close()
        assert lab.failures == []


def _subnets(clients: Clients) -> list[tuple[str, str]]:
    answer = clients.client("ec2", "us-east-1").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    return sorted((subnet["AvailabilityZone"], subnet["SubnetId"]) for subnet in answer["Subnets"])


def _offer(clients: Clients, kind: str, zone: str, subnet: str) -> Offer:
    image = clients.client("ssm", "us-east-1").get_parameter(Name=IMAGE)["Parameter"]["Value"]
    price = Price(usd=0.0104, source="a test", as_of="2026-01-01")
    return Offer(
        region="us-east-1",
        zone=zone,
        subnet=subnet,
        security_groups=(),
        type=kind,
        vcpus=_VCPUS[kind],
        memory_mib=1024,
        architecture="x86_64",
        ami=image,
        root_device="/dev/xvda",
        on_demand=price,
        spot=price,
    )
