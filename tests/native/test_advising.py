"""What is said before a launch on EC2: what costs without working, and what has no effect."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.api.native.advising import advice
from spawn.engine.submission import WAITING, Submission

SCRIPT = "#!/bin/sh\n./run.sh\n"


def said(**asked: Any) -> tuple[str, ...]:
    return advice(Submission(**{"provider": "ec2", "ttl_s": 1800.0} | asked))


@pytest.mark.parametrize(
    ("ends", "until"),
    [({}, "their TTL of 30m"), ({"ttl_s": None, "no_ttl": True}, "somebody ends them"), ({"idle_s": 60.0}, "they were idle for 1m")],
)
def test_a_script_whose_instances_live_on_unasked_is_told_so(ends: dict[str, Any], until: str) -> None:
    assert said(script=SCRIPT, **ends) == (f"when their work is done the instances stay, and cost, until {until}: --on-complete terminate ends them with it",)


@pytest.mark.parametrize("asked", [{"command": ("x",)}, {"script": SCRIPT, "on_complete": "none"}, {"script": WAITING}, {}])
def test_who_said_so_or_waits_for_instances_is_told_nothing(asked: dict[str, Any]) -> None:
    assert said(**asked) == ()


def test_a_time_that_the_ttl_leaves_no_room_for_is_named() -> None:
    assert said(command=("x",), timeout_s=10800.0, idle_s=1800.0, grace_s=1200.0) == (
        "--timeout 3h has no effect: the instances end after their TTL of 30m",
        "--idle-timeout 30m has no effect: the instances end after their TTL of 30m",
        "--grace 20m is cut short where the TTL of 30m ends what runs: half of it is left for that at most",
    )
    assert said(command=("x",), timeout_s=1799.0, idle_s=60.0, grace_s=900.0) == ()
    assert said(command=("x",), timeout_s=10800.0, ttl_s=None, no_ttl=True) == ()
