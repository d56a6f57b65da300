"""RunInstances."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_network
from typing import Any, Final

from spawn.testing.ec2lab.behind import Moto, Subnet
from spawn.testing.ec2lab.catalogue import InstanceType, instance_types
from spawn.testing.ec2lab.fleet import Fleet
from spawn.testing.ec2lab.images import Images
from spawn.testing.ec2lab.instances import Instance, Volume
from spawn.testing.ec2lab.launch_checks import check_tags, profile_name, user_data_of
from spawn.testing.ec2lab.machines import Machine
from spawn.testing.ec2lab.placing import Placing
from spawn.testing.ec2lab.plan import Image
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.stage import Stage

_HEX: Final = 68  # bits of an id: 17 digits
_KNOWN: Final = frozenset(
    (
        "BlockDeviceMappings", "ClientToken", "CreditSpecification", "DisableApiTermination", "DryRun", "EbsOptimized", "HibernationOptions",
        "IamInstanceProfile", "ImageId", "InstanceInitiatedShutdownBehavior", "InstanceMarketOptions", "InstanceType", "KeyName", "MaxCount",
        "MetadataOptions", "MinCount", "Monitoring", "NetworkInterfaces", "Placement", "SecurityGroupIds", "SecurityGroups", "SubnetId",
        "TagSpecifications", "UserData", "PrivateDnsNameOptions", "MaintenanceOptions",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a RunInstances call asks for, checked."""

    region: str
    image: Image
    type: InstanceType
    least: int
    most: int
    spot: bool
    max_price: float | None
    profile: str | None
    role: str | None
    groups: tuple[tuple[str, str], ...]
    user_data: bytes
    tags: Mapping[str, Mapping[str, str]]  #: by kind of resource
    members: Mapping[str, Any]

    @property
    def token(self) -> str:
        """The ClientToken."""
        return str(self.members.get("ClientToken", ""))


