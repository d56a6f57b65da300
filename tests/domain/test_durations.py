from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.durations import LONGEST, format_duration, parse_duration
from spawn.domain.errors import InvalidField


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1d12h", 129_600),
        ("1h30m", 5400),
        ("1d2h3m4s", 93_784),
        ("2d", 172_800),
        (" 5m ", 300),
        ("3650d", 3650 * 86_400),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text, field="--ttl") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2x", "'2x' has the unit 'x'"),
        ("2H", "'2H' has the unit 'H'"),
        ("30min", "'30min' has the unit 'min'"),
        ("0", "'0' is no time at all"),
        ("0s", "'0s' is no time at all"),
        ("0h0m", "'0h0m' is no time at all"),
        ("30", "'30' has no unit: write 30s, 30m or 30h"),
        ("1h30", "'1h30' has a number without a unit"),
        ("-5m", "'-5m' is not a duration"),
        ("1.5h", "'1.5h' is not a duration"),
        ("1h 30m", "'1h 30m' is not a duration"),
        ("", "'' is not a duration"),
        ("h", "'h' is not a duration"),
        ("inf", "'inf' is not a duration"),
        ("30m1h", "a smaller one before a larger one"),
        ("1h1h", "a unit twice"),
        ("3651d", "longer than ten years"),
        ("9" * 400 + "s", "longer than ten years"),
        ("٣s", "is not a duration"),
    ],
)
def test_an_unclear_duration_is_refused_with_its_value_and_an_example(text: str, problem: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_duration(text, field="--ttl")
    assert problem in str(refused.value)
    assert refused.value.field == "--ttl"
    assert "write" in str(refused.value)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=36), "1d12h"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(), "0s"),
        (timedelta(milliseconds=999), "0s"),
        (timedelta(seconds=-61), "-1m1s"),
        (timedelta(milliseconds=-3), "0s"),
    ],
)
def test_durations_are_written_in_the_largest_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.integers(1, int(LONGEST.total_seconds())))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration), field="--ttl") == duration


@given(st.text(max_size=12) | st.from_regex(r"[0-9dhms.]{1,8}", fullmatch=True))
def test_any_text_is_a_duration_above_nothing_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text, field="--ttl")
    except InvalidField:
        return
    assert timedelta() < duration <= LONGEST
