"""What shares have used over time, and what that means for who goes first."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.fairshare import DEFAULT_DECAY, Scale, ShareUse, decay_of, usable
from spawn.domain.instants import Instant
from spawn.domain.policies import SchedulingPolicy, Share

DECAY = timedelta(seconds=600)
times = st.integers(0, 10_000_000).map(Instant)


def test_usage_grows_to_what_a_decay_of_it_makes_and_fades_when_nothing_runs() -> None:
    use = ShareUse(amount=0.0, at=Instant(0)).changed(2000, Instant(0), DECAY)
    assert use.over_time(Instant(60_000), DECAY) == pytest.approx(2 * 60, rel=0.06)
    assert use.over_time(Instant(10**9), DECAY) == pytest.approx(2 * 600)
    idle = use.changed(-2000, Instant(10**9), DECAY)
    assert idle.over_time(Instant(10**9 + 600_000), DECAY) == pytest.approx(2 * 600 / 2.71828, rel=1e-4)


@given(st.lists(st.tuples(times, st.sampled_from([1000, 2000, 300])), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_news_comes_does_not_matter(events: list[tuple[Instant, int]], chance: object) -> None:
    end = Instant(10_000_001)
    in_time = ShareUse(amount=0.0, at=Instant(0))
    for at, by in sorted(events):
        in_time = in_time.changed(by, at, DECAY)
    shuffled = list(events)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    late = ShareUse(amount=0.0, at=Instant(0))
    for at, by in shuffled:
        late = late.changed(by, at, DECAY)
    assert late.over_time(end, DECAY) == pytest.approx(in_time.over_time(end, DECAY), abs=1e-6)


@given(st.lists(times, min_size=1, max_size=5, unique=True).map(sorted))
def test_looking_in_between_changes_nothing(moments: list[Instant]) -> None:
    use = ShareUse(amount=50.0, at=Instant(0), rate=1000)
    stepped = use
    for moment in moments:
        stepped = stepped.changed(0, moment, DECAY)
    assert stepped.over_time(moments[-1], DECAY) == pytest.approx(use.over_time(moments[-1], DECAY))
    for earlier, later in pairwise(moments):
        assert use.over_time(earlier, DECAY) <= use.over_time(later, DECAY)


def test_a_share_stays_active_for_one_decay_after_its_last_attempt() -> None:
    idle = ShareUse(amount=1.0, at=Instant(0))
    assert idle.is_recent(Instant(599_999), DECAY)
    assert not idle.is_recent(Instant(600_000), DECAY)
    assert ShareUse(amount=0.0, at=Instant(0), rate=1000).is_recent(Instant(10**9), DECAY)


def test_a_share_that_has_ended_all_uses_nothing_whatever_fractions_it_had() -> None:
    use = ShareUse(amount=0.0, at=Instant(0))
    for by in (100, 200, -100, -200):
        use = use.changed(by, Instant(5), DECAY)
    assert use.rate == 0
    assert not use.is_over(Instant(20 * 600_000), DECAY)
    assert use.is_over(Instant(20 * 600_000 + 6), DECAY)


def test_a_decay_of_zero_is_the_default_of_ten_minutes() -> None:
    assert decay_of(SchedulingPolicy(name="p")) == DEFAULT_DECAY == timedelta(minutes=10)
    assert decay_of(SchedulingPolicy(name="p", decay=timedelta(seconds=5))) == timedelta(seconds=5)


def test_weights_go_by_name_or_prefix_and_are_one_for_all_others() -> None:
    scale = Scale(SchedulingPolicy(name="p", shares=(Share(identifier="UserA*", weight=0.25), Share(identifier="ops", weight=4.0))))
    assert [scale.weight(share) for share in ("UserA", "UserA12", "User", "ops", "ops2", "")] == [0.25, 0.25, 1.0, 4.0, 1.0, 1.0]
    assert scale.behind("ops", 10.0, 1.0) == pytest.approx(4 * (10 + 1))
    assert Scale(SchedulingPolicy(name="p", shares=(Share(identifier="*", weight=2.0),))).weight("anyone") == 2.0


@pytest.mark.parametrize(("reservation", "active", "kept"), [(50, 1, 5000), (50, 2, 2500), (50, 3, 1250), (25, 2, 625), (0, 1, 0), (50, 0, 5000)])
def test_the_reservation_shrinks_with_every_active_share(reservation: int, active: int, kept: int) -> None:
    policy = SchedulingPolicy(name="p", reservation=reservation)
    assert usable(policy, [str(number) for number in range(active)], 10_000) == 10_000 - kept
