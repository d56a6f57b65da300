"""Members on EC2 as the native API tells of them and changes them; AWS is what the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from spawn.api.native.shapes import Asked
from spawn.domain.errors import Conflict, NotFound, UsageError
from spawn.domain.fleets import Market
from spawn.domain.ids import AttemptId, JobId
from spawn.domain.states import InstanceState
from spawn.engine.news import Launched, Lost, Refused
from tests.cli.canned import check
from tests.native.calling import Calling, at, real_id


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    return Calling(tmp_path)


def built(value: Any) -> Any:
    return msgspec.to_builtins(value)


def test_a_member_shows_the_instance_that_ec2_named(api: Calling) -> None:
    job = api.launch(3)
    api.boot(job, 0, 1)
    first, second, third = api.members(job)
    for member in (first, second, third):
        check("member", built(member))
    assert (first.instance_id, second.instance_id, third.instance_id) == (real_id(100), real_id(101), None)
    assert [member.state for member in (first, second, third)] == ["running", "running", "pending"]
    assert (first.instance.type, first.instance.zone, first.instance.market, first.instance.address) == ("t3.micro", "us-east-1a", "on-demand", "198.51.100.7")
    assert first.instance.ends_at is not None


def test_what_runs_here_says_nothing_of_instances_on_ec2(api: Calling) -> None:
    job = api.submit(indexes="2")
    (member, _) = api.members(job)
    assert {"instance", "interrupted"}.isdisjoint(built(member))
    assert {"fleet", "interrupted", "remarks"}.isdisjoint(api.service.array(job))


def test_states_count_right_while_it_runs_and_after_the_end(api: Calling) -> None:
    job = api.launch(4)
    api.boot(job, 0, 1, 2)
    api.seen(job, 2, state=InstanceState.STOPPED)
    assert {state: len(api.members(job, states=[state])) for state in ("pending", "running", "stopped", "terminated")} == {
        "pending": 1, "running": 2, "stopped": 1, "terminated": 0,
    }  # fmt: skip
    assert api.service.array(job)["instances"] == {"running": 2, "stopped": 1}
    api.boot(job, 3)
    for position in range(4):
        api.over(job, position)
        api.gone(job, position)
    assert len(api.members(job, states=["terminated"])) == 4
    assert api.service.array(job)["instances"] == {"terminated": 4}
    api.fleets.facts.clear()  # EC2 forgets
    assert len(api.members(job, states=["terminated"])) == 4
    assert api.members(job)[0].instance_id == real_id(100)


def test_a_child_that_waits_for_its_next_attempt_has_no_instance(api: Calling) -> None:
    job = api.launch(1, retries=1)
    api.boot(job, 0)
    api.over(job, 0, 1)
    (member,) = api.members(job)
    assert (member.attempt, member.state, member.instance_id) == (2, "pending", None)
    api.boot(job, 0, number=2)
    detail = built(api.service.member(f"{job}:0"))
    check("member", detail)
    assert [one["instance_id"] for one in detail["attempts"]] == [real_id(100), real_id(200)]


def test_lost_and_interrupted_are_told_apart_from_failed(api: Calling) -> None:
    job = api.launch(3, options={"spot": True, "spot_retries": 0})
    api.boot(job, 0, 1, 2)
    api.over(job, 0, 1)
    api.cloud.tell(Lost(AttemptId(api.key(job), 1, 1), api.clock.now(), "never checked in"))
    api.cloud.tell(Lost(AttemptId(api.key(job), 2, 1), api.clock.now(), market=True))
    api.engine.turn()
    failed, lost, interrupted = api.members(job)
    assert [(m.status, m.lost, m.interrupted) for m in (failed, lost, interrupted)] == [
        ("FAILED", False, False),
        ("FAILED", True, False),
        ("FAILED", False, True),
    ]
    array = api.service.array(job)
    check("array", built(array))
    assert (array["lost"], array["interrupted"], array["fleet"]["market"]) == (1, 1, Market.SPOT.value)
    assert [m.index for m in api.members(job, "@lost")] == [1]
    assert [m.index for m in api.members(job, "@interrupted")] == [2]
    assert [m.index for m in api.members(job, "@failed")] == [0, 1, 2]


def test_retry_of_the_interrupted_runs_them_alone(api: Calling) -> None:
    job = api.launch(2, options={"spot": True, "spot_retries": 0})
    api.boot(job, 0, 1)
    api.over(job, 0, 1)
    api.cloud.tell(Lost(AttemptId(api.key(job), 1, 1), api.clock.now(), market=True))
    api.engine.turn()
    assert api.ask(lambda: api.service.changes.retry(job, Asked(indexes="@interrupted")))["indexes"] == "1"


def test_many_that_died_in_one_way_are_one_cause(api: Calling) -> None:
    job = api.launch(3)
    api.boot(job, 0, 1, 2)
    for position in range(3):
        api.cloud.tell(Lost(AttemptId(api.key(job), position, 1), api.clock.now(), "Server.InternalError"))
    api.engine.turn()
    (group,) = api.service.failures(job)["groups"]
    assert (group["count"], group["indexes"], group["status_reason"], group["reason"]) == (
        3,
        "0-2",
        "Host EC2 (instance i-…) terminated.",
        "Server.InternalError",
    )


# --- references -----------------------------------------------------------------------------------------------------------


def test_an_instance_is_named_by_its_whole_id_or_the_beginning_of_it(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    assert api.service.member(real_id(101))["index"] == 1
    assert api.service.member("my-array-1")["index"] == 1
    with pytest.raises(UsageError, match="several instances begin with"):
        api.service.member("i-00000000")
    with pytest.raises(NotFound, match="there is no instance"):
        api.service.member("i-0abcdef0123456789")


def test_ids_that_were_made_up_here_name_nothing_on_ec2(api: Calling) -> None:
    job = api.launch(1)
    with pytest.raises(NotFound):
        api.service.member(AttemptId(api.key(job), 0, 1).instance_id)


def test_an_instance_that_several_share_is_the_one_that_it_works_on(api: Calling) -> None:
    job = api.launch(3, options={"instances": 1})
    for position in range(3):
        api.cloud.tell(Launched(AttemptId(api.key(job), position, 1), api.clock.now(), real_id(7)))
    api.engine.turn()
    api.begin_on(job, 1)
    assert api.service.member(real_id(7))["index"] == 1


# --- stopping and starting ------------------------------------------------------------------------------------------------


def test_what_waits_for_an_instance_is_none_and_one_that_nobody_came_to_is(api: Calling) -> None:
    job = api.launch(6, max_concurrent=2)
    assert api.service.array(job)["instances"] == {}
    api.boot(job, 0)
    api.seen(job, 1, state=InstanceState.PENDING)
    assert api.service.array(job)["instances"] == {"running": 1, "pending": 1}
    api.fleets.idle[api.key(job)] = {InstanceState.RUNNING: 2, InstanceState.TERMINATED: 3}
    assert api.service.array(job)["instances"] == {"running": 3, "pending": 1, "terminated": 3}
    check("array", built(api.service.array(job)))
    (listed,) = api.service.arrays(statuses=(), names=(), tags={})["arrays"]
    assert listed["instances"] == {"running": 3, "pending": 1, "terminated": 3}


def test_what_came_to_an_end_is_counted_as_long_as_it_is_known(api: Calling) -> None:
    job = api.launch(1, on_complete="terminate", retries=1)
    api.boot(job, 0)
    api.over(job, 0, 1)
    api.fleets.idle[api.key(job)] = {InstanceState.TERMINATED: 1}
    api.boot(job, 0, number=2)
    assert api.service.array(job)["instances"] == {"running": 1, "terminated": 1}


def test_instances_that_several_share_are_counted_and_not_their_members(api: Calling) -> None:
    job = api.launch(5, options={"instances": 2})
    assert api.service.array(job)["instances"] == {}
    api.boot(job, 0)
    facts = api.seen(job, 0, attempts=tuple(AttemptId(api.key(job), position, 1) for position in range(3)))
    for position in (1, 2):
        api.fleets.facts[api.key(job)][position] = facts
        api.begin_on(job, position)
    assert api.service.array(job)["instances"] == {"running": 1}
    api.boot(job, 3)
    api.fleets.facts[api.key(job)][4] = api.fleets.facts[api.key(job)][3]
    api.begin_on(job, 4)
    for position in range(5):
        api.over(job, position)
    assert api.service.array(job)["instances"] == {"running": 2}
    for position in (0, 3):
        api.gone(job, position)
    for position in (1, 2, 4):
        api.fleets.facts[api.key(job)][position] = api.fleets.facts[api.key(job)][0 if position < 3 else 3]
    assert api.service.array(job)["instances"] == {"terminated": 2}


def test_what_runs_is_stopped_and_what_does_not_is_left_alone_and_named(api: Calling) -> None:
    job = api.launch(3)
    api.boot(job, 0, 1)
    api.seen(job, 1, state=InstanceState.STOPPED)
    change = api.service.instances.stop(job, Asked(indexes="0-2"))
    check("change", change)
    assert (change["indexes"], change["count"]) == ("0", 1)
    assert change["skipped"] == [{"indexes": "1", "reason": "its instance is stopped"}, {"indexes": "2", "reason": "has no instance"}]
    assert ("stop", (0,)) in api.fleets.asked
    assert api.service.instances.start(job, Asked())["indexes"] == "1"
    assert ("start", (1,)) in api.fleets.asked


def test_what_ec2_refuses_to_stop_is_told_with_its_reason(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    api.fleets.broken = {1: "EC2 does not stop one-time spot instances"}
    change = api.service.instances.stop(job, Asked())
    assert (change["indexes"], change["skipped"]) == ("0", [{"indexes": "1", "reason": "EC2 does not stop one-time spot instances"}])


def test_a_dry_run_stops_nothing(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    assert api.service.instances.stop(job, Asked(dry_run=True))["count"] == 1
    assert not [words for words in api.fleets.asked if words[0] == "stop"]


def test_an_instance_is_not_stopped_under_others_that_work_on_it(api: Calling) -> None:
    job = api.launch(3, options={"instances": 1})
    shared = tuple(AttemptId(api.key(job), position, 1) for position in range(3))
    for position in range(3):
        api.cloud.tell(Launched(shared[position], api.clock.now(), real_id(100)))
        api.seen(job, position, instance_id=real_id(100), attempts=shared)
    api.engine.turn()
    api.begin_on(job, 2)
    change = api.service.instances.stop(job, Asked(indexes="0"))
    assert (change["count"], change["skipped"]) == (0, [{"indexes": "0", "reason": f"{real_id(100)} also works on 1-2: name all of them"}])
    assert api.service.instances.stop(job, Asked(indexes="0-2"))["count"] == 3


def test_hibernation_has_to_be_wished_for_at_the_launch(api: Calling) -> None:
    job = api.launch(1)
    with pytest.raises(Conflict, match="was not launched with --on-complete hibernate"):
        api.service.instances.stop(job, Asked(hibernate=True))
    other = api.launch(1, options={"hibernate": True})
    api.boot(other, 0)
    api.service.instances.stop(other, Asked(hibernate=True))
    assert ("hibernate", (0,)) in api.fleets.asked


def test_what_runs_on_this_machine_is_neither_stopped_nor_started(api: Calling) -> None:
    job = api.submit(indexes="2")
    with pytest.raises(Conflict, match=f"{job} runs on this machine, where nothing can be stopped and started again: `spawn terminate {job}`"):
        api.service.instances.stop(job, Asked())
    with pytest.raises(Conflict, match="`spawn retry"):
        api.service.instances.start(job, Asked())


# --- extending ------------------------------------------------------------------------------------------------------------


def test_an_extension_is_confirmed_by_what_the_instances_say_and_by_nothing_else(api: Calling) -> None:
    job = api.launch(4)
    api.boot(job, 0, 1, 2)
    now = api.clock.now()
    api.ask(lambda: api.service.changes.extend(job, Asked(ttl_s=36000)))
    assert api.service.instances.ends(job, None)["count"] == 0
    api.seen(job, 2, checked_in_at=None, ends_at=None)
    api.fleets.news.append(lambda: api.seen(job, 0, ends_at=at(now, 36000)) and None)
    found = api.service.instances.ends(job, None)
    check("change", found)
    assert (found["indexes"], found["count"]) == ("0", 1)
    assert [(one["indexes"], one["reason"].partition(" says")[0]) for one in found["skipped"]] == [
        ("1", "its instance still"), ("2", "its instance has never checked in"), ("3", "its instance has not been seen yet"),
    ]  # fmt: skip


def test_the_extension_of_an_instance_that_is_kept_after_its_work_is_confirmed_too(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    api.over(job, 0)
    api.over(job, 1)
    now = api.clock.now()
    api.ask(lambda: api.service.changes.extend(job, Asked(ttl_s=36000)))
    for position, ends_at in ((0, at(now, 36000)), (1, at(now, 7200))):
        api.seen(job, position, extended_to=at(now, 36000), ends_at=ends_at)
    found = api.service.instances.ends(job, None)
    assert (found["indexes"], found["count"], [one["indexes"] for one in found["skipped"]]) == ("0", 1, ["1"])


def test_an_instance_that_is_stopped_hears_of_its_new_end_later(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    api.ask(lambda: api.service.changes.extend(job, Asked(ttl_s=36000)))
    api.seen(job, 0, state=InstanceState.STOPPED)
    api.gone(job, 1)
    assert [one["reason"] for one in api.service.instances.ends(job, None)["skipped"]] == [
        "its instance is stopped, and hears of it when it is started", "its instance has ended",
    ]  # fmt: skip


# --- entering -------------------------------------------------------------------------------------------------------------


def test_a_session_tells_how_the_instance_is_reached(api: Calling) -> None:
    job = api.launch(2, options={"ami": "ami-1", "key_name": "my-key"})
    api.boot(job, 1)
    api.seen(job, 1, key_name="my-key")
    session = api.service.session(f"{job}:1")
    assert session["instance"] == {
        "instance_id": real_id(101), "region": "us-east-1", "zone": "us-east-1a", "address": "198.51.100.7", "image": "ami-1",
        "default_image": False, "key_name": "my-key", "checked_in": True,
    }  # fmt: skip
    assert (session["index"], session["attempt"]) == (1, 1)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (InstanceState.PENDING, "is being started: try again"),
        (InstanceState.STOPPED, "is stopped: `spawn start {job}:0`"),
        (InstanceState.TERMINATED, r"has ended \(Client.UserInitiatedShutdown\); its log: `spawn logs {job}:0`"),
    ],
)
def test_an_instance_that_cannot_be_entered_says_what_can_be_done(api: Calling, state: InstanceState, said: str) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.seen(job, 0, state=state, ended_why="Client.UserInitiatedShutdown")
    with pytest.raises(Conflict, match=said.format(job=job)):
        api.service.session(f"{job}:0")


def test_what_was_last_seen_being_started_is_looked_at_again(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.seen(job, 0, state=InstanceState.PENDING)
    api.fleets.news.append(lambda: api.seen(job, 0, state=InstanceState.RUNNING) and None)
    assert api.service.session(f"{job}:0")["instance"]["instance_id"] == real_id(100)


def test_what_has_not_been_launched_cannot_be_entered(api: Calling) -> None:
    job: JobId = api.launch(1)
    with pytest.raises(Conflict, match="has no instance yet: it is STARTING"):
        api.service.session(f"{job}:0")


def test_what_could_not_be_launched_never_had_an_instance(api: Calling) -> None:
    job = api.launch(1)
    api.cloud.tell(Refused(AttemptId(api.key(job), 0, 1), api.clock.now(), "CannotStartContainerError: AccessDenied"))
    api.engine.turn()
    with pytest.raises(Conflict, match=r"my-array-0 never had an instance: it is FAILED \(CannotStartContainerError: AccessDenied\)"):
        api.service.session(f"{job}:0")
