"""Amounts as people read them."""

from __future__ import annotations

import pytest

from spawn.cli.render.money import dollars, hourly, saving, span


@pytest.mark.parametrize(
    ("usd", "text"), [(None, "-"), (0.0, "$0.00"), (0.00001, "<$0.0001"), (0.0026, "$0.0026"), (0.028, "$0.03"), (17.5, "$17.50"), (1234.0, "$1,234.00")]
)
def test_dollars_have_cents_and_small_sums_more(usd: float | None, text: str) -> None:
    assert dollars(usd) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(0.0104, "$0.0104/hour"), (0.1, "$0.10/hour"), (0.0175, "$0.0175/hour"), (32.77, "$32.77/hour"), (0.00042, "$0.00042/hour")]
)
def test_prices_have_as_many_digits_as_they_need(usd: float, text: str) -> None:
    assert hourly(usd) == text


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0.5, "30 minutes"),
        (1, "1 hour"),
        (2, "2 hours"),
        (1.5, "90 minutes"),
        (2.5, "2.5 hours"),
        (1 / 60, "1 minute"),
        (0.025, "90 seconds"),
        (48, "48 hours"),
    ],
)
def test_times_are_in_the_unit_that_reads_best(hours: float, text: str) -> None:
    assert span(hours) == text


def test_savings_are_of_the_dearer_way() -> None:
    assert (saving(50, 175), saving(1, 0)) == (71, 0)
