"""Types, images and prices: what can be had, and for how much."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from spawn.testing.ec2lab.plan import SpotPrice
from tests.ec2lab.asking import ARM, X86, Asking, refused
from tests.ec2lab.conftest import Opening


@pytest.mark.parametrize(
    ("name", "vcpus", "mib", "architecture"),
    [
        ("t3.micro", 2, 1024, "x86_64"),
        ("t3.medium", 2, 4096, "x86_64"),
        ("t4g.small", 2, 2048, "arm64"),
        ("c7i.large", 2, 4096, "x86_64"),
        ("c7i.2xlarge", 8, 16384, "x86_64"),
        ("c7g.medium", 1, 2048, "arm64"),
        ("m7i.xlarge", 4, 16384, "x86_64"),
        ("r7i.4xlarge", 16, 131072, "x86_64"),
        ("g5.xlarge", 4, 16384, "x86_64"),
    ],
)
def test_types_are_as_ec2_has_them(shared: Asking, name: str, vcpus: int, mib: int, architecture: str) -> None:
    [one] = shared.ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
    assert (one["VCpuInfo"]["DefaultVCpus"], one["MemoryInfo"]["SizeInMiB"]) == (vcpus, mib)
    assert one["ProcessorInfo"]["SupportedArchitectures"] == [architecture]


def test_an_unknown_type_is_named(shared: Asking) -> None:
    with refused("InvalidInstanceType", "t9.huge"):
        shared.ec2.describe_instance_types(InstanceTypes=["t3.micro", "t9.huge"])


def test_regions_are_those_of_the_plan(shared: Asking) -> None:
    assert [each["RegionName"] for each in shared.ec2.describe_regions()["Regions"]] == ["us-east-1", "us-west-2", "eu-west-1"]
    with refused("InvalidParameterValue", "us-nowhere-1"):
        shared.ec2.describe_regions(RegionNames=["us-nowhere-1"])


def test_all_types_come_in_pages(shared: Asking) -> None:
    pages = list(shared.ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 50}))
    names = [one["InstanceType"] for page in pages for one in page["InstanceTypes"]]
    assert len(pages) > 2
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("parameter", "architecture"), [(X86, "x86_64"), (ARM, "arm64")])
def test_the_latest_image_has_the_architecture_of_its_name(shared: Asking, parameter: str, architecture: str) -> None:
    image = shared.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    [shown] = shared.ec2.describe_images(ImageIds=[image])["Images"]
    assert (shown["Architecture"], shown["State"]) == (architecture, "available")
    assert shown["Name"].startswith("al2023-ami-")


def test_an_unknown_parameter_is_refused(shared: Asking) -> None:
    with refused("ParameterNotFound"):
        shared.client("ssm").get_parameter(Name="/aws/service/nothing")


def test_images_are_found_by_their_properties(shared: Asking) -> None:
    found = shared.ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["arm64"]}, {"Name": "name", "Values": ["al2023-*"]}])["Images"]
    assert [each["Architecture"] for each in found] == ["arm64"]


def test_spot_prices_have_a_history(opened: Opening) -> None:
    asking = opened(spot_prices=(SpotPrice(price=0.004), SpotPrice(price=0.006, at_s=600), SpotPrice(price=0.9, at_s=9999)))
    asking.lab.advance(3600)
    now = datetime.fromtimestamp(asking.lab.clock.now() / 1000, UTC)
    asked = {"InstanceTypes": ["t3.micro"], "ProductDescriptions": ["Linux/UNIX"], "AvailabilityZone": "us-east-1a"}
    history = asking.ec2.describe_spot_price_history(StartTime=now - timedelta(hours=2), **asked)["SpotPriceHistory"]
    assert [float(each["SpotPrice"]) for each in history] == [0.006, 0.004]
    current = asking.ec2.describe_spot_price_history(StartTime=now, **asked)["SpotPriceHistory"]
    assert [float(each["SpotPrice"]) for each in current] == [0.006]


def test_spot_prices_are_told_for_each_zone(shared: Asking) -> None:
    history = shared.ec2.describe_spot_price_history(InstanceTypes=["c7i.large"], ProductDescriptions=["Linux/UNIX"])["SpotPriceHistory"]
    assert {each["AvailabilityZone"] for each in history} == {zone["ZoneName"] for zone in shared.ec2.describe_availability_zones()["AvailabilityZones"]}
    assert all(0 < float(each["SpotPrice"]) < 0.08925 for each in history)


def price(asking: Asking, **fields: str) -> list[float]:
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()]
    listed = [json.loads(each) for each in asking.client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]]
    return [float(size["pricePerUnit"]["USD"]) for each in listed for term in each["terms"]["OnDemand"].values() for size in term["priceDimensions"].values()]


def test_the_price_list_tells_what_an_hour_costs(shared: Asking) -> None:
    linux = {"operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared", "capacitystatus": "Used"}
    assert price(shared, instanceType="t3.micro", regionCode="us-east-1", **linux) == [0.0104]
    assert price(shared, instanceType="c7i.large", regionCode="us-east-1", **linux) == [0.08925]
    [europe] = price(shared, instanceType="c7i.large", regionCode="eu-west-1", **linux)
    assert europe > 0.08925
    assert price(shared, instanceType="t9.huge", regionCode="us-east-1") == []


def test_the_price_list_tells_what_a_volume_costs(shared: Asking) -> None:
    assert price(shared, volumeApiName="gp3", regionCode="us-east-1") == [0.08]
