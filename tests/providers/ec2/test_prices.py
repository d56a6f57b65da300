"""Prices: the one row that is meant, averages, and the table shipped with spawn. And which quota a type counts against."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.costs import Price
from spawn.domain.fleets import Market
from spawn.domain.instants import Instant, from_seconds
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.prices import average_of, listed_price, listed_volume_price, shipped_price, shipped_volume_price, spot_average
from spawn.providers.ec2.quotas import quota_code
from spawn.testing.ec2lab.plan import SpotPrice
from tests.providers.ec2.labs import NOON, clients_of, lab


class PriceList(Clients):
    """Clients whose Price List answers these rows, whatever is asked."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__({"HOME": "/nonexistent", "AWS_REGION": "us-east-1"})
        self._rows = [json.dumps(row) for row in rows]
        self.asked: dict[str, Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        assert (service, region) == ("pricing", "us-east-1")
        return self

    def get_products(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        return {"PriceList": self._rows}


def row(usd: str, *, unit: str = "Hrs", family: str = "Compute Instance", terms: str = "OnDemand") -> dict[str, Any]:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return {"product": {"productFamily": family}, "terms": {terms: {"a.b": {"priceDimensions": {"a.b.c": dimension}}}}}


# --- the Price List ---------------------------------------------------------------------------------------------------


def test_the_row_of_plain_linux_is_asked_for() -> None:
    clients = PriceList([row("0.0892500000")])
    assert listed_price(clients, "eu-west-1", "c7i.large", NOON) == Price(usd=0.08925, source="AWS Price List", as_of="2026-09-21")
    fields = {each["Field"]: each["Value"] for each in clients.asked["Filters"]}
    assert (fields["regionCode"], fields["instanceType"], fields["tenancy"], fields["preInstalledSw"]) == ("eu-west-1", "c7i.large", "Shared", "NA")
    assert (fields["capacitystatus"], fields["operatingSystem"]) == ("Used", "Linux")


@pytest.mark.parametrize(
    "rows",
    [
        [row("0.1"), row("0.0000000000")],  # what a reservation covers costs nothing
        [row("0.1"), row("0.5", terms="Reserved")],
        [row("0.1"), row("0.2", family="Compute Instance Savings", unit="Quantity")],
        [row("0.1"), row("0.1")],
        [row("0.1"), row("100", unit="Quantity")],  # paid upfront
    ],
)
def test_rows_that_are_no_hourly_price_are_passed_over(rows: list[dict[str, Any]]) -> None:
    found = listed_price(PriceList(rows), "us-east-1", "c7i.large", NOON)
    assert found is not None
    assert found.usd == 0.1


@pytest.mark.parametrize("rows", [[], [row("0.1"), row("0.2")], [row("0")]])
def test_no_price_or_two_are_none(rows: list[dict[str, Any]]) -> None:
    assert listed_price(PriceList(rows), "us-east-1", "c7i.large", NOON) is None


def test_a_volume_costs_what_its_gib_month_costs() -> None:
    found = listed_volume_price(PriceList([row("0.08", unit="GB-Mo", family="Storage"), row("0.005", unit="IOPS-Mo", family="Storage")]), "us-east-1", NOON)
    assert found is not None
    assert found.usd == 0.08


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "type_name", "usd"),
    [
        ("us-east-1", "t3.micro", 0.0104), ("us-east-1", "c7i.2xlarge", 0.357), ("us-east-1", "c5.9xlarge", 1.53), ("us-east-1", "m6a.48xlarge", 8.2944),
        ("us-east-1", "c7g.medium", 0.0363), ("us-east-1", "r7i.48xlarge", 12.7008), ("us-east-1", "g5.xlarge", 1.006), ("us-east-1", "m8g.4xlarge", 0.71808),
        ("us-west-2", "t3a.2xlarge", 0.3008), ("us-west-2", "m5.8xlarge", 1.536), ("us-west-2", "c6i.xlarge", 0.17), ("eu-west-1", "c6i.xlarge", 0.1824),
        ("eu-west-1", "t3.xlarge", 0.1824), ("eu-west-1", "t3a.medium", 0.0408), ("eu-west-1", "m5.8xlarge", 1.712), ("eu-west-1", "r7i.xlarge", 0.2961),
        ("eu-west-1", "c5.9xlarge", 1.728), ("us-east-2", "c5.large", 0.085),
    ],
)  # fmt: skip
def test_the_table_says_what_aws_publishes(region: str, type_name: str, usd: float) -> None:
    found = shipped_price(region, type_name)
    assert found is not None
    assert (found.usd, found.source) == (usd, "table shipped with spawn")


