"""The computeResources of managed compute environments: what may be said of each kind of machine, and what is shown of it.

Most members name things of a cloud (images, subnets, roles). They are kept and shown, and nothing here is done by them: so none of them has to be given,
even where AWS Batch needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spawn.domain.errors import InvalidField
from spawn.domain.queues import Family, Machines

_FIELD: Final = "computeResources"
_NOT_OF_FARGATE: Final = (
    "allocationStrategy",
    "minvCpus",
    "desiredvCpus",
    "instanceTypes",
    "imageId",
    "ec2KeyPair",
    "instanceRole",
    "tags",
    "placementGroup",
    "bidPercentage",
    "spotIamFleetRole",
    "launchTemplate",
    "ec2Configuration",
    "scalingPolicy",
)
_OF_MANAGED_INSTANCES: Final = ("managedInstancesProvider", "capacityTags")
_EC2_DEFAULTS: Final[Mapping[str, object]] = {
    "allocationStrategy": "BEST_FIT",
    "minvCpus": 0,
    "instanceTypes": ["optimal"],
    "subnets": [],
    "securityGroupIds": [],
    "tags": {},
    "ec2Configuration": [{"imageType": "ECS_AL2023"}],
}
_FARGATE_DEFAULTS: Final[Mapping[str, object]] = {"subnets": [], "securityGroupIds": [], "tags": {}}
_MOST_OF_FARGATE: Final = {"subnets": 16, "securityGroupIds": 5}
_REMOVED_BY_NOTHING: Final = ("ec2KeyPair", "imageId", "placementGroup", "ec2Configuration", "subnets", "securityGroupIds")


def check(machines: Machines, max_vcpus: int | None, resources: Mapping[str, Any]) -> None:
    """Refuse members that this kind of machines does not have, and quantities out of their bounds (InvalidField).

    `resources` are all but type and maxvCpus; `max_vcpus` None: as many as the provider has.
    """
    family = machines.family
    if family is Family.FARGATE and (wrong := [name for name in _NOT_OF_FARGATE if name in resources]):
        raise InvalidField(f"{_FIELD}.{wrong[0]}", f"it does not apply to {machines.value}: leave it out")
    if family is not Family.MANAGED_INSTANCES and (wrong := [name for name in _OF_MANAGED_INSTANCES if name in resources]):
        raise InvalidField(f"{_FIELD}.{wrong[0]}", f"it goes with ECS_MANAGED_INSTANCES alone, not with {machines.value}")
    if family is Family.MANAGED_INSTANCES and "managedInstancesProvider" not in resources:
        raise InvalidField(f"{_FIELD}.managedInstancesProvider", "ECS_MANAGED_INSTANCES needs it")
    for name, most in _MOST_OF_FARGATE.items():
        if family is Family.FARGATE and len(resources.get(name, ())) > most:
            raise InvalidField(f"{_FIELD}.{name}", f"{len(resources[name])} are more than {most}")
    _check_vcpus(max_vcpus, resources)
    _check_others(resources)


def updated(machines: Machines, before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The members after an update: those given replace; empty ones remove, where an empty list says nothing of Fargate's."""
    after = dict(before)
    for name, value in changes.items():
        if name == "launchTemplate" and "" in (value.get("launchTemplateId"), value.get("launchTemplateName")):
            after.pop(name, None)
        elif name in _REMOVED_BY_NOTHING and not value:
            if machines.family is not Family.FARGATE:
                after.pop(name, None)
        elif name != "updateToLatestImageVersion":  # there are no images to be updated
            after[name] = value
    desired, present = changes.get("desiredvCpus"), before.get("desiredvCpus", 0)
    if desired is not None and desired < present:
        raise InvalidField(f"{_FIELD}.desiredvCpus", f"{desired} is less than the present {present}")
    return after


def shown(machines: Machines, max_vcpus: int, resources: Mapping[str, Any]) -> dict[str, Any]:
    """All members as DescribeComputeEnvironments shows them, with their defaults."""
    defaults = dict(_EC2_DEFAULTS if machines.family is Family.EC2 else _FARGATE_DEFAULTS)
    if machines.family is Family.EC2:
        defaults["desiredvCpus"] = resources.get("minvCpus", 0)
    return {"type": machines.value, "maxvCpus": max_vcpus, **defaults, **resources}


def _check_vcpus(most: int | None, resources: Mapping[str, Any]) -> None:
    least = resources.get("minvCpus", 0)
    if most is None:
        most = max(1, least, resources.get("desiredvCpus", least))
    if most < 1:
        raise InvalidField(f"{_FIELD}.maxvCpus", f"{most} is not 1 or more")
    if not 0 <= least <= most:
        raise InvalidField(f"{_FIELD}.minvCpus", f"{least} is not between 0 and the maxvCpus of {most}")
    desired = resources.get("desiredvCpus", least)
    if not least <= desired <= most:
        raise InvalidField(f"{_FIELD}.desiredvCpus", f"{desired} is not between the minvCpus of {least} and the maxvCpus of {most}")


def _check_others(resources: Mapping[str, Any]) -> None:
    bid = resources.get("bidPercentage", 100)
    if not 1 <= bid <= 100:
        raise InvalidField(f"{_FIELD}.bidPercentage", f"{bid} is not between 1 and 100")
    delay = resources.get("scalingPolicy", {}).get("minScaleDownDelayMinutes", 0)
    if delay != 0 and not 20 <= delay <= 10_080:
        raise InvalidField(f"{_FIELD}.scalingPolicy.minScaleDownDelayMinutes", f"{delay} is not 0, or between 20 and 10080")
    if len(resources.get("ec2Configuration", ())) > 2:
        raise InvalidField(f"{_FIELD}.ec2Configuration", f"{len(resources['ec2Configuration'])} are more than 2")
    template = resources.get("launchTemplate")
    if template is not None and ("launchTemplateId" in template) == ("launchTemplateName" in template):
        raise InvalidField(f"{_FIELD}.launchTemplate", "it has a launchTemplateId or a launchTemplateName, one of the two")
