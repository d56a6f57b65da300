"""Launches that EC2 refuses, and launches that are called back, on an EC2 in memory."""

from __future__ import annotations

from botocore.exceptions import ClientError

from spawn.domain.hindrances import Because
from spawn.domain.ids import AttemptId
from spawn.engine.news import Dropped, Launched, Refused
from spawn.providers.ec2.turn import Refusal
from tests.providers.ec2.bench import bench, cloud_job


def test_a_refusal_that_nothing_mends_ends_each_attempt_with_what_ec2_said() -> None:
    with bench(["InvalidAMIID.NotFound"]) as at:
        at.launch(cloud_job(3))
        at.step()
        refused = [event for event in at.events if isinstance(event, Refused)]
        assert [event.attempt.position for event in refused] == [0, 1, 2]
        assert all("InvalidAMIID.NotFound" in event.reason for event in refused)
        assert not at.open()


def test_a_denied_or_expired_access_holds_the_launch_and_the_next_one_goes_on() -> None:
    for code in ("UnauthorizedOperation", "ExpiredToken"):
        with bench([code]) as at:
            job = at.launch(cloud_job(3))
            at.step()
            assert not at.alive()
            [(why, count)] = at.work.reasons[job.key].items()
            assert (why.because, count) == (Because.ACCESS, 3)
            assert "`spawn access`" in why.sentence
            assert at.work.orders.renew("2", {"AWS_PROFILE": "other"}) == []
            assert at.work.orders.renew("1", {"AWS_PROFILE": "other"}) == [job.id]
            at.run()
            assert len(at.alive()) == 3
            # what was signed with credentials that have expired cannot be fetched: those are asked for with other URLs, and another token
            assert len({asked["ClientToken"] for asked in at.ec2.asked}) == (2 if code == "ExpiredToken" else 1)


def test_what_is_in_question_when_the_access_expires_is_only_looked_for() -> None:
    with bench(["silent", "ExpiredToken"]) as at:
        job = at.launch(cloud_job(3))
        at.step()
        at.clock.advance(10.0)
        at.step()
        assert len(at.ec2.asked) == 2
        assert at.work.orders.renew("1", {"AWS_PROFILE": "other"}) == [job.id]
        at.run()
        first, second, *others = [asked["ClientToken"] for asked in at.ec2.asked]
        assert first == second
        assert first not in others
        assert len(at.alive()) == 3


def test_a_launch_that_had_to_wait_for_long_is_formed_anew() -> None:
    with bench(["RequestLimitExceeded"]) as at:
        at.launch(cloud_job(2))
        at.step()
        at.clock.advance(1000.0)
        at.run()
        first, second = at.ec2.asked
        assert first["ClientToken"] != second["ClientToken"]
        assert len(at.alive()) == 2


def test_what_is_stopped_before_it_was_asked_for_is_never_launched() -> None:
    with bench(["RequestLimitExceeded"]) as at:
        job = at.launch(cloud_job(3))
        at.step()
        at.work.orders.wish("stop", [AttemptId(job.key, 1, 1)], 30.0)
        at.run()
        assert [event.attempt.position for event in at.events if isinstance(event, Dropped)] == [1]
        assert len(at.alive()) == 2


def test_what_is_stopped_while_its_launch_is_unclear_is_ended_when_it_turns_up() -> None:
    with bench(["lost"]) as at:
        job = at.launch(cloud_job(3))
        at.step()
        at.work.orders.wish("stop", [AttemptId(job.key, 1, 1)], 30.0)
        at.run()
        for _ in range(3):
            at.clock.advance(min(5.0, at.step()))
        gone = next(event.instance_id for event in at.events if isinstance(event, Launched) and event.attempt.position == 1)
        assert at.ec2.terminated == [gone]


def test_a_new_access_is_used_for_what_runs_already() -> None:
    with bench() as at:
        job = at.launch(cloud_job(1))
        at.run()
        at.work.orders.admit(job, {"AWS_PROFILE": "new"})
        assert at.ledger.one("SELECT access FROM array")["access"] == '{"AWS_PROFILE": "new"}'


def test_a_launch_without_an_answer_is_not_asked_for_again_when_its_instances_could_not_boot_any_more() -> None:
    with bench(["silent"]) as at:
        at.launch(cloud_job(2))
        at.step()
        at.clock.advance(12 * 3600.0)
        at.run()
        first, second = at.ec2.asked
        assert first["ClientToken"] != second["ClientToken"]
        assert len(at.alive()) == 2


def test_a_launch_that_happened_is_found_however_late_somebody_looks() -> None:
    with bench(["lost"]) as at:
        at.launch(cloud_job(2))
        at.step()
        at.clock.advance(12 * 3600.0)
        at.run()
        assert len(at.ec2.asked) == 1
        assert len([event for event in at.events if isinstance(event, Launched)]) == 2


def test_one_that_is_protected_keeps_no_other_from_being_terminated() -> None:
    with bench() as at:
        job = at.launch(cloud_job(3, zones=("us-east-1a",)))
        at.run()
        kept, *others = at.ec2.launched
        at.ec2.protected.add(kept)
        at.work.orders.wish("stop", [AttemptId(job.key, position, 1) for position in range(3)], 30.0)
        for _ in range(3):
            at.clock.advance(min(1.0, at.step()))
        assert sorted(at.ec2.terminated) == sorted(others)


def test_where_others_use_up_a_quota_that_is_not_known_smaller_launches_are_tried() -> None:
    with bench(["VcpuLimitExceeded", "VcpuLimitExceeded"]) as at:
        at.launch(cloud_job(100, zones=("us-east-1a",)))
        at.run()
        assert [asked["MaxCount"] for asked in at.ec2.asked] == [100, 50, 25, 75]


def test_what_a_head_request_may_not_see_waits_for_the_permission() -> None:
    assert Refusal.of(ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject"), "look").is_denial
