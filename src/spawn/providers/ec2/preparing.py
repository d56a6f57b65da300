"""What an array needs in its account before its first instance: a bucket, rights of its own and a security group; and their end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spawn.domain.errors import NotFound
from spawn.domain.fleets import Fleet
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.iam import make_profile, remove_profile, role_name
from spawn.providers.ec2.network import groups_for
from spawn.providers.ec2.storage import bucket_region, make_bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is there now."""

    bucket: str
    profile: str  #: the instance profile's name, for `IamInstanceProfile={"Name": …}`
    role: str | None  #: the array's own role; None: the profile is the user's
    security_groups: Mapping[str, tuple[str, ...]]  #: by subnet, for every offer's subnet: `SecurityGroupIds`
    fresh: bool  #: whether the profile was made just now, and EC2 may not know it for some seconds


def prepare(clients: Clients, job: Job) -> Prepared:
    """Make what is missing of an array's bucket, role, instance profile and security groups.

    Again, or by two at once: what is there is taken as it is. Raises SpawnError (see `clients.translate`) with what could not be made.
    """
    fleet = _fleet(job)
    _bucket(clients, fleet)
    own = fleet.options.instance_profile is None
    fresh = make_profile(clients, job) if own else False
    return Prepared(
        bucket=fleet.bucket,
        profile=fleet.options.instance_profile or role_name(job),
        role=role_name(job) if own else None,
        security_groups=_security_groups(clients, fleet, job.created_at),
        fresh=fresh,
    )


def dissolve(clients: Clients, job: Job) -> None:
    """Remove the role and the instance profile of an array, with the rights to its queue. Again: nothing. The bucket and security groups stay."""
    if _fleet(job).options.instance_profile is None:
        remove_profile(clients, job)


def _fleet(job: Job) -> Fleet:
    if job.fleet is None:
        raise ValueError(f"{job.id} does not run on EC2")
    return job.fleet


def _bucket(clients: Clients, fleet: Fleet) -> None:
    found = bucket_region(clients, fleet.bucket, fleet.bucket_region)
    if found is None and fleet.options.bucket is not None:
        raise NotFound(f"the bucket {fleet.bucket} is no longer there: make it again with `aws s3 mb s3://{fleet.bucket}`")
    if found is None:
        make_bucket(clients, fleet.bucket, fleet.bucket_region)


def _security_groups(clients: Clients, fleet: Fleet, at: Instant) -> dict[str, tuple[str, ...]]:
    given = {offer.subnet: offer.security_groups for offer in fleet.offers if offer.security_groups}
    wanted: dict[str, set[str]] = {}
    for offer in fleet.offers:
        if offer.subnet not in given:
            wanted.setdefault(offer.region, set()).add(offer.subnet)
    made = {subnet: (group,) for region, subnets in wanted.items() for subnet, group in groups_for(clients, region, subnets, at).items()}
    return given | made
