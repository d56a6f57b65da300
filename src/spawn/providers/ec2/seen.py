"""Instances of an array as EC2 describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spawn.domain.errors import SpawnError
from spawn.domain.instants import Instant, from_seconds
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.providers.ec2.asking import pages
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.tags import KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An instance of the array as EC2 describes it."""

    region: str
    facts: Mapping[str, Any]  #: of DescribeInstances

    @property
    def state(self) -> InstanceState:
        """Its state, in EC2's words."""
        return InstanceState(self.facts["State"]["Name"])

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.facts["InstanceId"])

    @property
    def launched_at(self) -> Instant:
        """When it was launched, or last started."""
        return from_seconds(self.facts["LaunchTime"].timestamp())


def array_instances(clients: Clients, job: Job) -> tuple[dict[str, Seen], bool]:
    """The array's instances that EC2 knows, and whether it could be asked in all of the array's regions."""
    assert job.fleet is not None
    found: dict[str, Seen] = {}
    asked = True
    for region in dict.fromkeys(offer.region for offer in job.fleet.offers):
        filters = [{"Name": f"tag:{KEY}", "Values": [job.key]}]
        try:
            for page in pages(clients.client("ec2", region).describe_instances, action=f"look for instances of {job.id} in {region}", Filters=filters):
                for reservation in page["Reservations"]:
                    for facts in reservation["Instances"]:
                        found[facts["InstanceId"]] = Seen(region=region, facts=facts)
        except SpawnError:
            asked = False
    return found, asked
