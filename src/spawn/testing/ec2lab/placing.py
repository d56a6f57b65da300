"""Where instances of a launch go, and how many of them: quota, spot price, zone, room and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from spawn.testing.ec2lab.behind import Moto, Subnet
from spawn.testing.ec2lab.catalogue import ON_DEMAND_QUOTAS, SPOT_QUOTAS, InstanceType
from spawn.testing.ec2lab.fleet import Fleet
from spawn.testing.ec2lab.market import Market
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.stage import Stage
from spawn.testing.ec2lab.throttling import Throttle

_RESERVED = 5  # addresses of each subnet that EC2 keeps


class Placing:
    """Called with the stage held."""

    def __init__(self, stage: Stage, fleet: Fleet, market: Market, moto: Moto, throttle: Throttle) -> None:
        self._stage = stage
        self._fleet = fleet
        self._market = market
        self._moto = moto
        self._throttle = throttle

    def place(
        self, region: str, type_: InstanceType, least: int, most: int, *, spot: bool, max_price: float | None, members: Mapping[str, Any]
    ) -> tuple[Subnet, int]:
        """The subnet, and how many fit there: `most` if it can be, and not less than `least`; Refused else."""
        candidates = self._offering(type_, self._subnets(region, members))
        if spot and max_price is not None:
            candidates = self._affordable(type_, candidates, max_price)
        self._throttle.resources(region, "RunInstances", most, self._stage.now())
        taken = 0
        try:
            count = self._under_quota(region, type_, least, most, spot=spot)
            room = {subnet.id: self._room(type_, subnet, spot=spot) for subnet in candidates}
            best = max(candidates, key=lambda subnet: min(count, room[subnet.id]))
            if room[best.id] < least:
                raise self._no_room(type_, candidates)
            taken = min(count, room[best.id])
            if self._free(best) < taken:
                raise Refused(
                    "InsufficientFreeAddressesInSubnet", f"The specified subnet does not have enough free addresses to satisfy the request: {best.id}."
                )
            return best, taken
        finally:
            self._throttle.unused(region, "RunInstances", most - taken)

    def see_room_for(self, region: str, type_: InstanceType, zone: str, *, spot: bool) -> None:
        """Refused when a stopped instance can't be started."""
        self._under_quota(region, type_, 1, 1, spot=spot)
        capacity = self._market.capacity(type_.name, zone, spot=False)
        if capacity is not None and self._fleet.taken(zone, type_.name, spot=None) >= capacity:
            raise Refused("InsufficientInstanceCapacity", f"There is not enough capacity to fulfill your request: {type_.name} in {zone}.", 500)

    def _subnets(self, region: str, members: Mapping[str, Any]) -> list[Subnet]:
        """Those that the request allows; more than one only when it leaves the choice to EC2."""
        subnets = self._moto.subnets(region)
        asked = members.get("SubnetId") or next((each["SubnetId"] for each in members.get("NetworkInterfaces", ()) if each.get("SubnetId")), None)
        if asked is not None:
            if asked not in subnets:
                raise Refused("InvalidSubnetID.NotFound", f"The subnet ID '{asked}' does not exist")
            return [subnets[asked]]
        default = sorted((subnet for subnet in subnets.values() if subnet.default), key=lambda subnet: subnet.zone)
        zone = members.get("Placement", {}).get("AvailabilityZone")
        if not default:
            raise Refused("VPCIdNotSpecified", "No default VPC for this user")
        if zone is not None:
            default = [subnet for subnet in default if subnet.zone == zone]
            if not default:
                raise Refused("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        # EC2 does not always choose the same zone
        first = self._stage.dice.randrange(len(default))
        return default[first:] + default[:first]

    def _offering(self, type_: InstanceType, subnets: list[Subnet]) -> list[Subnet]:
        offering = [subnet for subnet in subnets if self._market.offered(type_.name, subnet.zone)]
        if not offering:
            region = subnets[0].zone[:-1]
            others = ", ".join(zone for zone in self._moto.zones(region) if self._market.offered(type_.name, zone))
            raise Refused(
                "Unsupported",
                f"Your requested instance type ({type_.name}) is not supported in your requested Availability Zone ({subnets[0].zone}). Please retry your "
                f"request by not specifying an Availability Zone or choosing {others}.",
            )
        return offering

    def _affordable(self, type_: InstanceType, subnets: list[Subnet], bid: float) -> list[Subnet]:
        prices = {subnet.id: self._market.spot(type_, subnet.zone, self._stage.now()) for subnet in subnets}
        affordable = [subnet for subnet in subnets if prices[subnet.id] <= bid]
        if not affordable:
            raise Refused(
                "SpotMaxPriceTooLow",
                f"Your Spot request price of {bid:g} is lower than the minimum required Spot request fulfillment price of {min(prices.values()):g}.",
            )
        return affordable

    def _under_quota(self, region: str, type_: InstanceType, least: int, most: int, *, spot: bool) -> int:
        code = (SPOT_QUOTAS if spot else ON_DEMAND_QUOTAS)[type_.quota_class]
        quota = self._market.quota(code, region)
        fit = int(max(0.0, quota - self._fleet.vcpus(region, code)) // type_.vcpus)
        if fit >= least:
            return min(fit, most)
        if spot:
            raise Refused("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise Refused(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {quota:.0f} allows for the instance bucket that the specified instance "
            "type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )

    def _room(self, type_: InstanceType, subnet: Subnet, *, spot: bool) -> int:
        room = 1_000_000
        for only_spot in (False, True) if spot else (False,):
            capacity = self._market.capacity(type_.name, subnet.zone, spot=only_spot)
            if capacity is not None:
                room = min(room, capacity - self._fleet.taken(subnet.zone, type_.name, spot=True if only_spot else None))
        return max(0, room)

    def _no_room(self, type_: InstanceType, subnets: list[Subnet]) -> Refused:
        zones = ", ".join(subnet.zone for subnet in subnets)
        where = f"in the Availability Zone you requested ({zones})" if len(subnets) == 1 else f"in any of the Availability Zones that have it ({zones})"
        return Refused(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {type_.name} capacity {where}. Our system will be working on provisioning additional capacity.",
            500,
        )

    def _free(self, subnet: Subnet) -> int:
        return ip_network(subnet.network).num_addresses - _RESERVED - self._fleet.addresses(subnet.id)
