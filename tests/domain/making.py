"""Jobs for tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from spawn.domain.costs import Price
from spawn.domain.dependencies import Dependency, Target, resolve
from spawn.domain.fleets import Fleet, FleetOptions, Offer
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.indexes import IndexSet
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.instants import Instant
from spawn.domain.jobs import Demand, Job, Work
from spawn.domain.retries import RetryStrategy

WORK = Work(script=None, command=("true",), environment={}, given=(), workdir="/", private_tmp=False, compat_env=True)


def make_fleet(**options: Any) -> Fleet:
    """A fleet of one offer, with these options."""
    offer = Offer(
        region="us-east-1",
        zone="us-east-1a",
        subnet="subnet-1",
        security_groups=("sg-1",),
        type="t3.micro",
        vcpus=2,
        memory_mib=1024,
        architecture="x86_64",
        ami="ami-1",
        root_device="/dev/xvda",
        on_demand=Price(usd=0.0104, source="a test", as_of="2026-01-01"),
        spot=None,
    )
    return Fleet(
        options=FleetOptions(**options),
        account="123456789012",
        bucket="spawn-123456789012-us-east-1",
        bucket_region="us-east-1",
        offers=(offer,),
        volume_gib=8,
        volume_usd_gib_month=0.08,
    )


def make_job(number: int, size: int | None = None, *, depends_on: Iterable[Dependency] = (), targets: Iterable[Target] = (), **facts: Any) -> Job:
    """A job with the number in its id and key; `size` None: a single job."""
    indexes = None if size is None else IndexSet(ranges=(range(size),))
    known = {target.job: target for target in targets}
    defaults: dict[str, Any] = {
        "id": JobId(f"job-{number}"),
        "key": ArrayKey(f"{number:010x}"),
        "name": f"job-{number}",
        "queue": "default",
        "indexes": indexes,
        "work": WORK,
        "demand": Demand(cpus=1000, memory=0),
        "retry": RetryStrategy(attempts=1),
        "timeout": None,
        "lifetime": Lifetime(on_complete=OnComplete.TERMINATE),
        "grace": timedelta(seconds=30),
        "max_failures": None,
        "tags": {},
        "depends_on": tuple(depends_on),
        "waits": resolve(tuple(depends_on), targets=known, indexes=indexes),
        "cloud": {},
        "created_at": Instant(number),
    }
    return Job(**(defaults | facts))
