from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import InvalidField
from spawn.domain.quantities import MaxFailures, parse_cpus, parse_memory, parse_share


@pytest.mark.parametrize(("text", "milli"), [("2", 2000), ("0.25", 250), ("0.001", 1), ("1.5", 1500), ("100000", 100_000_000)])
def test_vcpus_are_read_in_thousandths(text: str, milli: int) -> None:
    assert parse_cpus(text) == milli


@pytest.mark.parametrize("text", ["0", "0.0", "0.0001", "1.0005", "100001", "-1", "", "x", "1e3", "1,5", "2 cores", ".5", "nan", "٣", "9" * 99])
def test_vcpus_that_cannot_be_had_are_refused_with_the_value(text: str) -> None:
    with pytest.raises(InvalidField, match="--cpus: '"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("512", 512),
        ("512M", 512),
        ("512m", 512),
        ("512MiB", 512),
        ("512MB", 512),
        ("2G", 2048),
        ("2g", 2048),
        ("1.5GiB", 1536),
        ("1.5 GiB", 1536),
        ("1T", 1_048_576),
        ("1024K", 1),
        ("1K", 1),
        ("0.5M", 1),
        ("3.3G", 3380),
    ],
)
def test_memory_is_read_as_mib_and_never_less_than_asked(text: str, mib: int) -> None:
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["0", "0G", "-1", "", "x", "1X", "1GG", "G", "1e3", "2000T", "9" * 99])
def test_memory_that_cannot_be_had_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(InvalidField, match="--memory: '"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "size", "most_that_are_borne"),
    [("3", 30, 3), ("0", 30, 0), ("10%", 30, 3), ("10%", 39, 3), ("10%", 5, 0), ("0%", 1000, 0), ("0.5%", 1000, 5), ("100%", 7, 7)],
)
def test_the_limit_on_failures_is_exceeded_by_one_more_than_it_says(text: str, size: int, most_that_are_borne: int) -> None:
    limit = parse_share(text)
    assert not limit.exceeded(most_that_are_borne, size)
    assert limit.exceeded(most_that_are_borne + 1, size)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "101%", "100.1%", "%", "10 %", "5%%"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="--max-failures: '"):
        parse_share(text)


@given(st.integers(0, 10**6) | st.decimals(0, 100, places=2))
def test_a_limit_is_printed_as_it_is_read(amount: int | Decimal) -> None:
    text = f"{amount}%" if isinstance(amount, Decimal) else str(amount)
    assert str(parse_share(text)) == text
    assert parse_share(text) == MaxFailures(amount=Decimal(amount), is_percentage=isinstance(amount, Decimal))


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_all_may_fail_under_a_hundred_per_cent(failed: int, size: int) -> None:
    assert not parse_share("100%").exceeded(min(failed, size), size)
