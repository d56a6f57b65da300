"""The sum of lives: whole and in parts, so far and at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.costs import Price
from spawn.domain.fleets import Life, Market
from spawn.domain.instants import Instant
from spawn.domain.spending import Prospect, Spent, by_day, by_position, by_type, outlook, total

HOUR = 3_600_000
DAY = 24 * HOUR
NOON = Instant(20_000 * DAY + 12 * HOUR)
PRICE = Price(usd=0.5, source="table", as_of="2026-01-27")
TTL = timedelta(hours=4)


def life(
    number: int = 0,
    *,
    began: int = 0,
    hours: float | None = 1.0,
    positions: tuple[int, ...] | None = None,
    gib: int = 0,
    kind: str = "t3.micro",
    usd: float = 0.5,
) -> Life:
    """One that began some hours after noon and lived for so long; None: it lives."""
    start = Instant(NOON + began * HOUR)
    return Life(
        instance_id=f"i-{number}",
        region="us-east-1",
        zone="us-east-1a",
        type=kind,
        market=Market.ON_DEMAND,
        began=start,
        ended=None if hours is None else Instant(start + round(hours * HOUR)),
        usd_per_hour=Price(usd=usd, source="table", as_of="2026-01-27"),
        positions=(number,) if positions is None else positions,
        volume_gib=gib,
        volume_usd_gib_month=0.08,
    )


LIVES = st.lists(
    st.builds(
        life,
        st.integers(0, 5),
        began=st.integers(-60, 20),
        hours=st.one_of(st.none(), st.floats(0, 100)),
        positions=st.one_of(st.none(), st.lists(st.integers(0, 5), max_size=4).map(tuple)),
        gib=st.integers(0, 100),
        kind=st.sampled_from(["t3.micro", "c7i.large"]),
        usd=st.floats(0, 10),
    ),
    max_size=8,
)
NOW = Instant(NOON + 20 * HOUR)


@given(LIVES)
def test_the_parts_add_up_to_the_whole_however_it_is_parted(lives: list[Life]) -> None:
    whole = total(lives, NOW)
    assert whole.instances == len({one.instance_id for one in lives})
    for parts in (by_position(lives, NOW), by_day(lives, NOW), by_type(lives, NOW)):
        together = sum((part.usd for part in parts.values()), 0.0), sum((part.hours for part in parts.values()), 0.0)
        assert together == pytest.approx((whole.usd, whole.hours))


def test_an_instance_that_was_stopped_and_started_is_one_and_its_pause_is_none_of_its_hours() -> None:
    pause = replace(life(1, began=1, hours=2.0, gib=73, usd=0.0), stopped=True)
    lives = [life(1, hours=1.0, gib=73), pause, life(1, began=3, hours=1.0, gib=73)]
    volume = 4 * 73 * 0.08 / 730
    whole = Spent(1, 2.0, pytest.approx(1.0 + volume), pytest.approx(volume))
    assert total(lives, NOW) == whole
    assert by_position(lives, NOW) == {1: whole}
    assert [part.instances for part in by_day(lives, NOW).values()] == [1]
    assert [part.instances for part in by_type(lives, NOW).values()] == [1]
    assert outlook(lives, NOW, Prospect(launches=1, usd_per_hour=0.5, ttl=TTL)).expected == pytest.approx(1.0 + volume + 0.5)


@given(LIVES, st.integers(0, 50))
def test_the_end_is_never_cheaper_than_today(lives: list[Life], launches: int) -> None:
    so_far = total(lives, NOW).usd
    ahead = outlook(lives, NOW, Prospect(launches=launches, usd_per_hour=0.5, ttl=TTL))
    assert ahead.expected is not None
    assert ahead.at_most is not None
    assert so_far <= ahead.expected * (1 + 1e-9) + 1e-9
    assert ahead.expected <= ahead.at_most


def test_a_life_is_billed_by_the_second_and_its_volume_with_it() -> None:
    assert total([life(hours=0.5)], NOW).usd == pytest.approx(0.25)
    assert total([life(hours=1.0, gib=73)], NOW) == Spent(1, 1.0, pytest.approx(0.508), pytest.approx(0.008))


def test_a_short_life_is_billed_for_a_minute() -> None:
    assert total([life(hours=0.001)], NOW).hours == pytest.approx(1 / 60)


def test_an_instance_of_several_children_is_shared_and_one_of_none_is_no_ones() -> None:
    found = by_position([life(positions=(3, 4)), life(positions=())], NOW)
    assert {position: spent.usd for position, spent in found.items()} == {3: 0.25, 4: 0.25, None: 0.5}


def test_a_night_is_shared_by_two_days() -> None:
    found = by_day([life(began=10, hours=3)], NOW)
    assert {day: spent.hours for day, spent in found.items()} == {"2024-10-04": pytest.approx(2), "2024-10-05": pytest.approx(1)}


def test_what_runs_is_expected_to_live_as_long_as_what_has_ended() -> None:
    lives = [life(hours=2), life(1, began=19, hours=None)]
    ahead = outlook(lives, NOW, Prospect(launches=1, usd_per_hour=0.5, ttl=TTL))
    assert ahead == (pytest.approx(1.0 + 1.0 + 1.0), pytest.approx(1.0 + 2.0 + 2.0))


def test_instances_that_live_on_are_expected_to_live_to_their_ttl() -> None:
    lives = [life(hours=2), life(1, began=19, hours=None)]
    assert outlook(lives, NOW, Prospect(ttl=TTL, lives_to_ttl=True)).expected == pytest.approx(1.0 + 2.0)


def test_an_end_that_was_moved_counts() -> None:
    ahead = outlook([life(began=19, hours=None)], NOW, Prospect(ttl=TTL, ends={"i-0": Instant(NOW + 9 * HOUR)}))
    assert ahead.at_most == pytest.approx(5.0)


def test_without_a_ttl_nobody_knows_the_most_but_others_tell_what_to_expect() -> None:
    running = life(1, began=20, hours=None)
    assert outlook([running], NOW, Prospect()) == (None, None)
    assert outlook([life(hours=2), running], NOW, Prospect()) == (pytest.approx(2.0), None)


def test_what_is_over_costs_what_it_has_cost() -> None:
    assert outlook([life()], NOW, Prospect(ttl=TTL)) == (0.5, 0.5)


def test_a_public_address_is_paid_for_while_its_instance_runs() -> None:
    running = replace(life(), address_usd=0.005)
    stopped = replace(running, stopped=True, usd_per_hour=Price(usd=0.0, source="table", as_of="2026-01-27"))
    assert total([running], NOON).address_usd == pytest.approx(0.005)
    assert total([running], NOON).usd == pytest.approx(0.505)
    assert total([stopped], NOON).usd == 0.0
