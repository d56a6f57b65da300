"""Instances, volumes and their tags as EC2 shows them, filtered and in pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from spawn.testing.ec2lab.instances import Instance, Volume
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.wire import Xml, fragment

T = TypeVar("T")
Looks = Mapping[str, Callable[[T], Sequence[str]]]
"""For each filter, what of a resource is compared with its values."""


def moment(seconds: float) -> datetime:
    """A time as answers have it."""
    return datetime.fromtimestamp(seconds, UTC)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as answers have them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def written(instance: Instance, account: str) -> Xml:
    """An instance as DescribeInstances shows it."""
    if instance.written is None:
        instance.written = fragment("Instance", _members(instance, account))
    return instance.written


def _members(one: Instance, account: str) -> dict[str, Any]:
    machine = one.machine
    on = one.ended_at is None
    host = f"ip-{machine.private_ip.replace('.', '-')}.ec2.internal"
    return {
        "InstanceId": one.id,
        "ImageId": machine.image,
        "State": one.state.shown(),
        "PrivateDnsName": host if on else "",
        "PublicDnsName": f"ec2-{one.public_ip.replace('.', '-')}.compute-1.amazonaws.com" if on and one.public_ip else "",
        "StateTransitionReason": one.transition,
        "KeyName": machine.key_name,
        "AmiLaunchIndex": machine.launch_index,
        "InstanceType": machine.type,
        "LaunchTime": moment(one.started_at),
        "Placement": {"AvailabilityZone": machine.zone, "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "disabled"},
        "SubnetId": one.subnet if on else None,
        "VpcId": one.vpc if on else None,
        "PrivateIpAddress": machine.private_ip if on else None,
        "PublicIpAddress": one.public_ip if on else None,
        "StateReason": one.cause.shown() if one.cause else None,
        "Architecture": machine.architecture,
        "RootDeviceType": "ebs",
        "RootDeviceName": one.root_device,
        "VirtualizationType": "hvm",
        "ClientToken": machine.token,
        "Tags": tag_list(one.tags),
        "SecurityGroups": [{"GroupId": group, "GroupName": name} for group, name in one.groups] if on else [],
        "Hypervisor": "xen",
        "BlockDeviceMappings": [{"DeviceName": one.root_device, "Ebs": {"VolumeId": one.volumes[0], "Status": "attached", "DeleteOnTermination": True}}]
        if on
        else [],
        "IamInstanceProfile": {"Arn": f"arn:aws:iam::{account}:instance-profile/{machine.profile}", "Id": "AIPA"} if machine.profile else None,
        "InstanceLifecycle": "spot" if machine.spot else None,
        "SpotInstanceRequestId": one.spot_request,
        "EbsOptimized": False,
        "EnaSupport": True,
        "HibernationOptions": {"Configured": one.hibernates},
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
    }


INSTANCE_LOOKS: Final[Looks[Instance]] = {
    "availability-zone": lambda one: [one.machine.zone],
    "architecture": lambda one: [one.machine.architecture],
    "client-token": lambda one: [one.machine.token],
    "image-id": lambda one: [one.machine.image],
    "instance-id": lambda one: [one.id],
    "instance-lifecycle": lambda one: ["spot"] if one.machine.spot else [],
    "instance-state-code": lambda one: [str(one.state.value[0])],
    "instance-state-name": lambda one: [one.state.word],
    "instance-type": lambda one: [one.machine.type],
    "instance.group-id": lambda one: [group for group, _ in one.groups],
    "instance.group-name": lambda one: [name for _, name in one.groups],
    "key-name": lambda one: [one.machine.key_name] if one.machine.key_name else [],
    "private-ip-address": lambda one: [one.machine.private_ip],
    "reservation-id": lambda one: [one.reservation],
    "spot-instance-request-id": lambda one: [one.spot_request] if one.spot_request else [],
    "subnet-id": lambda one: [one.subnet],
    "vpc-id": lambda one: [one.vpc],
}
VOLUME_LOOKS: Final[Looks[Volume]] = {
    "attachment.instance-id": lambda one: [one.instance_id] if one.instance_id else [],
    "attachment.status": lambda one: ["attached"] if one.instance_id else [],
    "availability-zone": lambda one: [one.zone],
    "status": lambda one: ["in-use" if one.instance_id else "available"],
    "volume-id": lambda one: [one.id],
    "volume-type": lambda one: [one.type],
}


def filtered(resources: Iterable[T], filters: Sequence[Mapping[str, Any]], looks: Looks[T], tags_of: Callable[[T], Mapping[str, str]]) -> list[T]:
    """Those that meet every filter; Refused for a filter that there is none of."""
    found = list(resources)
    for each in filters:
        name, wanted = str(each.get("Name", "")), [str(value) for value in each.get("Values", ())]
        if name.startswith("tag:"):
            key = name[4:]
            found = [one for one in found if key in tags_of(one) and _any([tags_of(one)[key]], wanted)]
        elif name == "tag-key":
            found = [one for one in found if _any(list(tags_of(one)), wanted)]
        elif name == "tag-value":
            found = [one for one in found if _any(list(tags_of(one).values()), wanted)]
        elif name in looks:
            look = looks[name]
            found = [one for one in found if _any(look(one), wanted)]
        else:
            raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")
    return found


def _any(values: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(value == each or (("*" in each or "?" in each) and fnmatchcase(value, each.replace("[", "[[]"))) for value in values for each in wanted)


def page(
    resources: list[T], members: Mapping[str, Any], mark: Callable[[T], int], *, least: int = 5, most: int = 1000, usual: int | None = None
) -> tuple[list[T], str | None]:
    """The page that a request asks for, and the token of the next. `mark` numbers resources in the order in which they are shown;
    a page has `least` to `most`, and `usual` (None: all) when the request does not say."""
    size = members.get("MaxResults", usual)
    if size is not None and not least <= size <= most:
        raise Refused("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between {least} and {most}.")
    token = members.get("NextToken")
    if token:
        try:
            after = int(base64.b64decode(token, validate=True))
        except ValueError:
            raise Refused("InvalidNextToken", f"The token '{token}' is invalid.") from None
        resources = [one for one in resources if mark(one) > after]
    if size is None or len(resources) <= size:
        return resources, None
    return resources[:size], base64.b64encode(str(mark(resources[size - 1])).encode()).decode()


def volume_members(one: Volume) -> dict[str, Any]:
    """A volume as DescribeVolumes shows it."""
    attachment = {
        "VolumeId": one.id,
        "InstanceId": one.instance_id,
        "Device": one.device,
        "State": "attached",
        "DeleteOnTermination": one.deleted_with_instance,
    }
    return {
        "VolumeId": one.id,
        "Size": one.size,
        "VolumeType": one.type,
        "AvailabilityZone": one.zone,
        "CreateTime": moment(one.created_at),
        "State": "in-use" if one.instance_id else "available",
        "Encrypted": False,
        "Attachments": [attachment] if one.instance_id else [],
        "Tags": tag_list(one.tags),
    }
