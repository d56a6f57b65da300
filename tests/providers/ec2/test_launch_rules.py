"""The rules of launching, on an EC2 in memory: however its answers are cut, each attempt comes to exactly one instance."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from spawn.domain.hindrances import Because
from spawn.domain.ids import AttemptId
from spawn.engine.news import Launched
from spawn.providers.ec2.forming import balanced
from tests.providers.ec2.bench import bench, cloud_job
from tests.providers.ec2.fake_ec2 import Answer

ANSWERS = st.one_of(
    st.sampled_from(["all", "lost", "silent", "InternalError", "RequestLimitExceeded", "InsufficientInstanceCapacity", "VcpuLimitExceeded"]),
    st.integers(1, 40),
)


@settings(max_examples=25, deadline=None)
@given(answers=st.lists(ANSWERS, max_size=12), size=st.integers(1, 130), restarts=st.sets(st.integers(0, 8)))
def test_each_attempt_comes_to_exactly_one_instance_however_the_answers_are_cut(answers: list[Answer], size: int, restarts: set[int]) -> None:
    with bench(answers) as at:
        job = at.launch(cloud_job(size))
        for number in range(9):
            if number in restarts:
                at.restart()
            at.clock.advance(min(10.0, at.step()))
            at.check()
        at.run()
        launched = [event for event in at.events if isinstance(event, Launched)]
        assert sorted(event.attempt.position for event in launched) == list(range(size))
        assert {event.instance_id for event in launched} == {one["InstanceId"] for one in at.alive()}
        assert len(at.alive()) == size
        assert {event.attempt for event in launched} == {AttemptId(job.key, position, 1) for position in range(size)}


@settings(max_examples=12, deadline=None)
@given(answers=st.lists(ANSWERS, max_size=8), size=st.integers(1, 200), instances=st.integers(1, 12))
def test_children_that_share_instances_are_divided_among_no_more_than_asked_for(answers: list[Answer], size: int, instances: int) -> None:
    with bench(answers) as at:
        at.launch(cloud_job(size, instances=instances))
        for _ in range(60):
            at.clock.advance(at.step())
            at.check()
            assert len(at.alive()) <= instances
            if not at.ledger.one("SELECT 1 FROM attempt WHERE state IN ('wanted', 'launching')"):
                break
        having = Counter(row["instance"] for row in at.ledger.rows("SELECT instance FROM attempt WHERE instance IS NOT NULL"))
        assert sum(having.values()) == size


@given(st.integers(0, 500), st.integers(1, 60))
def test_parts_are_contiguous_and_balanced(count: int, parts: int) -> None:
    attempts = [(position, 1) for position in range(count)]
    made = balanced(attempts, parts)
    assert [attempt for part in made for attempt in part] == attempts
    assert max(map(len, made)) - min(map(len, made)) <= 1


def test_a_thousand_children_take_ten_calls_in_zones_in_turn() -> None:
    with bench() as at:
        at.launch(cloud_job(1000, zones=("us-east-1a", "us-east-1b", "us-east-1c")))
        at.run()
        assert len(at.ec2.asked) == 10
        assert max(asked["MaxCount"] for asked in at.ec2.asked) == 100
        assert set(at.spread().values()) == {300, 400}


def test_more_than_a_thousand_wait_for_what_ec2_gives_back_each_second() -> None:
    with bench() as at:
        began = at.clock.now()
        at.launch(cloud_job(1200, zones=("us-east-1a",)))
        at.run()
        assert len(at.ec2.asked) == 12
        assert 95 <= (at.clock.now() - began) / 1000 <= 110


def test_throttling_is_waited_for_with_growing_pauses_and_changes_nothing_else() -> None:
    with bench(["RequestLimitExceeded"] * 4) as at:
        at.launch(cloud_job(3))
        began = at.clock.now()
        at.step()
        assert any(why.because is Because.THROTTLED for why in at.work.reasons[cloud_job(3).key])
        at.run()
        assert at.clock.now() - began >= 500 + 1000 + 2000 + 4000
        assert {json.dumps(asked, default=str, sort_keys=True) for asked in at.ec2.asked} == {json.dumps(at.ec2.asked[0], default=str, sort_keys=True)}


def test_where_there_is_no_room_another_zone_is_asked_then_another_type() -> None:
    with bench(["InsufficientInstanceCapacity"] * 4) as at:
        at.launch(cloud_job(5, types=("t3.micro", "t3.small")))
        began = at.clock.now()
        at.run()
        assert [asked["InstanceType"] for asked in at.ec2.asked] == ["t3.micro"] * 3 + ["t3.small"] * 2
        assert len({asked["SubnetId"] for asked in at.ec2.asked[:3]}) == 3
        assert at.clock.now() == began


def test_spot_without_room_anywhere_falls_back_to_on_demand_only_where_that_was_asked_for() -> None:
    with bench(["InsufficientInstanceCapacity"] * 3) as at:
        at.launch(cloud_job(2, spot=True, on_demand_fallback=True))
        at.run()
        assert ["InstanceMarketOptions" in asked for asked in at.ec2.asked] == [True, True, True, False]
    with bench(["InsufficientInstanceCapacity"] * 5) as at:
        job = at.launch(cloud_job(2, spot=True))
        at.step()
        for _ in range(4):
            at.step()
        assert any(why.because is Because.NO_CAPACITY for why in at.work.reasons[job.key])
        at.run()
        assert all("InstanceMarketOptions" in asked for asked in at.ec2.asked)


def test_a_part_of_a_launch_is_kept_and_the_rest_goes_elsewhere() -> None:
    with bench([7]) as at:
        at.launch(cloud_job(20))
        at.run()
        assert sorted(at.spread().values()) == [7, 13]
        first = [event for event in at.events if isinstance(event, Launched)][:7]
        assert [event.attempt.position for event in first] == list(range(7))


def test_a_known_quota_is_filled_in_waves_without_a_refused_call() -> None:
    quotas = {"us-east-1/on-demand": 8.0}
    with bench() as at:
        job = at.launch(cloud_job(10, zones=("us-east-1a",), quotas=quotas))
        for _ in range(3):
            at.clock.advance(at.step())
        assert len(at.alive()) == 4
        assert any(why.because is Because.OVER_QUOTA for why in at.work.reasons[job.key])
        at.ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in at.alive()])
        for _ in range(6):
            at.clock.advance(min(5.0, at.step()))
        assert len(at.ec2.launched) == 8
        assert len(at.ec2.asked) == 2


def test_a_region_over_its_quota_leaves_the_others_to_launch() -> None:
    with bench() as at:
        at.launch(cloud_job(10, quotas={"us-east-1/on-demand": 4.0, "us-west-2/on-demand": 100.0}))
        at.run()
        assert at.spread()["us-west-2a"] == 8
