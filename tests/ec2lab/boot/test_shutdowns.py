"""What `shutdown` understands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.testing.ec2lab.boot.shutdowns import OFF, REBOOT, BadUsage, Request, of_poweroff, of_shutdown

_NOON = datetime(2026, 1, 19, 12, 0, 30, tzinfo=UTC)


@given(st.integers(0, 10**6))
def test_plus_n_is_n_minutes(minutes: int) -> None:
    assert of_shutdown(["-h", f"+{minutes}", "see you"], _NOON) == Request(act="end", how=OFF, minutes=float(minutes))


@given(hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_time_of_the_day_is_the_next_one(hour: int, minute: int) -> None:
    asked = of_shutdown(["-P", f"{hour:02d}:{minute:02d}"], _NOON)
    assert 0 <= asked.minutes < 24 * 60
    assert (12 * 60 + 0.5 + asked.minutes) % (24 * 60) == pytest.approx(hour * 60 + minute)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ([], Request(act="end", minutes=1.0)),
        (["now"], Request(act="end")),
        (["-r", "now"], Request(act="end", how=REBOOT)),
        (["-c"], Request(act="cancel")),
        (["--show"], Request(act="show")),
        (["-k", "+5"], Request(act="wall", minutes=5.0)),
    ],
)
def test_the_forms_that_scripts_use_are_understood(words: list[str], request_: Request) -> None:
    assert of_shutdown(words, _NOON) == request_


@pytest.mark.parametrize(
    ("word", "says"), [("5", "Failed to parse time specification: 5"), ("+x", "specification"), ("25:00", "specification"), ("--soon", "unrecognized")]
)
def test_what_shutdown_would_not_understand_is_refused(word: str, says: str) -> None:
    with pytest.raises(BadUsage, match=says):
        of_shutdown([word], _NOON)


def test_poweroff_and_reboot_happen_now() -> None:
    assert of_poweroff("poweroff", ["-f"]) == Request(act="end", how=OFF)
    assert of_poweroff("reboot", []) == Request(act="end", how=REBOOT)
    with pytest.raises(BadUsage, match="unrecognized option '--later'"):
        of_poweroff("halt", ["--later"])
