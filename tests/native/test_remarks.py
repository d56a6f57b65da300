"""What `status` and `status --why` say of instances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import iso
from spawn.domain.states import InstanceState
from spawn.testing.provider import ScriptedProvider
from tests.cli.canned import check
from tests.native.calling import Calling, at

THROTTLED = "EC2 throttles RunInstances: asked again in 8 s"
NO_ROOM = "EC2 has no capacity for t3.micro in us-east-1a"


class HeldUp(ScriptedProvider):
    """One that says why it launches nothing."""

    reasons: Mapping[Hindrance, int] = {}

    def why(self, key: ArrayKey) -> Mapping[Hindrance, int]:
        """What the test says."""
        return self.reasons


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    api = Calling(tmp_path)
    api.cloud = HeldUp(slots=1_000_000, name="ec2")
    api.engine.providers["ec2"] = api.cloud
    return api


def hold_up(api: Calling, **sentences: int) -> None:
    assert isinstance(api.cloud, HeldUp)
    kinds = {"throttled": Hindrance(Because.THROTTLED, THROTTLED), "no_room": Hindrance(Because.NO_CAPACITY, NO_ROOM)}
    api.cloud.reasons = {kinds[name]: count for name, count in sentences.items()}


def remarks(api: Calling, job: str) -> list[tuple[str | None, int, str]]:
    array = api.service.array(job)
    check("array", array)
    return [(one["indexes"], one["count"], one["reason"]) for one in array["remarks"]]


def why(api: Calling, job: str) -> list[tuple[str | None, int, str]]:
    return [(one["indexes"], one["count"], one["reason"]) for one in api.service.why(job)["reasons"]]


def test_what_holds_up_launches_is_a_state_with_a_number(api: Calling) -> None:
    job = api.launch(5)
    hold_up(api, throttled=2, no_room=3)
    assert remarks(api, job) == [(None, 2, THROTTLED), (None, 3, NO_ROOM)]
    assert why(api, job) == [(None, 2, THROTTLED), (None, 3, NO_ROOM)]
    hold_up(api, throttled=5)
    assert why(api, job) == [("0-4", 5, THROTTLED)]
    hold_up(api)
    assert why(api, job) == [("0-4", 5, "is being launched")]


def test_a_child_that_is_starting_says_how_far_its_instance_is(api: Calling) -> None:
    job = api.launch(4)
    api.seen(job, 0, state=InstanceState.PENDING, checked_in_at=None)
    api.seen(job, 1, checked_in_at=None)
    api.seen(job, 2)
    assert why(api, job) == [
        ("0", 1, "its instance was launched and is being started"),
        ("1", 1, "its instance runs, and its agent has not checked in yet"),
        ("2", 1, "its instance is up, and begins it as soon as a slot there is free"),
        ("3", 1, "is being launched"),
    ]


def test_what_the_facts_tell_of_an_instance_is_not_told_twice(api: Calling) -> None:
    job = api.launch(2)
    api.seen(job, 0, state=InstanceState.PENDING, checked_in_at=None)
    assert isinstance(api.cloud, HeldUp)
    api.cloud.reasons = {Hindrance(Because.INSTANCE, "whatever the provider calls it"): 1, Hindrance(Because.THROTTLED, THROTTLED): 1}
    assert remarks(api, job) == [(None, 1, THROTTLED)]
    assert why(api, job) == [("1", 1, THROTTLED), ("0", 1, "its instance was launched and is being started")]
    assert [one["kind"] for one in api.service.why(job)["reasons"]] == ["throttled", "instance"]


def test_an_instance_whose_agent_never_starts_shows_as_never_checked_in(api: Calling) -> None:
    job = api.launch(2)
    api.seen(job, 1, checked_in_at=None, heard_at=None)
    assert remarks(api, job) == []
    api.clock.advance(301)
    ((indexes, count, reason),) = remarks(api, job)
    assert (indexes, count, reason.partition(":")[0]) == ("1", 1, "never checked in")
    assert ("1", 1, reason) in why(api, job)


def test_an_instance_that_fell_silent_says_since_when(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0, 1)
    then = api.clock.now()
    api.clock.advance(500)
    api.seen(job, 1, heard_at=at(then, 400))
    assert remarks(api, job) == [("0", 1, f"not heard from since {iso(then)}")]
    assert why(api, job) == remarks(api, job)


def test_a_bucket_that_cannot_be_written_is_told_by_the_instances(api: Calling) -> None:
    job = api.launch(3)
    api.boot(job, 0, 1, 2)
    for position in (0, 2):
        api.seen(job, position, unsent="PutObject on s3://bucket/arrays is not allowed (AccessDenied)")
    said = "cannot upload, and keeps trying until its end: PutObject on s3://bucket/arrays is not allowed (AccessDenied)"
    assert remarks(api, job) == [("0,2", 2, said)]


def test_an_array_that_has_settled_has_nothing_to_remark(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.seen(job, 0, unsent="the bucket is gone")
    api.over(job, 0)
    assert remarks(api, job) == []


def test_what_should_have_ended_and_costs_is_said_also_of_an_array_that_has_settled_and_holds_up_nothing(api: Calling) -> None:
    job = api.launch(1)
    costs = Hindrance(Because.BILLED, "should have ended, and costs: i-1")
    assert isinstance(api.cloud, HeldUp)
    api.cloud.reasons = {costs: 1}
    assert remarks(api, job) == [(None, 1, costs.sentence)]
    assert why(api, job) == [("0", 1, "is being launched")]
    api.boot(job, 0)
    api.over(job, 0)
    assert remarks(api, job) == [(None, 1, costs.sentence)]
    hold_up(api, throttled=1)
    assert remarks(api, job) == []


def test_what_an_attempt_that_succeeded_could_not_keep_is_said_of_its_array(api: Calling) -> None:
    job = api.launch(4)
    api.boot(job, 0, 1, 2, 3)
    lacks = "not all that it left could be kept: the end of its log missing"
    for position, said in ((0, lacks), (1, None), (2, lacks)):
        api.over(job, position, lacks=said)
    assert remarks(api, job) == [("0,2", 2, lacks)]
    api.over(job, 3, 1, lacks=lacks)
    assert remarks(api, job) == [("0,2", 2, lacks)]  # of the one that failed it is said with its failure
    assert api.service.array(job)["status"] == "FAILED"


def test_many_losses_that_differ_are_counted_together(api: Calling) -> None:
    job = api.launch(8)
    api.boot(job, *range(8))
    for position in range(8):
        api.over(job, position, lacks=f"not all that it left could be kept: 1 output ({min(position, 6)}) missing")
    found = remarks(api, job)
    assert found[0] == ("6-7", 2, "not all that it left could be kept: 1 output (6) missing")
    assert found[-1] == ("4-5", 2, f"not all that they left could be kept: `spawn list --array {job} -o wide` says what")
    assert len(found) == 6
