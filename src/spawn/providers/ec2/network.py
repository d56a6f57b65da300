"""The security group of instances that were given none: nothing may come in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from botocore.exceptions import ClientError

from spawn.domain.errors import NotFound
from spawn.domain.instants import Instant
from spawn.providers.ec2.asking import patiently
from spawn.providers.ec2.clients import Clients, code_of
from spawn.providers.ec2.storage import MADE
from spawn.providers.ec2.tags import LAUNCHED

GROUP: Final = "spawn"
"""The name of the group, one a VPC. Whoever connects to an instance by ssh opens port 22 of it for their own address."""


def groups_for(clients: Clients, region: str, subnets: Iterable[str], at: Instant) -> dict[str, str]:
    """The group of each of these subnets' VPCs, by subnet; made where it is missing. Again, or by two at once: the same. `at`: when it was last needed."""
    ec2 = clients.client("ec2", region)
    wanted = sorted(set(subnets))
    action = f"look up subnets in {region}"
    answer = patiently(lambda: ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": wanted}]), action=action)
    vpcs = {entry["SubnetId"]: entry["VpcId"] for entry in answer["Subnets"]}
    if gone := [subnet for subnet in wanted if subnet not in vpcs]:
        raise NotFound(f"cannot launch in {region}: {', '.join(gone)} is no longer there")
    groups = {vpc: _group(ec2, region, vpc, at) for vpc in sorted(set(vpcs.values()))}
    return {subnet: groups[vpc] for subnet, vpc in vpcs.items()}


def _group(ec2: Any, region: str, vpc: str, at: Instant) -> str:
    found = _find(ec2, region, vpc)
    if found is None:
        found = _make(ec2, region, vpc, at)
    else:
        tags = [{"Key": LAUNCHED, "Value": str(at // 1000)}]
        patiently(lambda: ec2.create_tags(Resources=[found], Tags=tags), action=f"tag the security group {found} in {region}")
    return found


def _find(ec2: Any, region: str, vpc: str) -> str | None:
    filters = [{"Name": "group-name", "Values": [GROUP]}, {"Name": "vpc-id", "Values": [vpc]}]
    answer = patiently(lambda: ec2.describe_security_groups(Filters=filters), action=f"look up the security group '{GROUP}' in {region}")
    return next((str(entry["GroupId"]) for entry in answer["SecurityGroups"]), None)


def _make(ec2: Any, region: str, vpc: str, at: Instant) -> str:
    tags = [{"Key": MADE, "Value": "security-group"}, {"Key": LAUNCHED, "Value": str(at // 1000)}, {"Key": "Name", "Value": GROUP}]
    specification = [{"ResourceType": "security-group", "Tags": tags}]
    action = f"make the security group '{GROUP}' in {region}"

    def make() -> str | None:
        try:
            made = ec2.create_security_group(GroupName=GROUP, Description="Instances of spawn: nothing comes in", VpcId=vpc, TagSpecifications=specification)
        except ClientError as error:
            if code_of(error) == "InvalidGroup.Duplicate":
                return None
            raise
        return str(made["GroupId"])

    made = patiently(make, action=action) or _find(ec2, region, vpc)
    if made is None:
        raise NotFound(f"cannot {action}: somebody else makes or removes it at this moment: try again")
    return made
