"""EC2's actions about what can be launched: types, images, prices; and the Service Quotas, Price List and SSM answers that go with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spawn.testing.ec2lab.behind import Moto
from spawn.testing.ec2lab.catalogue import GP3_GB_MONTH, QUOTA_NAMES, InstanceType, instance_types, regional
from spawn.testing.ec2lab.images import Images
from spawn.testing.ec2lab.market import Market
from spawn.testing.ec2lab.plan import Image
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.showing import filtered, moment, page
from spawn.testing.ec2lab.stage import Stage

_OWNERS: Final = {"al2023": "137112412989", "ubuntu": "099720109477"}
Members = Mapping[str, Any]


class Offers:
    """Each action is called with the stage held, a region and the members of the request."""

    def __init__(self, stage: Stage, market: Market, images: Images, moto: Moto) -> None:
        self._stage = stage
        self._market = market
        self._images = images
        self._moto = moto
        self.actions = {
            "DescribeInstanceTypes": self._types,
            "DescribeInstanceTypeOfferings": self._offerings,
            "DescribeImages": self._images_of,
            "DescribeSpotPriceHistory": self._spot_prices,
            "DescribeRegions": self._regions,
        }

    def _regions(self, region: str, members: Members) -> dict[str, Any]:
        names = members.get("RegionNames") or self._stage.plan.regions
        unknown = [name for name in names if name not in self._stage.plan.regions]
        if unknown:
            raise Refused("InvalidParameterValue", f"Invalid region(s) {', '.join(unknown)} provided.")
        return {"Regions": [{"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "opt-in-not-required"} for name in names]}

    # --- EC2 ------------------------------------------------------------------------------------------------------------

    def _types(self, region: str, members: Members) -> dict[str, Any]:
        known = instance_types()
        asked = members.get("InstanceTypes")
        unknown = [name for name in asked or () if name not in known]
        if unknown:
            raise Refused("InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(unknown)}]")
        found = filtered([known[name] for name in asked or known], members.get("Filters", ()), _TYPE_LOOKS, lambda _: {})
        numbers = {name: number for number, name in enumerate(known)}
        shown, token = page(found, members, lambda one: numbers[one.name], most=100, usual=100)
        return {"InstanceTypes": [_type_members(one) for one in shown], "NextToken": token}

    def _offerings(self, region: str, members: Members) -> dict[str, Any]:
        kind = str(members.get("LocationType", "region"))
        if kind not in ("region", "availability-zone"):
            raise Refused("UnsupportedOperation", f"The laboratory has no offerings by {kind}.")
        places = [region] if kind == "region" else self._moto.zones(region)
        pairs = [
            (name, place)
            for name in instance_types()
            for place in places
            if (any(self._market.offered(name, zone) for zone in self._moto.zones(region)) if kind == "region" else self._market.offered(name, place))
        ]
        looks = {"instance-type": lambda pair: [pair[0]], "location": lambda pair: [pair[1]]}
        numbers = {pair: number for number, pair in enumerate(pairs)}
        shown, token = page(filtered(pairs, members.get("Filters", ()), looks, lambda _: {}), members, lambda pair: numbers[pair])
        return {"InstanceTypeOfferings": [{"InstanceType": name, "LocationType": kind, "Location": place} for name, place in shown], "NextToken": token}

    def _images_of(self, region: str, members: Members) -> dict[str, Any]:
        asked = members.get("ImageIds")
        images = [self._images.find(each, region) for each in asked] if asked else list(self._images.of(region).values())
        looks = {
            "architecture": lambda one: [one.architecture],
            "image-id": lambda one: [one.id],
            "name": lambda one: [one.name],
            "state": lambda _: ["available"],
            "root-device-type": lambda _: ["ebs"],
            "virtualization-type": lambda _: ["hvm"],
        }
        return {"Images": [self._image_members(one) for one in filtered(images, members.get("Filters", ()), looks, lambda _: {})]}

    def _image_members(self, one: Image) -> dict[str, Any]:
        owner = next((account for start, account in _OWNERS.items() if one.name.startswith(start)), self._stage.account)
        return {
            "ImageId": one.id,
            "Name": one.name or one.id,
            "OwnerId": owner,
            "State": "available",
            "Architecture": one.architecture,
            "ImageType": "machine",
            "RootDeviceName": one.root_device,
            "RootDeviceType": "ebs",
            "VirtualizationType": "hvm",
            "Hypervisor": "xen",
            "PlatformDetails": "Linux/UNIX",
            "EnaSupport": True,
            "BlockDeviceMappings": [{"DeviceName": one.root_device, "Ebs": {"VolumeSize": one.root_gb, "VolumeType": "gp3", "DeleteOnTermination": True}}],
            "CreationDate": "2026-01-20T00:00:00.000Z",
        }

    def _spot_prices(self, region: str, members: Members) -> dict[str, Any]:
        now = self._stage.now()
        since = members["StartTime"].timestamp() if "StartTime" in members else now
        until = min(now, members["EndTime"].timestamp() if "EndTime" in members else now)
        known, asked = instance_types(), members.get("InstanceTypes") or list(instance_types())
        if "Linux/UNIX" not in (members.get("ProductDescriptions") or ["Linux/UNIX"]) and "Linux/UNIX (Amazon VPC)" not in members["ProductDescriptions"]:
            return {"SpotPriceHistory": []}
        zones = [zone for zone in self._moto.zones(region) if members.get("AvailabilityZone") in (None, zone)]
        found = list[Any]()
        for type_ in [known[name] for name in asked if name in known]:
            for zone in zones:
                quotes = [quote for quote in self._market.quotes(type_, zone) if quote.at <= until]
                # the price that held at the beginning is told too
                older = [quote for quote in quotes if quote.at <= since]
                found += reversed([*older[-1:], *(quote for quote in quotes if quote.at > since)])
        looks = {"availability-zone": lambda one: [one.zone], "instance-type": lambda one: [one.type], "product-description": lambda _: ["Linux/UNIX"]}
        numbered = {id(quote): number for number, quote in enumerate(found)}
        shown, token = page(filtered(found, members.get("Filters", ()), looks, lambda _: {}), members, lambda one: numbered[id(one)], least=1)
        return {
            "SpotPriceHistory": [
                {
                    "AvailabilityZone": one.zone,
                    "InstanceType": one.type,
                    "ProductDescription": "Linux/UNIX",
                    "SpotPrice": f"{one.price:.6f}",
                    "Timestamp": moment(one.at),
                }
                for one in shown
            ],
            "NextToken": token or "",
        }

    # --- the other services ---------------------------------------------------------------------------------------------

    def quotas(self, action: str, region: str, members: Members) -> dict[str, Any]:
        """GetServiceQuota, ListServiceQuotas, and their AWS default counterparts."""
        if members.get("ServiceCode") != "ec2":
            raise Refused("NoSuchResourceException", "The request failed because the specified service does not exist.")
        if action in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
            return {"Quotas": [self._quota(code, region) for code in QUOTA_NAMES]}
        if action not in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
            raise Refused("UnsupportedOperation", f"The laboratory does not know {action}.")
        if members.get("QuotaCode") not in QUOTA_NAMES:
            raise Refused("NoSuchResourceException", "The request failed because the specified service quota does not exist.")
        return {"Quota": self._quota(str(members["QuotaCode"]), region)}

    def _quota(self, code: str, region: str) -> dict[str, Any]:
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{region}:{self._stage.account}:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": QUOTA_NAMES[code],
            "Value": self._market.quota(code, region),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    def products(self, members: Members) -> dict[str, Any]:
        """GetProducts of the Price List API, for EC2."""
        if members.get("ServiceCode") != "AmazonEC2":
            return {"FormatVersion": "aws_v1", "PriceList": []}
        wanted = {each["Field"]: each["Value"] for each in members.get("Filters", ()) if each.get("Type", "TERM_MATCH") == "TERM_MATCH"}
        found = [product for region in self._stage.plan.regions for product in self._products(region) if _agrees(product["product"]["attributes"], wanted)]
        size, start = int(members.get("MaxResults", 100)), int(members.get("NextToken") or 0)
        answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in found[start : start + size]]}
        return answer | ({"NextToken": str(start + size)} if start + size < len(found) else {})

    def _products(self, region: str) -> list[dict[str, Any]]:
        machines = [
            _product(f"{region}/{one.name}", "Compute Instance", _attributes(one), region, "Hrs", self._market.on_demand(one, region))
            for one in instance_types().values()
        ]
        disk = _product(f"{region}/gp3", "Storage", {"volumeApiName": "gp3", "volumeType": "General Purpose"}, region, "GB-Mo", regional(GP3_GB_MONTH, region))
        return [*machines, disk]


def _attributes(one: InstanceType) -> dict[str, str]:
    return {
        "instanceType": one.name,
        "vcpu": str(one.vcpus),
        "memory": f"{one.memory_mib / 1024:g} GiB",
        "tenancy": "Shared",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
    }


def _product(sku: str, family: str, attributes: Mapping[str, str], region: str, unit: str, price: float) -> dict[str, Any]:
    term = {
        "effectiveDate": f"{datetime(2026, 1, 1, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}",
        "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": {"unit": unit, "pricePerUnit": {"USD": f"{price:.10f}"}, "description": f"${price:g} per {unit}"}},
    }
    return {
        "product": {
            "productFamily": family,
            "sku": sku,
            "attributes": {**attributes, "regionCode": region, "servicecode": "AmazonEC2", "productFamily": family},
        },
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "publicationDate": "2026-01-20T00:00:00Z",
    }


def _agrees(attributes: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(attributes.get(name, "").lower() == value.lower() for name, value in wanted.items() if name != "ServiceCode")


_TYPE_LOOKS = {
    "instance-type": lambda one: [one.name],
    "processor-info.supported-architecture": lambda one: [one.architecture],
    "vcpu-info.default-vcpus": lambda one: [str(one.vcpus)],
    "memory-info.size-in-mib": lambda one: [str(one.memory_mib)],
    "current-generation": lambda _: ["true"],
}


def _type_members(one: InstanceType) -> dict[str, Any]:
    return {
        "InstanceType": one.name,
        "CurrentGeneration": not one.name.startswith("t2."),
        "FreeTierEligible": one.name in ("t2.micro", "t3.micro"),
        "SupportedUsageClasses": ["on-demand", "spot"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": False,
        "Hypervisor": "xen" if one.name.startswith("t2.") else "nitro",
        "ProcessorInfo": {"SupportedArchitectures": [one.architecture]},
        "VCpuInfo": {"DefaultVCpus": one.vcpus},
        "MemoryInfo": {"SizeInMiB": one.memory_mib},
        "HibernationSupported": True,
        "BurstablePerformanceSupported": one.name.startswith("t"),
    }
