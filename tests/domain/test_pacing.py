"""Token buckets and growing pauses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.instants import Instant
from spawn.domain.pacing import RUN_RESOURCES, Bucket, Rate, pause_ms

NOW = Instant(1_000_000)


def test_a_full_bucket_gives_its_size_at_once_and_then_what_comes_back() -> None:
    bucket = Bucket.full(RUN_RESOURCES, NOW)
    assert bucket.wait_ms(1000, NOW) == 0
    bucket = bucket.taken(1000, NOW)
    assert 50_000 <= bucket.wait_ms(100, NOW) <= 50_001
    assert bucket.wait_ms(100, Instant(NOW + 50_001)) == 0


def test_a_bucket_never_holds_more_than_its_size() -> None:
    bucket = Bucket.full(Rate(burst=5, per_second=2.0), NOW).taken(1, NOW)
    assert bucket.level(Instant(NOW + 3_600_000)) == 5.0


def test_a_drained_bucket_fills_again() -> None:
    bucket = Bucket.full(Rate(burst=5, per_second=2.0), NOW).drained(NOW)
    assert bucket.level(NOW) == 0
    assert bucket.level(Instant(NOW + 1000)) == 2.0


@given(wanted=st.lists(st.integers(1, 300), min_size=1, max_size=60), burst=st.integers(1, 200), rate=st.floats(0.1, 50))
def test_whoever_waits_as_long_as_told_never_takes_more_than_the_rate_allows(wanted: list[int], burst: int, rate: float) -> None:
    bucket, now, taken = Bucket.full(Rate(burst=burst, per_second=rate), NOW), NOW, 0
    for count in wanted:
        count = min(count, burst)
        now = Instant(now + bucket.wait_ms(count, now))
        assert bucket.wait_ms(count, now) == 0
        bucket, taken = bucket.taken(count, now), taken + count
        assert taken <= burst + (now - NOW) / 1000 * rate + 1e-3


@given(failures=st.integers(1, 1000), chance=st.floats(0, 1))
def test_pauses_grow_from_one_second_and_never_pass_a_minute(failures: int, chance: float) -> None:
    pause = pause_ms(failures, chance)
    assert min(1000 * 2 ** min(failures - 1, 10), 60_000) / 2 <= pause <= 60_000
    assert pause_ms(1, 1.0) == 1000
    assert pause_ms(3, 1.0) == 4000
