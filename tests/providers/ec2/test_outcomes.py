"""From launch to end, with instances that are acted: what is told of each attempt, and what is left of its instance."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import urllib3

from spawn.domain.ids import AttemptId
from spawn.domain.instances import OnComplete
from spawn.domain.jobs import Job
from spawn.domain.states import InstanceState
from spawn.engine.news import Completed, Ended, EndKind, InstanceChanged, Launched, Lost, Started
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.boot.acts import Act, ActPlan, Life
from spawn.testing.ec2lab.plan import Fate, FateKind, Fault, FaultKind
from tests.providers.ec2.driving import Driven, Killed, driven, lasting
from tests.providers.ec2.test_requests import unpacked


def kinds(fleet: Driven, job: Job, position: int) -> list[str]:
    """What was told of a child, in order."""
    return [type(event).__name__ for event in fleet.events if event.attempt == AttemptId(job.key, position, 1)]  # type: ignore[union-attr]


def test_each_child_has_an_instance_tells_its_end_and_nothing_is_left(tmp_path: Path) -> None:
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=60, code=index % 2))
    with driven(tmp_path, acts=acts) as fleet:
        job = fleet.job(4)
        fleet.start(job)
        fleet.run()
        for position in range(4):
            assert kinds(fleet, job, position) == ["Launched", "Started", "Ended", "InstanceChanged"]
        ends = fleet.ends(job)
        assert [end.how for end in ends.values() if isinstance(end, Ended)] == [EndKind(position % 2, None, None) for position in range(4)]
        told = {event.instance_id for event in fleet.events if isinstance(event, Launched)}
        assert told == {life.instance_id for life in fleet.lab.lives()} == {life.instance_id for life in fleet.reader.lives(job.key)}
        assert fleet.calls("RunInstances") == 1
        assert fleet.calls("CreateTags") == 0
        assert fleet.dissolved == []
        fleet.work.orders.forget(job.key)
        fleet.step()
        assert fleet.dissolved == [job.id]


def test_an_instance_whose_agent_never_starts_dies_at_its_ttl_and_never_checked_in(tmp_path: Path) -> None:
    with driven(tmp_path, acts=ActPlan(machine=lambda nth, dice: Life(checks_in=False))) as fleet:
        job = fleet.job(1, ttl=timedelta(minutes=10))
        fleet.start(job)
        fleet.run(400, until=lambda: fleet.clock.now() > fleet.events[0].at + 310_000 if fleet.events else False)
        assert any("has not been heard of" in why.sentence for why in fleet.work.reasons[job.key])
        fleet.run()
        [end] = fleet.ends(job).values()
        assert isinstance(end, Lost)
        assert (end.why, end.market) == ("never checked in", False)
        [life] = fleet.lab.lives()
        assert life.ended_at is not None
        assert 600 <= life.ended_at - life.launched_at <= 660


def test_an_instance_that_ec2_ends_before_it_was_heard_of_says_why(tmp_path: Path) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.DIES, nth=1, after_s=3),))
    with driven(tmp_path, plan=plan) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.run()
        [end] = fleet.ends(job).values()
        assert isinstance(end, Lost)
        assert end.why == f"never checked in: {fleet.reader.instances(job.key)[0].ended_why}"


def test_what_the_spot_market_takes_back_is_interrupted_not_failed(tmp_path: Path) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.INTERRUPTED, nth=1, after_s=60),))
    with driven(tmp_path, plan=plan, acts=lasting(600)) as fleet:
        job = fleet.job(2, spot=True)
        fleet.start(job)
        fleet.run()
        first, second = (fleet.ends(job)[AttemptId(job.key, position, 1)] for position in range(2))
        assert isinstance(first, Ended)
        assert first.how.why == "interrupted"
        assert isinstance(second, Ended)
        assert second.how.code == 0


def test_an_instance_that_dies_without_a_word_loses_what_it_ran_with_ec2s_reason(tmp_path: Path) -> None:
    plan = LabPlan(fates=(Fate(kind=FateKind.DIES, nth=1, after_s=60),))
    with driven(tmp_path, plan=plan, acts=lasting(600)) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.run()
        [end] = fleet.ends(job).values()
        assert isinstance(end, Lost)
        assert not end.market
        assert end.why
        assert fleet.reader.instances(job.key)[0].ended_why == end.why


def test_a_record_that_was_written_counts_though_its_instance_died_before_it_was_read(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(20)) as fleet:
        job = fleet.job(1, on_complete=OnComplete.NONE)
        fleet.start(job)
        fleet.step()
        fleet.pass_time(120)  # it has ended, and nobody has looked
        fleet.lab.kill(fleet.lab.lives()[0].instance_id)
        fleet.run()
        assert kinds(fleet, job, 0) == ["Launched", "Started", "Ended", "InstanceChanged"]


def test_complete_is_told_before_the_process_ends(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(200, completed=("failure", "no input"), completed_after_s=50)) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.run()
        assert kinds(fleet, job, 0) == ["Launched", "Started", "Completed", "Ended", "InstanceChanged"]
        [said] = [event for event in fleet.events if isinstance(event, Completed)]
        assert (said.success, said.message) == (False, "no input")


def test_a_child_that_is_stopped_has_its_instance_ended_and_records_so(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(3000)) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))
        fleet.work.orders.wish("stop", [AttemptId(job.key, 0, 1)], 10.0)
        fleet.run(300, until=lambda: bool(fleet.ends(job)))
        [end] = fleet.ends(job).values()
        assert isinstance(end, Ended)
        assert end.attempt.position == 0
        assert end.how.why == "stopped"
        assert fleet.calls("TerminateInstances") == 1


def test_a_kept_instance_lives_until_it_is_released(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(20)) as fleet:
        job = fleet.job(1, on_complete=OnComplete.NONE)
        fleet.start(job)
        fleet.run(until=lambda: bool(fleet.ends(job)))
        fleet.pass_time(900)
        fleet.step(look=True)
        assert fleet.reader.instances(job.key)[0].state is InstanceState.RUNNING
        fleet.work.orders.wish("release", [AttemptId(job.key, 0, 1)])
        fleet.run(300)
        assert [event.state for event in fleet.events if isinstance(event, InstanceChanged)] == [InstanceState.TERMINATED]


def test_an_end_that_is_moved_is_confirmed_by_the_instance_and_kept(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(2000)) as fleet:
        job = fleet.job(1, ttl=timedelta(minutes=10))
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))
        wanted = fleet.clock.now() + 3_600_000
        fleet.work.orders.wish("extend", [AttemptId(job.key, 0, 1)], float(wanted))
        fleet.run(300, until=lambda: fleet.reader.instances(job.key)[0].ends_at == wanted)
        fleet.run()
        [end] = fleet.ends(job).values()
        assert isinstance(end, Ended)
        assert end.how.code == 0


def test_an_instance_that_outlives_its_end_is_ended_by_the_engine(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(20)) as fleet:
        job = fleet.job(1, ttl=timedelta(minutes=10), on_complete=OnComplete.STOP)
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, InstanceChanged) for event in fleet.events))
        assert kinds(fleet, job, 0)[:3] == ["Launched", "Started", "Ended"]
        assert fleet.reader.instances(job.key)[0].state is InstanceState.STOPPED  # nothing in it could end it
        fleet.run(1200)
        assert [event.state for event in fleet.events if isinstance(event, InstanceChanged)] == [InstanceState.STOPPED, InstanceState.TERMINATED]
        [life] = fleet.lab.lives()
        assert life.ended_at is not None
        assert life.ended_at - life.launched_at <= 960


def test_what_was_stopped_keeps_its_disk_until_its_end_and_what_is_started_again_has_a_whole_life(tmp_path: Path) -> None:
    with driven(tmp_path, acts=lasting(2000)) as fleet:
        job = fleet.job(1, ttl=timedelta(hours=1))
        fleet.start(job)
        fleet.run(until=lambda: any(isinstance(event, Started) for event in fleet.events))
        [life] = fleet.lab.lives()
        ec2 = fleet.clients.client("ec2", "us-east-1")
        ec2.stop_instances(InstanceIds=[life.instance_id])
        fleet.run(until=lambda: bool(fleet.ends(job)))
        began = fleet.clock.now()
        fleet.run(2000, until=lambda: fleet.clock.now() - began > 1_500_000)
        assert fleet.reader.instances(job.key)[0].state is InstanceState.STOPPED
        fleet.pass_time(3600)  # nobody looks, and its end passes
        ec2.start_instances(InstanceIds=[life.instance_id])
        again = fleet.clock.now()
        fleet.run(2000, until=lambda: fleet.clock.now() - again > 1_500_000)
        assert fleet.reader.instances(job.key)[0].state is InstanceState.RUNNING
        assert fleet.calls("TerminateInstances") == 0


def test_variables_of_the_user_are_read_by_the_role_of_the_instance_and_by_nobody_who_has_its_user_data(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet, urllib3.PoolManager() as anybody:
        like = fleet.job(1)
        work = type(like.work)(script=None, command=("true",), environment={"KEY": "s3cr3t"}, given=("KEY",), workdir="/", private_tmp=False, compat_env=True)
        job = fleet.job(1, facts={"work": work})
        fleet.start(job)
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 1}
        [launch] = fleet.ledger.rows("SELECT * FROM launch")
        assert job.fleet is not None
        key = f"arrays/{job.id}/launch/{launch['token']}.json"
        staged = fleet.clients.client("s3", "us-east-1").get_object(Bucket=job.fleet.bucket, Key=key)
        assert json.loads(staged["Body"].read())["spec"]["environment"] == {"KEY": "s3cr3t"}
        script = unpacked(base64.b64decode(json.loads(launch["request"])["UserData"]))
        urls = re.findall(r"https?://[^\s'\"]+", script)
        answers = {url: anybody.request("GET", url) for url in [*urls, f"{fleet.clients.endpoint('s3')}/{job.fleet.bucket}/{key}"]}
        assert [url.partition("?")[0].rpartition(".")[2] for url, answer in answers.items() if answer.status == 200] == ["pyz"]
        assert not any("s3cr3t" in said for said in [script, *(answer.data.decode("latin-1") for answer in answers.values())])


def test_a_profile_that_ec2_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(profile_lag_s=10)) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 2}
        assert len(fleet.lab.lives()) == 2


def test_instances_that_are_not_listed_for_a_while_are_not_lost(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(describe_lag_s=45), acts=lasting(200)) as fleet:
        job = fleet.job(3)
        fleet.start(job)
        fleet.run()
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 3}


def test_a_bucket_that_cannot_be_written_is_told_of_and_the_record_comes_later(tmp_path: Path) -> None:
    acts = ActPlan(attempt=lambda index, attempt, dice: Act(duration_s=30), machine=lambda nth, dice: Life(cannot_write=(40.0, 400.0)))
    with driven(tmp_path, acts=acts) as fleet:
        job = fleet.job(1)
        fleet.start(job)
        fleet.run()
        [end] = fleet.ends(job).values()
        assert isinstance(end, Ended)
        assert end.how.code == 0


def test_a_forgotten_array_leaves_nothing_in_the_bucket_or_here(tmp_path: Path) -> None:
    with driven(tmp_path) as fleet:
        job = fleet.job(2)
        fleet.start(job)
        fleet.run()
        fleet.work.orders.forget(job.key)
        directory = tmp_path / f"{job.id}.{job.key}"
        directory.mkdir()
        gone: list[str] = []
        fleet.work.discard(str(directory), gone.append)
        fleet.step()
        assert gone == [str(directory)]
        assert not directory.exists()
        assert job.fleet is not None
        left = fleet.clients.client("s3", "us-east-1").list_objects_v2(Bucket=job.fleet.bucket, Prefix=f"arrays/{job.id}/")
        assert left["KeyCount"] == 0
        assert fleet.reader.job(job.key) is None


def test_an_engine_killed_at_any_call_goes_on_and_launches_nothing_twice(tmp_path: Path) -> None:
    with driven(tmp_path, plan=LabPlan(describe_lag_s=8)) as fleet:
        job = fleet.job(3)
        fleet.start(job)
        places = Counter[str]()

        def kill(place: str) -> None:
            places[place] += 1
            if places[place] == 1:
                raise Killed

        fleet.kill = kill
        end = fleet.clock.now() + 1_800_000
        while not fleet.is_over():
            assert fleet.clock.now() < end
            try:
                wanted = fleet.step()
                fleet.pass_time(5.0 if wanted is None else min(30.0, max(0.0, (wanted - fleet.clock.now()) / 1000)))
            except Killed:
                fleet.restart()
        assert len(places) >= 12
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 3}
        assert len(fleet.lab.lives()) == 3
        assert Counter(type(event).__name__ for event in fleet.events)["Started"] == 3


def test_answers_that_are_lost_launch_nothing_twice(tmp_path: Path) -> None:
    faults = (Fault(kind=FaultKind.LOST_ANSWER, action="RunInstances", times=3), Fault(kind=FaultKind.BROKEN, action="DescribeInstances", times=2))
    with driven(tmp_path, plan=LabPlan(faults=faults, describe_lag_s=20)) as fleet:
        job = fleet.job(5)
        fleet.start(job)
        fleet.run()
        assert len(fleet.lab.lives()) == 5
        assert Counter(type(end).__name__ for end in fleet.ends(job).values()) == {"Ended": 5}
