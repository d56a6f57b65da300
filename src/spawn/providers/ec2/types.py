"""Instance types: what a region knows of those that a launch names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from spawn.domain.errors import InvalidField
from spawn.providers.ec2.asking import pages
from spawn.providers.ec2.clients import Clients

FIELD = "--instance-type"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFacts:
    """A type as a region offers it."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]  #: of x86_64 and arm64
    spot: bool  #: whether it can be had on the spot market
    hibernates: bool

    @property
    def family(self) -> str:
        """`c7i` of `c7i.large`."""
        return self.name.partition(".")[0]


def types_in(clients: Clients, region: str, names: Sequence[str]) -> dict[str, TypeFacts]:
    """Those of these types that a region has, by name, in the order of `names`."""
    wanted = [{"Name": "instance-type", "Values": list(dict.fromkeys(names))}]
    ask = clients.client("ec2", region).describe_instance_types
    action = f"look up instance types in {region}"
    found = {entry["InstanceType"]: _facts(entry) for page in pages(ask, action=action, Filters=wanted) for entry in page["InstanceTypes"]}
    return {name: found[name] for name in names if name in found}


def zones_with(clients: Clients, region: str, names: Sequence[str]) -> dict[str, set[str]]:
    """The availability zones of a region that have each of these types, by type; a type without any is not in it."""
    wanted = [{"Name": "instance-type", "Values": list(dict.fromkeys(names))}]
    ask = clients.client("ec2", region).describe_instance_type_offerings
    action = f"look up which zones of {region} have which instance types"
    found: dict[str, set[str]] = {}
    for page in pages(ask, action=action, LocationType="availability-zone", Filters=wanted):
        for offering in page["InstanceTypeOfferings"]:
            found.setdefault(offering["InstanceType"], set()).add(offering["Location"])
    return found


def unknown_type(clients: Clients, regions: Sequence[str], name: str) -> InvalidField:
    """The refusal of a type that none of these regions has; it names types that are spelled alike."""
    known: set[str] = set()
    ask = clients.client("ec2", regions[0]).describe_instance_type_offerings
    for page in pages(ask, action=f"list the instance types of {regions[0]}", LocationType="region"):
        known |= {offering["InstanceType"] for offering in page["InstanceTypeOfferings"]}
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"`aws ec2 describe-instance-type-offerings --region {regions[0]}` lists what is there"
    return InvalidField(FIELD, f"'{name[:60]}' is not an instance type that {' or '.join(regions)} has: {hint}")


def _facts(entry: dict[str, Any]) -> TypeFacts:
    supported = entry.get("ProcessorInfo", {}).get("SupportedArchitectures", ())
    return TypeFacts(
        name=entry["InstanceType"],
        vcpus=entry["VCpuInfo"]["DefaultVCpus"],
        memory_mib=entry["MemoryInfo"]["SizeInMiB"],
        architectures=tuple(architecture for architecture in supported if architecture in ("x86_64", "arm64")),
        spot="spot" in entry.get("SupportedUsageClasses", ("spot",)),
        hibernates=bool(entry.get("HibernationSupported")),
    )
