"""Consumable resources: quantities that never go below nothing, and updates that are made once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.consumables import MAX_QUANTITY, TOKEN_LIFE, TOKENS_KEPT, ConsumableResource, Consumption, Operation, Update
from spawn.domain.errors import InvalidField
from spawn.domain.instants import Instant, later

AT = Instant(1000)
QUANTITIES = st.one_of(st.integers(0, 20), st.sampled_from([MAX_QUANTITY - 1, MAX_QUANTITY]))


def resource(total: int, *, used: int = 0) -> ConsumableResource:
    return ConsumableResource(name="licence", total=total, used=used, consumption=Consumption.NON_REPLENISHABLE, created_at=AT)


def update(operation: Operation, quantity: int, *, token: str | None = None, at: Instant = AT) -> Update:
    return Update(operation=operation, quantity=quantity, token=token, at=at)


@given(st.integers(0, 20), st.integers(0, 20), st.lists(st.tuples(st.sampled_from(Operation), QUANTITIES)))
def test_what_remains_follows_the_updates_that_leave_something_and_no_others(total: int, used: int, asked: list[tuple[Operation, int]]) -> None:
    one, remains = resource(total + used, used=used), total
    for operation, quantity in asked:
        wanted = {Operation.SET: quantity, Operation.ADD: remains + quantity, Operation.REMOVE: remains - quantity}[operation]
        if 0 <= wanted <= MAX_QUANTITY - used:
            one, remains = one.updated(update(operation, quantity)), wanted
        else:
            with pytest.raises(InvalidField, match="quantity"):
                one.updated(update(operation, quantity))
        assert (one.remaining, one.used) == (remains, used)


def test_what_was_used_up_beyond_a_smaller_total_leaves_nothing() -> None:
    assert resource(3, used=5).remaining == 0


def test_a_repeated_update_is_made_once_until_its_token_has_expired() -> None:
    first = update(Operation.ADD, 1, token="t")
    once = resource(0).updated(first)
    assert once.updated(replace(first, at=Instant(later(AT, TOKEN_LIFE) - 1))) == once
    assert once.updated(replace(first, at=later(AT, TOKEN_LIFE))).remaining == 2


@pytest.mark.parametrize("change", [{"quantity": 2}, {"operation": Operation.SET}, {"token": "u"}, {"token": None}])
def test_an_update_that_differs_is_another_one(change: dict[str, object]) -> None:
    first = update(Operation.ADD, 1, token="t")
    once = resource(5).updated(first)
    other = replace(first, **change)
    assert once.updated(other).remaining == resource(6).updated(other).remaining


def test_updates_without_a_token_are_not_remembered_and_of_the_others_the_latest_hundred() -> None:
    one = resource(0)
    for number in range(TOKENS_KEPT + 5):
        one = one.updated(update(Operation.ADD, 1)).updated(update(Operation.ADD, 1, token=str(number)))
    assert [kept.token for kept in one.updates] == [str(number) for number in range(5, TOKENS_KEPT + 5)]


@pytest.mark.parametrize("total", [-1, MAX_QUANTITY + 1])
def test_a_total_is_not_negative_and_no_more_than_a_long(total: int) -> None:
    with pytest.raises(InvalidField, match="totalQuantity"):
        resource(total)
