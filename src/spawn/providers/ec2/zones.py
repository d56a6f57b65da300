"""Where instances may stand: regions, subnets and their zones, security groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from spawn.domain.errors import ConfigurationError, InvalidField, NotFound, SpawnError
from spawn.providers.ec2.asking import pages, patiently
from spawn.providers.ec2.clients import Clients


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A subnet, which stands for its zone."""

    region: str
    zone: str
    subnet: str
    vpc: str
    public: bool  #: whether it gives instances a public address


def check_regions(clients: Clients, names: Sequence[str]) -> None:
    """Refuse regions that do not exist or are not enabled; one that botocore knows is taken to exist."""
    for name in names:
        known = clients.known_regions()
        if name in known:
            continue
        listed = _listed(clients) or dict.fromkeys(known, "")
        if name not in listed:
            near = get_close_matches(name, sorted(listed), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(listed)[:20])}"
            raise InvalidField("--region", f"'{name[:60]}' is not an AWS region: {hint}")
        if listed[name] == "not-opted-in":
            raise ConfigurationError(f"--region: {name} is not enabled for this account: enable it in the account's settings, or name another one")


def _listed(clients: Clients) -> dict[str, str]:
    """The regions that EC2 tells of, and whether they are enabled; empty when it does not say."""
    try:
        ask = clients.client("ec2", clients.home_region()).describe_regions
        answer = patiently(lambda: ask(AllRegions=True), action="list regions")
    except SpawnError:
        return {}
    return {entry["RegionName"]: entry.get("OptInStatus", "") for entry in answer["Regions"]}


def named_subnets(clients: Clients, region: str, subnets: Sequence[str]) -> list[Place]:
    """Those of these subnets that a region has, in their order."""
    found = {place.subnet: place for place in _subnets(clients, region, "subnet-id", list(subnets))}
    return [found[subnet] for subnet in subnets if subnet in found]


def default_subnets(clients: Clients, region: str) -> list[Place]:
    """The subnets of a region's default VPC, one a zone, by zone; NotFound when there is none."""
    places = sorted(_subnets(clients, region, "default-for-az", ["true"]), key=lambda place: place.zone)
    if not places:
        raise NotFound(f"{region} has no default VPC with subnets: name subnets with --subnet-id, or run `aws ec2 create-default-vpc --region {region}`")
    return places


def _subnets(clients: Clients, region: str, name: str, values: list[str]) -> list[Place]:
    ask = clients.client("ec2", region).describe_subnets
    found = pages(ask, action=f"look up subnets in {region}", Filters=[{"Name": name, "Values": values}])
    return [
        Place(region=region, zone=entry["AvailabilityZone"], subnet=entry["SubnetId"], vpc=entry["VpcId"], public=bool(entry.get("MapPublicIpOnLaunch")))
        for page in found
        for entry in page["Subnets"]
        if entry.get("State", "available") == "available"
    ]


def groups_in(clients: Clients, region: str, groups: Sequence[str]) -> dict[str, str]:
    """The VPC of each of these security groups that a region has, by id."""
    ask = clients.client("ec2", region).describe_security_groups
    found = pages(ask, action=f"look up security groups in {region}", Filters=[{"Name": "group-id", "Values": list(groups)}])
    return {entry["GroupId"]: entry.get("VpcId", "") for page in found for entry in page["SecurityGroups"]}


def has_key(clients: Clients, region: str, name: str) -> bool:
    """Whether a region has a key pair of this name."""
    ask = clients.client("ec2", region).describe_key_pairs
    answer = patiently(lambda: ask(Filters=[{"Name": "key-name", "Values": [name]}]), action=f"look up the key pair '{name}' in {region}")
    return bool(answer["KeyPairs"])
