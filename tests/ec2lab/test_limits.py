"""Quotas, room and prices: why fewer instances come than were asked for, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.testing.ec2lab.plan import DEFAULT_RESOURCE_BUCKETS, Bucket, LabPlan, SpotPrice
from spawn.testing.ec2lab.refusals import Refused
from spawn.testing.ec2lab.throttling import Throttle, TokenBucket
from tests.ec2lab.asking import Asking, refused
from tests.ec2lab.conftest import Opening

DEMAND, SPOT_QUOTA = "L-1216C47A", "L-34B43A08"
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


def terminate(asking: Asking, instances: list[dict[str, str]]) -> None:
    asking.ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in instances])


def test_a_launch_fills_the_vcpu_quota_and_the_next_is_refused(opened: Opening) -> None:
    asking = opened(quotas={DEMAND: 20})
    first = asking.run(100)
    assert len(first) == 10
    with refused("VcpuLimitExceeded", "limit of 20"):
        asking.run(1)
    terminate(asking, first[:3])
    assert len(asking.run(100, least=3)) == 3


def test_a_launch_that_would_be_too_small_for_its_minimum_is_none(opened: Opening) -> None:
    asking = opened(quotas={DEMAND: 20})
    with refused("VcpuLimitExceeded"):
        asking.run(20, least=11)
    assert asking.lab.lives() == []


def test_spot_instances_have_a_quota_of_their_own(opened: Opening) -> None:
    asking = opened(quotas={DEMAND: 4, SPOT_QUOTA: 6})
    assert (len(asking.run(9)), len(asking.run(9, **SPOT))) == (2, 3)
    with refused("MaxSpotInstanceCountExceeded"):
        asking.run(1, **SPOT)


def test_a_region_may_have_a_quota_of_its_own_and_service_quotas_tells_it(opened: Opening) -> None:
    asking = opened(quotas={DEMAND: 32, f"us-west-2/{DEMAND}": 8})

    def told(region: str) -> float:
        return float(asking.client("service-quotas", region).get_service_quota(ServiceCode="ec2", QuotaCode=DEMAND)["Quota"]["Value"])

    assert (told("us-east-1"), told("us-west-2")) == (32.0, 8.0)
    asking.lab.set_quota(DEMAND, 64, region="us-west-2")
    assert (told("us-east-1"), told("us-west-2")) == (32.0, 64.0)
    listed = asking.client("service-quotas").list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {each["QuotaCode"]: each["Value"] for each in listed}[DEMAND] == 32.0


def test_an_unknown_quota_or_service_is_refused(shared: Asking) -> None:
    quotas = shared.client("service-quotas")
    for service, code in (("ec2", "L-00000000"), ("nothing", DEMAND)):
        with refused("NoSuchResourceException"):
            quotas.get_service_quota(ServiceCode=service, QuotaCode=code)


def test_a_zone_without_room_gives_what_it_has_and_then_none(opened: Opening) -> None:
    asking = opened(capacity={"us-east-1a/t3.micro": 7})
    placed = {"Placement": {"AvailabilityZone": "us-east-1a"}}
    first = asking.run(10, **placed)
    assert len(first) == 7
    with refused("InsufficientInstanceCapacity", "t3.micro", "us-east-1a"):
        asking.run(1, **placed)
    terminate(asking, first)
    assert len(asking.run(7, least=7, **placed)) == 7


def test_no_capacity_is_an_error_of_the_service_and_not_of_the_request(opened: Opening) -> None:
    asking = opened(capacity={"*/*": 0})
    with refused("InsufficientInstanceCapacity"):
        asking.run(1)
    assert [call.status for call in asking.lab.calls.of("RunInstances")] == [500]


def test_without_a_zone_the_launch_goes_where_there_is_room(opened: Opening) -> None:
    asking = opened(capacity={"*/*": 0, "us-east-1c/*": 5})
    assert {one["Placement"]["AvailabilityZone"] for one in asking.run(9)} == {"us-east-1c"}
    assert len(asking.lab.lives()) == 5


def test_room_may_be_limited_and_given_while_the_laboratory_runs(opened: Opening) -> None:
    asking = opened()
    asking.lab.set_capacity(1)
    assert len(asking.run(3)) == 1
    asking.lab.set_capacity(None)
    assert len(asking.run(3)) == 3


def test_spot_room_is_a_part_of_all_room(opened: Opening) -> None:
    asking = opened(capacity={"us-east-1a/*": 5}, spot_capacity={"us-east-1a/*": 3})
    placed = {"Placement": {"AvailabilityZone": "us-east-1a"}}
    assert len(asking.run(9, **SPOT, **placed)) == 3
    assert len(asking.run(9, **placed)) == 2


def test_a_zone_that_does_not_have_the_type_names_those_that_do(opened: Opening) -> None:
    asking = opened(unoffered={"t3.micro": ("us-east-1e", "us-east-1f")})
    with refused("Unsupported", "t3.micro", "us-east-1e", "us-east-1a"):
        asking.run(Placement={"AvailabilityZone": "us-east-1e"})
    offered = asking.ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}])
    assert {each["Location"][-1] for each in offered["InstanceTypeOfferings"]} == set("abcd")


def test_a_subnet_decides_the_zone(shared: Asking) -> None:
    subnets = shared.ec2.describe_subnets()["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) >= 2
    [one] = shared.run(SubnetId=subnets[1]["SubnetId"])
    assert one["Placement"]["AvailabilityZone"] == subnets[1]["AvailabilityZone"]


def test_a_bid_below_the_market_is_refused_with_the_price(opened: Opening) -> None:
    asking = opened(spot_prices=(SpotPrice(price=0.0042),))
    with refused("SpotMaxPriceTooLow", "0.001", "0.0042"):
        asking.run(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.001"}})


def test_run_instances_has_five_requests_at_once_and_then_two_a_second(opened: Opening) -> None:
    asking = opened()
    for _ in range(5):
        asking.run()
    with refused("RequestLimitExceeded"):
        asking.run()
    asking.lab.advance(1)
    for _ in range(2):
        asking.run()
    with refused("RequestLimitExceeded"):
        asking.run()
    assert [call.status for call in asking.lab.calls.of("RunInstances", code="RequestLimitExceeded")] == [503, 503]


def test_a_thousand_instances_come_at_once_and_then_two_a_second(opened: Opening) -> None:
    asking = opened()
    assert len(asking.run(1000)) == 1000
    with refused("RequestLimitExceeded"):
        asking.run(3)
    asking.lab.advance(1)
    assert len(asking.run(2)) == 2


def test_what_was_counted_and_not_launched_is_given_back(opened: Opening) -> None:
    asking = opened(capacity={"*/*": 10}, resource_buckets={"RunInstances": Bucket(size=100, refill=0)})
    assert len(asking.run(100)) == 10
    assert len(asking.run(90)) == 10


def test_each_region_and_action_has_a_bucket_of_its_own() -> None:
    throttle = Throttle(LabPlan())
    for _ in range(5):
        throttle.request("us-east-1", "RunInstances", plain=False, now=0.0)
    throttle.request("us-west-2", "RunInstances", plain=False, now=0.0)
    throttle.request("us-east-1", "TerminateInstances", plain=False, now=0.0)
    with pytest.raises(Refused):
        throttle.request("us-east-1", "RunInstances", plain=False, now=0.0)


def test_a_listing_without_filter_and_page_has_the_smaller_bucket() -> None:
    throttle = Throttle(LabPlan())
    for _ in range(50):
        throttle.request("us-east-1", "DescribeInstances", plain=True, now=0.0)
    with pytest.raises(Refused):
        throttle.request("us-east-1", "DescribeInstances", plain=True, now=0.0)


@given(size=st.integers(1, 50), refill=st.integers(0, 20), steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 60)), max_size=40))
def test_a_bucket_never_gives_more_than_its_size_and_its_refill(size: int, refill: int, steps: list[tuple[float, int]]) -> None:
    bucket, now, given_out = TokenBucket(Bucket(size=size, refill=refill), 0.0), 0.0, 0
    for wait, wanted in steps:
        now += wait
        before = given_out
        if bucket.take(wanted, now):
            given_out += wanted
        assert given_out <= size + refill * now + 1e-6
        assert given_out - before <= size


def test_the_published_resource_buckets_are_the_default() -> None:
    assert {action: (bucket.size, bucket.refill) for action, bucket in DEFAULT_RESOURCE_BUCKETS.items()} == {
        "RunInstances": (1000, 2),
        "StartInstances": (1000, 2),
        "StopInstances": (1000, 20),
        "TerminateInstances": (1000, 20),
    }
