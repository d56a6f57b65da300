"""Taking over arrays of other machines, and cleaning up: what the API asks, and what it answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spawn.api.native.housekeeping import Adoption, Cleanup, Housekeeping, Renewal
from spawn.domain.children import ChildRecord
from spawn.domain.errors import ConfigurationError, Conflict, InvalidField, NotFound
from spawn.domain.ids import JobId
from spawn.domain.instants import Instant
from spawn.domain.outcomes import Outcome
from spawn.domain.queues import EC2_PLACE
from spawn.domain.states import InstanceState, Status
from spawn.engine.fleets import Found, Leftover, Sweep
from spawn.engine.records import AttemptRecord
from tests.cli.canned import check
from tests.domain.making import make_fleet, make_job
from tests.native.calling import Calling, real_id

ELSEWHERE = JobId("array-20260101-000000")


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    return Calling(tmp_path)


def housekeeping(api: Calling) -> Housekeeping:
    return Housekeeping(service=api.service)


def one_elsewhere(api: Calling) -> Found:
    """Three children: one ended well, one runs, one never started."""
    job = make_job(77, 3, id=ELSEWHERE, name="other", queue=EC2_PLACE, fleet=make_fleet())
    well = AttemptRecord(job.key, 0, 1, Instant(10), Instant(20), Outcome.exited(0), 1.0, 1024, InstanceState.TERMINATED, None, EC2_PLACE, real_id(1))
    children = {
        0: ChildRecord(Status.SUCCEEDED, 1, 0, None, Instant(10), Instant(20), None, EC2_PLACE, 0, real_id(1)),
        1: ChildRecord(Status.RUNNING, 2, 0, None, Instant(15), None, None, EC2_PLACE, 0, real_id(2)),
    }
    found = Found(job=job, max_concurrent=2, children=children, attempts=(well,))
    api.fleets.found[ELSEWHERE] = found
    return found


def test_an_adopted_array_is_answered_as_any_other(api: Calling) -> None:
    one_elsewhere(api)
    answer = api.ask(lambda: housekeeping(api).adopt(Adoption(array_id=ELSEWHERE, bucket="mine", access={"AWS_PROFILE": "lab"})))
    check("array", answer)
    assert api.fleets.asked == [("adopt", ELSEWHERE, "mine")]
    assert (answer["provider"], answer["status"], answer["max_concurrent"]) == ("ec2", "PENDING", 2)
    assert {status: count for status, count in answer["counts"].items() if count} == {"SUCCEEDED": 1, "RUNNING": 1, "FAILED": 1}
    assert [(member.index, member.status, member.instance_id) for member in api.members(ELSEWHERE)][:2] == [
        (0, "SUCCEEDED", real_id(1)), (1, "RUNNING", real_id(2)),
    ]  # fmt: skip


def test_what_ran_when_the_array_was_adopted_ends_here(api: Calling) -> None:
    one_elsewhere(api)
    api.ask(lambda: housekeeping(api).adopt(Adoption(array_id=ELSEWHERE)))
    api.over(ELSEWHERE, 1, number=2)
    assert [member.status for member in api.members(ELSEWHERE)] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]


def test_one_that_is_here_is_refused_before_anything_is_read(api: Calling) -> None:
    one_elsewhere(api)
    api.ask(lambda: housekeeping(api).adopt(Adoption(array_id=ELSEWHERE)))
    with pytest.raises(Conflict, match="is here already"):
        api.ask(lambda: housekeeping(api).adopt(Adoption(array_id=ELSEWHERE)))
    assert len(api.fleets.asked) == 1


def test_nothing_is_followed_of_one_that_cannot_be_taken(api: Calling) -> None:
    found = one_elsewhere(api)
    api.ask(lambda: housekeeping(api).adopt(Adoption(array_id=ELSEWHERE)))
    twin = JobId("array-20260127-235959")
    api.fleets.found[twin] = replace(found, job=replace(found.job, id=twin))
    with pytest.raises(Conflict, match="has its key"):
        api.ask(lambda: housekeeping(api).adopt(Adoption(array_id=twin)))
    assert api.fleets.followed == [ELSEWHERE]


def test_one_that_is_nowhere_is_not_found(api: Calling) -> None:
    with pytest.raises(NotFound, match="array-nowhere"):
        api.ask(lambda: housekeeping(api).adopt(Adoption(array_id="array-nowhere")))


def test_a_cleanup_leaves_alone_what_this_engine_looks_after(api: Calling) -> None:
    live, kept, over = api.launch(1), api.launch(1), api.launch(1)
    api.submit(command=("true",), workdir="/")
    for job in (kept, over):
        api.boot(job, 0)
        api.over(job, 0)
    api.gone(over, 0)
    api.ask(lambda: housekeeping(api).cleanup(Cleanup(regions=("us-east-1",))))
    assert api.fleets.asked == [("sweep", ("us-east-1",), tuple(sorted((live, kept))), False)]


def test_a_cleanup_removes_only_when_that_is_said(api: Calling) -> None:
    left = Leftover(region="us-east-1", kind="instance", id=real_id(1), array="array-1", why="its end was yesterday", error="not allowed")
    api.fleets.swept = Sweep(account="123456789012", regions=("us-east-1",), failed={"mars-north-1": "no such region"}, leftovers=(left,))
    for dry_run in (True, False):
        answer = api.ask(lambda dry_run=dry_run: housekeeping(api).cleanup(Cleanup(dry_run=dry_run)))
        check("sweep", answer)
        assert answer["removed"] is not dry_run
        assert answer["leftovers"][0]["error"] == "not allowed"
    assert [words[3] for words in api.fleets.asked] == [False, True]


def test_variables_that_are_none_of_aws_are_refused(api: Calling) -> None:
    for call in (
        lambda: housekeeping(api).cleanup(Cleanup(access={"PATH": "/"})),
        lambda: housekeeping(api).adopt(Adoption(array_id="a", access={"PATH": "/"})),
    ):
        with pytest.raises(InvalidField, match="'PATH' is not one of"):
            api.ask(call)


def test_an_engine_without_ec2_says_so(api: Calling) -> None:
    api.fleets = None  # type: ignore[assignment]
    api.serve()
    with pytest.raises(ConfigurationError, match="cannot speak with EC2"):
        api.ask(lambda: housekeeping(api).cleanup(Cleanup()))


def test_an_access_is_never_shown() -> None:
    secret = {"AWS_SECRET_ACCESS_KEY": "do-not-show"}
    assert "do-not-show" not in repr(Adoption(array_id="a", access=secret)) + repr(Cleanup(access=secret))


def test_another_access_lets_arrays_go_on_whose_own_is_not_accepted(api: Calling) -> None:
    api.fleets.expired = [ELSEWHERE]
    answers = [housekeeping(api).renew(Renewal(access={"AWS_PROFILE": "lab"})) for _ in range(2)]
    assert [answer["arrays"] for answer in answers] == [[ELSEWHERE], []]
    assert api.fleets.asked == [("renew", {"AWS_PROFILE": "lab"})] * 2
    with pytest.raises(InvalidField, match="'LD_PRELOAD' is not one of AWS_PROFILE"):
        housekeeping(api).renew(Renewal(access={"LD_PRELOAD": "x"}))
