"""Arrays on EC2 beside arrays on this machine, in one engine: who is told what, and what the spot market takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawn.domain.errors import UsageError
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.outcomes import OutcomeKind
from spawn.domain.states import InstanceState, Status
from spawn.engine import commands
from spawn.engine.news import Dropped, Ended, EndKind, InstanceChanged, Launched, Lost, ProviderEvent, Started, Usage
from spawn.engine.submission import Submission, fleet_options
from tests.domain.making import make_fleet
from tests.engine.driving import Driven


@pytest.fixture
def engine(tmp_path: Path) -> Driven:
    return Driven(tmp_path)


def launch(engine: Driven, size: int = 2, **asked: object) -> JobId:
    options = asked.pop("options", {})
    assert isinstance(options, dict)
    return engine.submit(fleet=make_fleet(**options), indexes=str(size), **asked)


def attempt(engine: Driven, job: JobId, position: int = 0, number: int = 1) -> AttemptId:
    return AttemptId(engine.row(job).job.key, position, number)


def tell(engine: Driven, *events: ProviderEvent) -> None:
    engine.cloud.tell(*events)
    engine.engine.turn()


def interrupted(engine: Driven, one: AttemptId) -> Ended:
    return Ended(one, engine.clock.now(), EndKind(None, 15, "interrupted"), Usage())


def kinds(engine: Driven, job: JobId, position: int = 0) -> list[str]:
    return [row["kind"] for row in engine.attempts(job, position)]


def test_an_array_for_ec2_goes_there_at_once_and_whole_while_this_machine_is_full(engine: Driven) -> None:
    here = engine.submit(indexes="5")
    there = launch(engine, 50)
    assert len(engine.provider.started) == 2
    assert [one.key for one in engine.cloud.started] == [engine.row(there).job.key] * 50
    assert engine.statuses(here).count(Status.RUNNABLE) == 3
    assert engine.row(there).job.queue == "spawn-ec2"


def test_what_runs_on_ec2_takes_no_room_on_this_machine(engine: Driven) -> None:
    there = launch(engine, 50)
    tell(engine, *(Started(one, engine.clock.now()) for one in engine.cloud.started))
    engine.submit(indexes="2")
    assert len(engine.provider.started) == 2
    assert engine.engine.state.usage().running == 0
    assert engine.statuses(there) == [Status.RUNNING] * 50


@pytest.mark.parametrize(("asked", "told"), [(None, ""), ("/no/dir", "/no/dir")])
def test_without_a_directory_each_attempt_on_ec2_starts_in_its_own(engine: Driven, asked: str | None, told: str) -> None:
    assert engine.row(launch(engine, 2, workdir=asked)).job.work.workdir == told


def test_a_cap_holds_on_ec2(engine: Driven) -> None:
    job = launch(engine, 10, max_concurrent=3)
    assert len(engine.cloud.started) == 3
    tell(engine, Ended(attempt(engine, job), engine.clock.now(), EndKind(0, None, None), Usage()))
    assert len(engine.cloud.started) == 4


def test_after_a_restart_each_provider_hears_again_of_its_own_arrays_only(engine: Driven) -> None:
    here, there = engine.submit(indexes="2"), launch(engine, 2)
    engine.cloud.known.clear()
    engine.provider.known.clear()
    engine.restart()
    assert {one.key for one in engine.cloud.started} == {engine.row(there).job.key}
    assert {one.key for one in engine.provider.started} == {engine.row(here).job.key}


def test_the_news_of_each_provider_goes_on_from_its_own_place(engine: Driven) -> None:
    there = launch(engine, 1)
    tell(engine, Started(attempt(engine, there), engine.clock.now()))
    assert engine.store.places() == {"local": "0", "ec2": "1"}
    engine.restart()
    tell(engine, Ended(attempt(engine, there), engine.clock.now(), EndKind(0, None, None), Usage()))
    assert engine.statuses(there) == [Status.SUCCEEDED]


def test_the_instance_of_an_attempt_has_the_name_that_ec2_gave_it(engine: Driven) -> None:
    job = launch(engine, 1)
    tell(engine, Launched(attempt(engine, job), engine.clock.now(), "i-0123456789abcdef0"))
    assert engine.store.by_instance("i-0123456789abcdef0") == [attempt(engine, job)]
    engine.restart()
    tell(engine, Lost(attempt(engine, job), engine.clock.now(), "never checked in"))
    (row,) = engine.attempts(job, 0)
    assert row["status_reason"] == "Host EC2 (instance i-0123456789abcdef0) terminated."
    assert row["reason"] == "never checked in"
    assert row["instance_id"] == "i-0123456789abcdef0"


def test_what_the_spot_market_takes_is_started_again_and_costs_no_retry(engine: Driven) -> None:
    job = launch(engine, 1, options={"spot": True, "spot_retries": 2}, retries=1)
    for number in (1, 2):
        tell(engine, interrupted(engine, attempt(engine, job, number=number)))
    tell(engine, Ended(attempt(engine, job, number=3), engine.clock.now(), EndKind(1, None, None), Usage()))
    tell(engine, Ended(attempt(engine, job, number=4), engine.clock.now(), EndKind(0, None, None), Usage()))
    assert engine.statuses(job) == [Status.SUCCEEDED]
    assert kinds(engine, job) == ["interrupted", "interrupted", "failed", "succeeded"]


def test_the_budget_of_spot_losses_outlives_a_restart_and_has_an_end(engine: Driven) -> None:
    job = launch(engine, 1, options={"spot": True, "spot_retries": 2})
    for number in (1, 2, 3):
        engine.restart()
        assert engine.statuses(job) == [Status.STARTING]
        tell(engine, Lost(attempt(engine, job, number=number), engine.clock.now(), "Server.SpotInstanceTermination", market=True))
    assert engine.statuses(job) == [Status.FAILED]
    assert engine.store.ended_positions(engine.row(job).job.key, OutcomeKind.INTERRUPTED) == [0]
    assert engine.store.ended_positions(engine.row(job).job.key, OutcomeKind.LOST) == []


def test_a_retry_by_the_user_gives_the_whole_budget_back(engine: Driven) -> None:
    job = launch(engine, 1, options={"spot": True, "spot_retries": 1})
    for number in (1, 2):
        tell(engine, interrupted(engine, attempt(engine, job, number=number)))
    assert engine.statuses(job) == [Status.FAILED]
    engine.do(lambda state: commands.retry(state, job, [0], dry_run=False))
    engine.engine.turn()
    tell(engine, interrupted(engine, attempt(engine, job, number=3)))
    assert engine.statuses(job) == [Status.STARTING]


def test_a_terminated_child_is_not_started_again_by_a_spot_loss(engine: Driven) -> None:
    job = launch(engine, 1, options={"spot": True})
    engine.do(lambda state: commands.terminate(state, job, None, reason="enough", grace_s=None, dry_run=False))
    tell(engine, interrupted(engine, attempt(engine, job)))
    assert engine.statuses(job) == [Status.FAILED]


def test_an_instance_is_shutting_down_until_ec2_says_that_it_is_gone(engine: Driven) -> None:
    job = launch(engine, 1, on_complete="terminate")
    tell(engine, Ended(attempt(engine, job), engine.clock.now(), EndKind(0, None, None), Usage()))
    assert engine.attempts(job, 0)[0]["instance"] == "shutting-down"
    tell(engine, InstanceChanged(attempt(engine, job), engine.clock.now(), "i-1", InstanceState.TERMINATED))
    assert engine.attempts(job, 0)[0]["instance"] == "terminated"


def test_the_engine_leaves_the_end_of_a_kept_instance_to_others_and_stays_until_it_has_come(engine: Driven) -> None:
    job = launch(engine, 1, on_complete="none", ttl_s=3600.0)
    one = attempt(engine, job)
    tell(engine, Started(one, engine.clock.now()), Ended(one, engine.clock.now(), EndKind(0, None, None), Usage()))
    tell(engine, InstanceChanged(one, engine.clock.now(), "i-1", InstanceState.STOPPED))
    assert [(row["instance"], row["instance_ends_at"]) for row in engine.attempts(job, 0)] == [("stopped", None)]
    engine.later(2 * 3600)
    assert not engine.cloud.released
    assert not engine.engine.state.is_idle()
    tell(engine, InstanceChanged(one, engine.clock.now(), "i-1", InstanceState.TERMINATED))
    assert [(row["instance"], row["instance_ends_at"]) for row in engine.attempts(job, 0)] == [("terminated", None)]
    assert engine.engine.state.is_idle()


def test_extending_tells_also_the_instances_that_outlived_their_attempts(engine: Driven) -> None:
    job = launch(engine, 2, on_complete="none", ttl_s=3600.0)
    tell(engine, Started(attempt(engine, job), engine.clock.now()), Started(attempt(engine, job, 1), engine.clock.now()))
    tell(engine, Ended(attempt(engine, job), engine.clock.now(), EndKind(0, None, None), Usage()))
    engine.do(lambda state: commands.extend(state, job, None, ttl_s=7200, dry_run=False))
    engine.engine.turn()
    assert {one for one, _ in engine.cloud.extended} == {attempt(engine, job), attempt(engine, job, 1)}


def test_what_a_shutdown_ended_that_nobody_here_asked_for_is_lost_and_not_failed(engine: Driven) -> None:
    job = launch(engine, 2, retry_on=("lost",), retries=1)
    tell(engine, Launched(attempt(engine, job), engine.clock.now(), "i-0123456789abcdef0"), Started(attempt(engine, job), engine.clock.now()))
    tell(engine, Ended(attempt(engine, job), engine.clock.now(), EndKind(143, None, "stopped"), Usage()))
    (row,) = engine.attempts(job, 0)
    assert (row["kind"], row["status_reason"]) == ("lost", "Host EC2 (instance i-0123456789abcdef0) terminated.")
    assert attempt(engine, job, number=2) in engine.cloud.started
    tell(engine, Started(attempt(engine, job, 1), engine.clock.now()))
    engine.do(lambda state: commands.terminate(state, job, [1], reason="enough", grace_s=None, dry_run=False))
    tell(engine, Ended(attempt(engine, job, 1), engine.clock.now(), EndKind(143, None, "stopped"), Usage()))
    assert [(row["kind"], row["status_reason"]) for row in engine.attempts(job, 1)] == [("stopped", "enough")]


def test_what_could_not_be_kept_of_an_attempt_is_told_with_its_end(engine: Driven) -> None:
    job = launch(engine, 2, ttl_s=60.0)
    tell(engine, *(Started(attempt(engine, job, position), engine.clock.now()) for position in range(2)))
    lacks = "not all that it left could be kept: the end of its log missing"
    tell(engine, Ended(attempt(engine, job), engine.clock.now(), EndKind(137, None, "ttl"), Usage(), lacks))
    tell(engine, Ended(attempt(engine, job, 1), engine.clock.now(), EndKind(0, None, None), Usage(), lacks))
    assert kinds(engine, job, 0) == ["expired"]
    assert kinds(engine, job, 1) == ["succeeded"]
    assert engine.attempts(job, 0)[0]["status_reason"].endswith(f"reached the end of its TTL of 1m; {lacks}")
    assert engine.attempts(job, 1)[0]["status_reason"] == f"Essential container in task exited; {lacks}"


def test_no_instance_is_extended_by_more_than_it_can_schedule(engine: Driven) -> None:
    job = launch(engine, 2, on_complete="none", ttl_s=3600.0)
    tell(engine, Started(attempt(engine, job), engine.clock.now()))
    with pytest.raises(UsageError, match="400 days is longer than a year: an instance cannot schedule its end so far ahead"):
        engine.do(lambda state: commands.extend(state, job, None, ttl_s=400 * 86_400, dry_run=False))
    engine.engine.turn()
    assert engine.cloud.extended == []


def test_when_this_machines_runner_is_lost_nothing_on_ec2_is(engine: Driven) -> None:
    from spawn.engine.news import AllLost

    here, there = engine.submit(indexes="2"), launch(engine, 2)
    engine.provider.tell(AllLost(engine.clock.now()))
    engine.engine.turn()
    assert Status.FAILED in engine.statuses(here)
    assert engine.statuses(there) == [Status.STARTING] * 2


def test_an_attempt_that_was_never_launched_is_dropped_and_waits_again(engine: Driven) -> None:
    job = launch(engine, 1)
    tell(engine, Dropped(attempt(engine, job), engine.clock.now()))
    assert [one.attempt for one in engine.cloud.started] == [1, 2]
    assert engine.statuses(job) == [Status.STARTING]


def test_an_array_on_ec2_ends_after_four_hours_unless_it_says_otherwise(engine: Driven) -> None:
    ttls = [engine.row(launch(engine, 1, **asked)).job.lifetime.ttl for asked in ({}, {"ttl_s": 60.0}, {"no_ttl": True})]
    assert [None if ttl is None else ttl.total_seconds() for ttl in ttls] == [14400, 60, None]


def test_nothing_of_the_shell_goes_to_ec2_but_what_was_named(engine: Driven) -> None:
    job = launch(engine, 1, environment={"SECRET": "x"}, env={"NAMED": "y"})
    assert engine.row(job).job.work.environment == {"NAMED": "y"}


@pytest.mark.parametrize(
    ("cloud", "named"),
    [
        ({"sput": True}, "sput"),
        ({"instances": "3"}, "instances"),
        ({"spot_max_price": 0.1}, "--spot"),
        ({"distribute": "dynamic"}, "--instances"),
        ({"instances": 0}, "--instances"),
    ],
)
def test_wrong_options_are_refused_by_their_names(cloud: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        fleet_options(Submission(command=("true",), provider="ec2", cloud=cloud))


def test_options_come_as_they_were_given() -> None:
    options = fleet_options(Submission(command=("true",), provider="ec2", cloud={"instance_types": ["c7i.large"]}, on_complete="hibernate"))
    assert (options.instance_types, options.spot, options.hibernate) == (("c7i.large",), False, True)


def test_who_stops_an_instance_on_purpose_has_stopped_its_attempt_and_nobody_else_has(engine: Driven) -> None:
    job = launch(engine, 2, retries=1)
    both = [attempt(engine, job, position) for position in (0, 1)]
    engine.do(lambda state: commands.expect_power_off(state, job, [0]))
    tell(engine, *(Ended(one, engine.clock.now(), EndKind(None, 15, "stopped"), Usage()) for one in both))
    assert kinds(engine, job, 0) == ["stopped"]
    assert kinds(engine, job, 1) == ["lost"]
    assert engine.statuses(job) == [Status.FAILED, Status.STARTING]
