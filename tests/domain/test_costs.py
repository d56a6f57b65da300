"""Estimates: what a launch takes and costs, before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.costs import HOURS_A_MONTH, PUBLIC_ADDRESS, Estimate, Layout, Price, estimate, launch_seconds

CHEAP = Price(usd=0.03, source="a test", as_of="2026-01-01")
DEAR = Price(usd=0.1, source="a test", as_of="2026-01-01")

layouts = st.builds(
    Layout,
    children=st.integers(1, 5000),
    instances=st.just(1),
    vcpus=st.sampled_from([1, 2, 4, 96]),
    per_call=st.just(100),
    ttl=st.one_of(st.none(), st.integers(1, 100_000).map(lambda seconds: timedelta(seconds=seconds))),
    volume_gib=st.integers(0, 500),
    volume_usd_gib_month=st.sampled_from([0.0, 0.08]),
    quota=st.one_of(st.none(), st.integers(96, 20_000).map(float)),
)


def layout(children: int = 100, **more: Any) -> Layout:
    """As many instances as children unless something else is said."""
    facts: dict[str, Any] = {"vcpus": 2, "per_call": 100, "ttl": timedelta(hours=2), "volume_gib": 8, "volume_usd_gib_month": 0.08}
    return Layout(children=children, **({"instances": children} | facts | more))


def estimated(made: Layout, *, wants_spot: bool = False) -> Estimate:
    return estimate(made, on_demand=DEAR, spot=CHEAP, wants_spot=wants_spot)


def test_a_quote_is_instances_times_hours_times_price_and_volumes() -> None:
    quote = estimated(layout()).quotes[0]
    assert (quote.label, quote.instances, quote.hours, quote.price) == ("on-demand", 100, 2.0, DEAR)
    assert quote.volume_usd == pytest.approx(100 * 2 * 8 * 0.08 / HOURS_A_MONTH)
    assert quote.usd == pytest.approx(100 * 2 * 0.1 + quote.volume_usd)


def test_public_addresses_are_part_of_what_every_way_to_run_it_costs() -> None:
    plain, public = estimated(layout()), estimated(layout(address_usd=PUBLIC_ADDRESS.usd))
    for before, after in zip(plain.quotes, public.quotes, strict=True):
        assert after.address_usd == pytest.approx(after.instances * after.hours * 0.005)
        assert after.usd == pytest.approx(before.usd + after.address_usd)


def test_what_was_asked_for_comes_first_then_the_other_market_then_fewer_instances() -> None:
    labels = [quote.label for quote in estimated(layout(), wants_spot=True).quotes]
    assert labels == ["spot", "on-demand", "50 instances × 2 indexes, spot", "10 instances × 10 indexes, spot"]
    assert [quote.label for quote in estimated(layout()).quotes][:2] == ["on-demand", "spot"]


def test_fewer_instances_that_run_all_their_indexes_at_once_cost_less() -> None:
    asked, _, shared, *_ = estimated(layout()).quotes
    assert (shared.instances, shared.hours) == (50, 2.0)
    assert shared.usd == pytest.approx(asked.usd / 2)


def test_indexes_that_run_one_after_another_take_as_many_ttls() -> None:
    tenth = estimated(layout()).quotes[-1]
    assert (tenth.instances, tenth.hours) == (10, 2.0 * 5)


def test_an_array_on_fewer_instances_is_not_shared_further() -> None:
    assert [quote.label for quote in estimated(layout(instances=25)).quotes] == ["on-demand", "spot"]


def test_a_short_life_is_billed_for_a_minute() -> None:
    assert estimated(layout(1, ttl=timedelta(seconds=1))).quotes[0].hours == pytest.approx(1 / 60)


def test_without_a_ttl_a_quote_is_that_of_an_hour() -> None:
    assert estimated(layout(ttl=None)).quotes[0].hours == 1.0


def test_without_a_price_of_the_market_that_was_asked_for_nothing_is_quoted() -> None:
    unknown = estimate(layout(), on_demand=None, spot=CHEAP, wants_spot=False)
    assert (unknown.quotes, unknown.usd) == ((), None)


def test_a_thousand_instances_are_launched_in_ten_calls_and_at_once_but_one_by_one_in_minutes() -> None:
    found = estimated(layout(1000))
    assert (found.run_calls, found.seconds, found.seconds_one_by_one) == (10, 2.5, 497.5)


def test_ten_thousand_wait_for_the_resource_bucket() -> None:
    assert launch_seconds(10_000, per_call=100) == 4500.0


def test_a_quota_makes_waves_and_each_waits_for_the_one_before() -> None:
    found = estimated(layout(100, quota=50.0))
    assert (found.waves, found.quota, found.vcpus) == (4, 50.0, 200)
    assert found.seconds == 3 * 2 * 3600
    assert found.run_calls == 4


@given(layouts, st.booleans(), st.floats(0.001, 50), st.floats(0.001, 50))
def test_every_quote_says_what_its_parts_say(made: Layout, wants_spot: bool, first: float, second: float) -> None:
    made = replace(made, instances=made.children)
    found = estimate(made, on_demand=replace(DEAR, usd=first), spot=replace(CHEAP, usd=second), wants_spot=wants_spot)
    assert found.usd == found.quotes[0].usd
    for quote in found.quotes:
        assert quote.usd == pytest.approx(quote.instances * quote.hours * quote.price.usd + quote.volume_usd + quote.address_usd)
        assert 0 < quote.instances <= made.children
        assert quote.hours >= 1 / 60


@given(st.integers(1, 50_000), st.integers(1, 1000))
def test_fewer_calls_are_never_slower(instances: int, per_call: int) -> None:
    assert 0.0 <= launch_seconds(instances, per_call=per_call) <= launch_seconds(instances, per_call=1)


@given(st.integers(1, 50_000), st.integers(1, 1000))
def test_the_buckets_hold_what_is_launched_by_then(instances: int, per_call: int) -> None:
    seconds = launch_seconds(instances, per_call=per_call)
    assert ceil(instances / per_call) <= 5 + 2 * seconds + 1e-9
    assert instances <= 1000 + 2 * seconds + 1e-9


@given(layouts, st.integers(1, 5000))
def test_waves_are_as_many_as_the_quota_needs_and_no_more(made: Layout, instances: int) -> None:
    made = replace(made, instances=min(instances, made.children))
    if made.quota is None:
        assert made.waves == 1
    else:
        at_once = int(made.quota // made.vcpus)
        assert (made.waves - 1) * at_once < made.instances <= made.waves * at_once
