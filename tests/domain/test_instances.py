from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import InvalidField
from spawn.domain.instances import Lifetime, OnComplete, deadline, state_of
from spawn.domain.instants import Instant
from spawn.domain.states import NOT_STARTED, SETTLED, InstanceState, Status

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = Instant(1_000_000)
TERMINATE, STOP, NONE = OnComplete.TERMINATE, OnComplete.STOP, OnComplete.NONE


def after(duration: timedelta) -> Instant:
    return Instant(START + int(duration.total_seconds() * 1000))


ENDED = after(10 * MINUTE)


# --- when it ends ---------------------------------------------------------------------------------------------------------


def test_an_instance_that_never_started_has_no_end() -> None:
    assert deadline(Lifetime(ttl=HOUR, on_complete=TERMINATE), None, ENDED, extended_to=ENDED) is None


@pytest.mark.parametrize("on_complete", OnComplete)
def test_while_its_attempt_runs_an_instance_has_its_ttl(on_complete: OnComplete) -> None:
    assert deadline(Lifetime(ttl=HOUR, idle=MINUTE, on_complete=on_complete), START, None) == after(HOUR)
    assert deadline(Lifetime(idle=MINUTE, on_complete=on_complete), START, None) is None


def test_terminate_ends_the_instance_with_its_attempt_whatever_its_ttl() -> None:
    assert deadline(Lifetime(ttl=HOUR, on_complete=TERMINATE), START, ENDED) == ENDED
    assert deadline(Lifetime(on_complete=TERMINATE), START, ENDED, extended_to=after(DAY)) == ENDED


@pytest.mark.parametrize("on_complete", [NONE, STOP])
@pytest.mark.parametrize(
    ("ttl", "idle", "end"),
    [
        (HOUR, None, after(HOUR)),
        (HOUR, 5 * MINUTE, after(15 * MINUTE)),
        (12 * MINUTE, 5 * MINUTE, after(12 * MINUTE)),
        (None, 5 * MINUTE, after(15 * MINUTE)),
        (None, None, after(10 * MINUTE + DAY)),
    ],
)
def test_a_kept_instance_ends_by_its_ttl_its_idle_time_or_after_a_day(
    on_complete: OnComplete, ttl: timedelta | None, idle: timedelta | None, end: Instant
) -> None:
    assert deadline(Lifetime(ttl=ttl, idle=idle, on_complete=on_complete), START, ENDED) == end


def test_extending_overrules_the_ttl_and_the_idle_time() -> None:
    lifetime = Lifetime(ttl=HOUR, idle=MINUTE)
    assert deadline(lifetime, START, None, extended_to=after(DAY)) == after(DAY)
    assert deadline(lifetime, START, ENDED, extended_to=after(DAY)) == after(DAY)


@given(
    st.none() | st.timedeltas(MINUTE, DAY),
    st.none() | st.timedeltas(MINUTE, DAY),
    st.sampled_from(OnComplete),
    st.none() | st.integers(START, after(DAY)).map(Instant),
)
def test_every_instance_whose_attempt_has_ended_has_an_end(
    ttl: timedelta | None, idle: timedelta | None, on_complete: OnComplete, extended_to: Instant | None
) -> None:
    assert deadline(Lifetime(ttl=ttl, idle=idle, on_complete=on_complete), START, ENDED, extended_to=extended_to) is not None


@pytest.mark.parametrize("duration", [timedelta(), timedelta(seconds=-1)])
def test_a_lifetime_of_nothing_cannot_be_written(duration: timedelta) -> None:
    with pytest.raises(InvalidField, match="ttl"):
        Lifetime(ttl=duration)
    with pytest.raises(InvalidField, match="idle"):
        Lifetime(idle=duration)


# --- what state it is in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(NOT_STARTED | {Status.STARTING}))
def test_before_its_child_runs_an_instance_is_pending(status: Status) -> None:
    assert state_of(status, NONE, ends_at=None, now=START) is InstanceState.PENDING


def test_a_running_child_has_a_running_instance_until_it_is_asked_to_end() -> None:
    running = Status.RUNNING
    assert state_of(running, NONE, ends_at=None, now=START) is InstanceState.RUNNING
    assert state_of(running, NONE, ends_at=after(HOUR), now=ENDED) is InstanceState.RUNNING
    assert state_of(running, NONE, ends_at=ENDED, now=ENDED) is InstanceState.SHUTTING_DOWN
    assert state_of(running, NONE, ends_at=None, now=START, stopping=True) is InstanceState.SHUTTING_DOWN


@pytest.mark.parametrize("status", sorted(SETTLED))
def test_the_instance_of_a_settled_child_runs_on_or_stops_until_its_end(status: Status) -> None:
    assert state_of(status, NONE, ends_at=after(HOUR), now=ENDED) is InstanceState.RUNNING
    assert state_of(status, STOP, ends_at=after(HOUR), now=ENDED) is InstanceState.STOPPED
    assert state_of(status, TERMINATE, ends_at=ENDED, now=ENDED) is InstanceState.TERMINATED
    assert state_of(status, NONE, ends_at=after(HOUR), now=after(HOUR)) is InstanceState.TERMINATED
    assert state_of(status, NONE, ends_at=after(HOUR), now=ENDED, stopping=True) is InstanceState.SHUTTING_DOWN


def test_a_child_that_never_ran_has_no_instance() -> None:
    assert state_of(Status.FAILED, NONE, ends_at=None, now=ENDED) is InstanceState.TERMINATED


@pytest.mark.parametrize("status", Status)
def test_an_instance_that_is_gone_is_terminated_whatever_its_child(status: Status) -> None:
    assert state_of(status, STOP, ends_at=after(HOUR), now=START, gone=True) is InstanceState.TERMINATED


def test_what_to_do_on_completion_is_read_or_refused() -> None:
    assert [OnComplete.parse(text) for text in ("terminate", "stop", "none")] == [TERMINATE, STOP, NONE]
    with pytest.raises(InvalidField, match="--on-complete: 'kill' is not one of terminate, stop, none"):
        OnComplete.parse("kill")
