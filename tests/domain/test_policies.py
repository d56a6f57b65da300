"""Scheduling policies: their limits, and that no identifier belongs to two shares."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import InvalidField
from spawn.domain.policies import SchedulingPolicy, Share, check_shares

IDENTIFIERS = ["".join(letters) for length in range(1, 6) for letters in product("ab", repeat=length)]
NAMED = st.text("ab", max_size=4).flatmap(lambda stem: st.sampled_from([stem, f"{stem}*"]) if stem else st.just("*"))


def belongs(identifier: str, named: str) -> bool:
    """What AWS Batch documents: a share is one identifier, or with `*` at its end all that begin so."""
    return identifier.startswith(named[:-1]) if named.endswith("*") else identifier == named


@given(st.lists(NAMED, max_size=6))
def test_shares_are_refused_exactly_when_some_identifier_belongs_to_two_of_them(named: list[str]) -> None:
    shared = any(belongs(identifier, one) and belongs(identifier, other) for one, other in combinations(named, 2) for identifier in IDENTIFIERS)
    shares = [Share(identifier=one) for one in named]
    if shared:
        with pytest.raises(InvalidField, match="overlap: an identifier belongs to one share at most"):
            check_shares(shares)
    else:
        check_shares(shares)


@given(NAMED, NAMED)
def test_overlapping_is_mutual(one: str, other: str) -> None:
    first, second = Share(identifier=one), Share(identifier=other)
    assert first.overlaps(second) == second.overlaps(first)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("UserA*", "UserA1", True),
        ("UserA*", "UserA", True),
        ("UserA*", "UserAB*", True),
        ("UserA*", "UserB", False),
        ("UserA", "UserA1", False),
        ("UserA", "UserA", True),
        ("*", "anything", True),
    ],
)
def test_a_prefix_overlaps_what_begins_with_it(one: str, other: str, overlap: bool) -> None:
    assert Share(identifier=one).overlaps(Share(identifier=other)) is overlap


@pytest.mark.parametrize("identifier", ["", "**", "a*b", "a b", "a-b", "ä", "a" * 256])
def test_identifiers_are_letters_and_digits(identifier: str) -> None:
    with pytest.raises(InvalidField, match="shareIdentifier"):
        Share(identifier=identifier)


@pytest.mark.parametrize("weight", [0.0, 0.00009, 1000.0, -1.0, float("nan"), float("inf")])
def test_weights_are_within_their_bounds(weight: float) -> None:
    with pytest.raises(InvalidField, match="weightFactor"):
        Share(identifier="a", weight=weight)


def test_the_limits_themselves_are_taken() -> None:
    shares = (Share(identifier="a" * 255, weight=0.0001), Share(identifier=f"{'b' * 255}*", weight=999.9999))
    policy = SchedulingPolicy(name="n", decay=timedelta(weeks=1), reservation=99, shares=shares)
    assert policy.shares == shares
    check_shares(Share(identifier=f"s{number}x") for number in range(500))


def test_more_than_five_hundred_shares_are_refused() -> None:
    with pytest.raises(InvalidField, match="501 shares are more than 500"):
        check_shares(Share(identifier=f"s{number}x") for number in range(501))


@pytest.mark.parametrize(
    ("member", "value", "named"),
    [("decay", timedelta(seconds=-1), "Decay"), ("decay", timedelta(seconds=604_801), "Decay"), ("reservation", 100, "Res"), ("reservation", -1, "Res")],
)
def test_a_policy_out_of_bounds_is_refused(member: str, value: object, named: str) -> None:
    with pytest.raises(InvalidField, match=named):
        SchedulingPolicy(name="n", **{member: value})  # type: ignore[arg-type]
