"""The bar of an array: how much of it has settled, and whether any of that failed."""

from __future__ import annotations

import msgspec
from canned import array
from hypothesis import given
from hypothesis import strategies as st

from spawn.cli.render.arrays import progress
from spawn.client.objects import Array

LARGEST = st.integers(0, 2000)
RED = "\x1b[31m█"


@given(good=LARGEST, bad=LARGEST, waiting=LARGEST)
def test_the_bar_is_full_when_all_has_settled_and_only_then_and_red_when_some_failed(good: int, bad: int, waiting: int) -> None:
    size = max(1, good + bad + waiting)
    one = msgspec.convert(array(size=size, counts={"SUCCEEDED": good, "FAILED": bad}), Array)
    bar = progress(one, colour=False).partition("]")[0].removeprefix("[")
    assert len(bar) == 30
    assert ("░" not in bar) == (good + bad == size)
    assert (RED in progress(one, colour=True)) == (bad > 0)


def test_two_parts_that_are_cut_off_leave_no_gap_in_the_bar() -> None:
    one = msgspec.convert(array(size=24, counts={"SUCCEEDED": 22, "FAILED": 2}), Array)
    assert progress(one, colour=False) == f"[{'█' * 30}] 24/24 (100%)  2 failed"