class Launching:
    """Called with the stage held, so that two calls with one token are one launch."""

    def __init__(self, stage: Stage, fleet: Fleet, placing: Placing, images: Images, moto: Moto, profile_age: Callable[[str], float | None]) -> None:
        self._stage = stage
        self._fleet = fleet
        self._placing = placing
        self._images = images
        self._moto = moto
        self._profile_age = profile_age
        self._tokens: dict[tuple[str, str], tuple[str, str, list[Instance]]] = {}

    def run(self, region: str, members: Mapping[str, Any]) -> tuple[str, list[Instance]]:
        """The reservation's id and its instances; Refused when none is launched."""
        print_ = sha256(json.dumps({name: value for name, value in members.items() if name != "DryRun"}, sort_keys=True, default=str).encode()).hexdigest()
        token = str(members.get("ClientToken", ""))
        known = self._tokens.get((region, token)) if token else None
        if known is not None:
            if known[0] != print_:
                raise Refused(
                    "IdempotentParameterMismatch",
                    "The client token you have provided is associated with a resource that is already deleted or with other parameters.",
                )
            return known[1], known[2]
        order = self._checked(region, members)
        subnet, count = self._placing.place(order.region, order.type, order.least, order.most, spot=order.spot, max_price=order.max_price, members=members)
        reservation = f"r-{self._stage.dice.getrandbits(_HEX):017x}"
        instances = [self._instance(order, subnet, reservation, index) for index in range(count)]
        volumes = [volume for instance in instances for volume in self._volumes(order, instance)]
        self._fleet.add(instances, volumes)
        if token:
            self._tokens[region, token] = (print_, reservation, instances)
        return reservation, instances

    # --- what is asked for ----------------------------------------------------------------------------------------------

    def _checked(self, region: str, members: Mapping[str, Any]) -> Order:
        strange = [name for name in members if name not in _KNOWN]
        if strange:
            raise Refused("UnsupportedOperation", f"The laboratory does not know RunInstances with {strange[0]}.")
        least, most = _counts(members)
        type_ = self._type(str(members.get("InstanceType", "m1.small")))
        if "ImageId" not in members:
            raise Refused("MissingParameter", "The request must contain the parameter ImageId")
        image = self._images.find(str(members["ImageId"]), region)
        if image.architecture != type_.architecture:
            raise Refused(
                "InvalidParameterValue",
                f"The architecture '{type_.architecture}' of the specified instance type does not match the architecture '{image.architecture}' of the "
                "specified AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use 'describe-instance-types' or "
                "'describe-images' to discover the architecture of the instance type or AMI.",
            )
        market = members.get("InstanceMarketOptions", {})
        spot = market.get("MarketType") == "spot"
        price = market.get("SpotOptions", {}).get("MaxPrice")
        profile = profile_name(members.get("IamInstanceProfile"))
        return Order(
            region=region, image=image, type=type_, least=least, most=most, spot=spot, max_price=None if price is None else float(price), profile=profile,
            role=None if profile is None else self._role(profile, members.get("IamInstanceProfile", {})), groups=self._groups(region, members),
            user_data=user_data_of(members), tags=self._tags(members), members=self._keyed(region, members),
        )  # fmt: skip

    def _type(self, name: str) -> InstanceType:
        type_ = instance_types().get(name)
        if type_ is None:
            raise Refused("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
        return type_

    def _role(self, profile: str, asked: Mapping[str, str]) -> str | None:
        roles = self._moto.profiles().get(profile)
        age = self._profile_age(profile)
        if roles is None or (age is not None and age < self._stage.plan.profile_lag_s):
            name, shown = ("iamInstanceProfile.arn", asked["Arn"]) if "Arn" in asked else ("iamInstanceProfile.name", profile)
            kind = "ARN" if "Arn" in asked else "name"
            raise Refused("InvalidParameterValue", f"Value ({shown}) for parameter {name} is invalid. Invalid IAM Instance Profile {kind}")
        return roles[0] if roles else None

    def _groups(self, region: str, members: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        known = self._moto.groups(region)
        asked = [*members.get("SecurityGroupIds", ()), *(group for each in members.get("NetworkInterfaces", ()) for group in each.get("Groups", ()))]
        for name in members.get("SecurityGroups", ()):
            found = next((group for group, (called, _) in known.items() if called == name), None)
            if found is None:
                raise Refused("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC")
            asked.append(found)
        for group in asked:
            if group not in known:
                raise Refused("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        asked = asked or [group for group, (name, vpc) in known.items() if name == "default" and vpc][:1]
        return tuple((group, known[group][0]) for group in asked)

    def _keyed(self, region: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        key = members.get("KeyName")
        if key is not None and key not in self._moto.keys(region):
            raise Refused("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
        return members

    def _tags(self, members: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        tags: dict[str, dict[str, str]] = {}
        for each in members.get("TagSpecifications", ()):
            kind = str(each.get("ResourceType", ""))
            if kind not in ("instance", "volume", "network-interface", "spot-instances-request"):
                raise Refused("InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation.")
            if kind in tags:
                raise Refused("InvalidParameterValue", f"Tag specification resource type '{kind}' is specified more than once")
            tags[kind] = check_tags(each.get("Tags", ()))
        return tags

    # --- what is launched -----------------------------------------------------------------------------------------------

    def _instance(self, order: Order, subnet: Subnet, reservation: str, index: int) -> Instance:
        stage, members, now = self._stage, order.members, self._stage.now()
        self._fleet.launched += 1
        number = self._fleet.launched
        address = str(ip_network(subnet.network)[4 + number % (ip_network(subnet.network).num_addresses - 5)])
        interfaces = members.get("NetworkInterfaces", [{}])
        public = interfaces[0].get("AssociatePublicIpAddress", subnet.public)
        public_ip = f"198.{18 + number // 65536 % 2}.{number // 256 % 256}.{number % 256}" if public else None
        machine = Machine(
            instance_id=f"i-{stage.dice.getrandbits(_HEX):017x}", launch_index=index, token=order.token, region=order.region, zone=subnet.zone,
            type=order.type.name, architecture=order.type.architecture, vcpus=order.type.vcpus, image=order.image.id,
            user_data=order.user_data, spot=order.spot,
            shutdown_behavior=str(members.get("InstanceInitiatedShutdownBehavior", "stop")), profile=order.profile, role=order.role,
            key_name=members.get("KeyName"), private_ip=address, public_ip=public_ip, tags=order.tags.get("instance", {}),
        )  # fmt: skip
        return Instance(
            machine=machine, number=number, reservation=reservation, subnet=subnet.id, vpc=subnet.vpc, groups=order.groups,
            public_ip=public_ip, launched_at=now, started_at=now,
            seen_from=now + stage.plan.describe_lag_s, max_price=order.max_price,
            spot_request=f"sir-{stage.dice.getrandbits(32):08x}" if order.spot else None, root_device=order.image.root_device,
            hibernates=bool(members.get("HibernationOptions", {}).get("Configured")), protected=bool(members.get("DisableApiTermination")),
            tags=dict(order.tags.get("instance", {})), shutdown_behavior=machine.shutdown_behavior, volumes=[], volume_gb=0,
        )  # fmt: skip

    def _volumes(self, order: Order, instance: Instance) -> list[Volume]:
        devices: dict[str, dict[str, Any]] = {order.image.root_device: {}}
        for mapping in order.members.get("BlockDeviceMappings", ()):
            devices[str(mapping.get("DeviceName"))] = mapping.get("Ebs", {})
        volumes = [
            Volume(
                id=f"vol-{self._stage.dice.getrandbits(_HEX):017x}", region=order.region, zone=instance.machine.zone, instance_id=instance.id, device=device,
                size=int(ebs.get("VolumeSize", order.image.root_gb)), type=str(ebs.get("VolumeType", "gp3")),
                deleted_with_instance=bool(ebs.get("DeleteOnTermination", True)), created_at=instance.launched_at, tags=dict(order.tags.get("volume", {})),
            )
            for device, ebs in devices.items()
        ]  # fmt: skip
        small = [volume for volume in volumes if volume.device == order.image.root_device and volume.size < order.image.root_gb]
        if small:
            raise Refused(
                "InvalidBlockDeviceMapping",
                f"Volume of size {small[0].size}GB is smaller than snapshot 'snap-0', expect size>= {order.image.root_gb}GB",
            )
        instance.volumes = [volume.id for volume in volumes]
        instance.volume_gb = sum(volume.size for volume in volumes)
        return volumes


def _counts(members: Mapping[str, Any]) -> tuple[int, int]:
    counts = list[int]()
    for name in ("MinCount", "MaxCount"):
        if name not in members:
            raise Refused("MissingParameter", f"The request must contain the parameter {name}")
        counts.append(int(members[name]))
        if counts[-1] < 1:
            raise Refused("InvalidParameterValue", f"Value ({counts[-1]}) for parameter {name[0].lower()}{name[1:]} is invalid. Minimum value is 1.")
    least, most = counts
    if least > most:
        raise Refused("InvalidParameterCombination", f"minCount ({least}) may not be greater than maxCount ({most})")
    return least, most