def test_what_the_table_does_not_have_has_no_price() -> None:
    assert shipped_price("us-east-1", "c99.large") is None
    assert shipped_price("ap-south-1", "t3.micro") is None
    assert shipped_volume_price("ap-south-1") is None


def test_the_table_is_dated_and_says_where_it_is_from() -> None:
    table = json.loads(files("spawn.providers.ec2").joinpath("prices-2026-01-19.json").read_text())
    assert "on-demand" in table["source"]
    for region in table["regions"].values():
        assert region["as_of"] >= "2025"
        assert all(0 < usd < 20 for usd in region["types"].values())


# --- the spot market --------------------------------------------------------------------------------------------------


def test_a_spot_instance_costs_what_the_market_cost_while_it_lived() -> None:
    moves = (SpotPrice(type="c7i.large", price=0.02, at_s=-7200), SpotPrice(type="c7i.large", price=0.04, at_s=-1800))
    with lab(spot_prices=moves) as where:
        found = spot_average(clients_of(where), "us-east-1", "us-east-1a", "c7i.large", Instant(NOON - 3_600_000), NOON)
    assert found == Price(usd=pytest.approx(0.03), source="spot price history", as_of="2026-09-21")


def test_without_a_history_there_is_no_average() -> None:
    assert average_of([], from_seconds(0), from_seconds(10)) is None
    assert average_of([(5000.0, 0.2)], from_seconds(0), from_seconds(0)) == 0.2


@given(st.lists(st.tuples(st.integers(-1000, 2000), st.floats(0.001, 10)), min_size=1, max_size=20), st.integers(0, 900), st.integers(1, 1000))
def test_an_average_lies_between_the_prices_that_there_were(changes: list[tuple[int, float]], began: int, lasted: int) -> None:
    found = average_of([(float(then), usd) for then, usd in changes], Instant(began), Instant(began + lasted))
    assert found is not None
    assert min(usd for _, usd in changes) - 1e-9 <= found <= max(usd for _, usd in changes) + 1e-9


@given(st.lists(st.tuples(st.integers(-1000, 2000), st.floats(0.001, 10)), min_size=1, max_size=20, unique_by=lambda change: change[0]), st.integers(1, 999))
def test_two_parts_of_an_interval_average_to_the_whole(changes: list[tuple[int, float]], cut: int) -> None:
    known = [(-2000.0, 1.0), *((float(then), usd) for then, usd in changes)]
    first, second, whole = (average_of(known, Instant(begin), Instant(end)) for begin, end in ((0, cut), (cut, 1000), (0, 1000)))
    assert first is not None
    assert second is not None
    assert whole == pytest.approx((first * cut + second * (1000 - cut)) / 1000)


# --- quotas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "on_demand", "spot"),
    [
        ("c7i", "L-1216C47A", "L-34B43A08"), ("t4g", "L-1216C47A", "L-34B43A08"), ("im4gn", "L-1216C47A", "L-34B43A08"), ("z1d", "L-1216C47A", "L-34B43A08"),
        ("c7i-flex", "L-1216C47A", "L-34B43A08"), ("g5", "L-DB2E81BA", "L-3819A6DF"), ("gr6", "L-DB2E81BA", "L-3819A6DF"), ("vt1", "L-DB2E81BA", "L-3819A6DF"),
        ("p3", "L-417A185B", "L-7212CCBC"), ("p5en", "L-417A185B", "L-C4BD4855"), ("x2gd", "L-7295265B", "L-E3A00192"), ("inf2", "L-1945791B", "L-B5D1601B"),
        ("trn1", "L-2C3B7624", "L-6B0D517C"), ("dl1", "L-6E869C2A", "L-85EED4F7"), ("f2", "L-74FC7D96", "L-88CF9481"), ("hpc7g", None, None),
        ("u-6tb1", None, None), ("mac2", None, None),
    ],
)  # fmt: skip
def test_a_family_counts_against_its_own_quota(family: str, on_demand: str | None, spot: str | None) -> None:
    assert (quota_code(family, Market.ON_DEMAND), quota_code(family, Market.SPOT)) == (on_demand, spot)
