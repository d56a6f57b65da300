"""Logs and outputs of instances, brought to this machine before they are read."""

from __future__ import annotations

import itertools
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.api.native.bringing import Bringer, Errand
from spawn.domain.errors import Conflict, ProviderUnavailable
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.states import InstanceState
from spawn.engine.news import Completed
from tests.native.calling import Calling

LONG_S = 20.0


@pytest.fixture
def api(tmp_path: Path) -> Calling:
    return Calling(tmp_path)


def fetched(api: Calling, what: str = "log") -> list[tuple[object, ...]]:
    return sorted(words[1:] for words in api.fleets.asked if words[0] == what)  # type: ignore[type-var]


def test_a_log_is_brought_before_it_is_read_and_not_again_at_once(api: Calling) -> None:
    job = api.launch(2)
    api.boot(job, 0)
    api.fleets.logs[api.key(job), 0, 1] = b"one\n"
    piece, over, number = api.service.log(f"{job}:0", attempt=None, offset=0, tail=None)
    assert (piece.content, over, number) == (b"one\n", False, 1)
    api.fleets.logs[api.key(job), 0, 1] = b"one\ntwo\n"
    assert api.service.log(f"{job}:0", attempt=None, offset=4, tail=None)[0].content == b""
    api.clock.advance(5)
    assert api.service.log(f"{job}:0", attempt=None, offset=4, tail=None)[0].content == b"two\n"
    assert fetched(api) == [(0, 1), (0, 1)]


def test_a_log_outlives_its_instance_and_is_asked_for_once_more_when_it_is_whole(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.fleets.logs[api.key(job), 0, 1] = b"why it failed\n"
    api.over(job, 0, 3)
    api.gone(job, 0)
    api.clock.advance(3600)
    for _ in range(3):
        piece, over, _ = api.service.log(f"{job}:0", attempt=None, offset=0, tail=1)
        assert (piece.content, over) == (b"why it failed\n", True)
        api.clock.advance(60)
    assert fetched(api) == [(0, 1)]


def test_a_log_that_cannot_be_brought_is_a_refusal_and_what_is_here_can_still_be_read(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.fleets.away = "S3 did not answer"
    with pytest.raises(ProviderUnavailable, match=f"the log of {job}:0 could not be brought: S3 did not answer"):
        api.service.log(f"{job}:0", attempt=None, offset=0, tail=None)
    assert api.service.log(f"{job}:0", attempt=None, offset=0, tail=None, here=True)[0].content == b""


def test_many_logs_are_brought_in_one_call_and_each_failure_is_its_own(api: Calling) -> None:
    job = api.launch(5)
    api.boot(job, 0, 1, 2, 3)
    api.fleets.broken = {2: "access to s3://bucket was denied"}
    found = api.service.uploads.bring(job, "logs", indexes="0-4", attempt=None, within_s=LONG_S)
    assert (found["indexes"], found["coming_count"], found["skipped"]) == ("0-1,3", 0, [{"indexes": "2", "reason": "access to s3://bucket was denied"}])
    assert fetched(api) == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_the_ends_of_failed_logs_are_shown_and_an_answer_does_not_wait_for_aws(api: Calling) -> None:
    job = api.launch(3)
    api.boot(job, 0, 1, 2)
    api.fleets.logs[api.key(job), 0, 1] = b"a\ncannot read input\n"
    api.fleets.broken = {2: "gone"}
    for position, code in ((0, 1), (1, 1), (2, 7)):
        api.over(job, position, code)
    first, second = api.service.failures(job)["groups"]
    assert first["example"]["log_tail"] == ["a", "cannot read input"]
    assert second["example"]["log_tail"] == []
    assert fetched(api) == [(0, 1), (2, 1)]


def test_outputs_of_the_last_success_are_brought_and_only_what_is_missing(api: Calling) -> None:
    job = api.launch(3, retries=1)
    api.boot(job, 0, 1)
    api.over(job, 0)
    api.over(job, 1, 1)
    api.boot(job, 1, number=2)
    api.over(job, 1, number=2)
    api.fleets.outputs[api.key(job), 1, 2] = {"deep/result.csv": b"42"}
    found = api.service.uploads.bring(job, "outputs", indexes=None, attempt=None, within_s=LONG_S)
    assert (found["indexes"], found["skipped"]) == ("0-1", [])
    assert fetched(api, "outputs") == [(0, 1), (1, 2)]
    assert (Path(api.files.output(api.row(job).job, 1, 2)) / "deep" / "result.csv").read_bytes() == b"42"


def test_outputs_of_a_process_that_goes_on_after_it_said_complete_are_not_taken_for_whole(api: Calling) -> None:
    job = api.launch(1)
    api.boot(job, 0)
    api.cloud.tell(Completed(AttemptId(api.key(job), 0, 1), api.clock.now(), True, None))
    api.engine.turn()
    found = api.service.uploads.bring(job, "outputs", indexes=None, attempt=None, within_s=LONG_S)
    assert found["count"] == 0
    assert "its process goes on" in found["skipped"][0]["reason"]
    api.seen(job, 0, state=InstanceState.TERMINATED)
    assert api.service.uploads.bring(job, "outputs", indexes=None, attempt=None, within_s=LONG_S)["count"] == 1


def test_what_runs_here_has_nothing_to_be_brought(api: Calling) -> None:
    job = api.submit(indexes="1")
    with pytest.raises(Conflict, match="are here already"):
        api.service.uploads.bring(job, "logs", indexes=None, attempt=None, within_s=0)


# --- the bringer ----------------------------------------------------------------------------------------------------------


def errand(number: int) -> Errand:
    return Errand("log", AttemptId(ArrayKey("0123456789"), number, 1))


def test_what_takes_long_is_still_coming_and_is_done_once() -> None:
    bringer, gate, done = Bringer(), threading.Event(), []

    def slow() -> str | None:
        gate.wait(LONG_S)
        done.append(1)
        return None

    works = {errand(0): slow, errand(1): lambda: None}
    assert bringer.bring({errand(1): works[errand(1)]}, within_s=LONG_S) == {errand(1): None}
    assert bringer.bring({errand(0): slow}, within_s=0) == {}
    assert bringer.bring({errand(0): slow}, within_s=0) == {}
    gate.set()
    assert bringer.bring({errand(0): slow}, within_s=LONG_S) == {errand(0): None}
    assert len(done) in (1, 2)  # the last call may have come after the first was over
    assert done


@given(st.lists(st.sampled_from(["here", "refused", "broken"]), max_size=40))
def test_every_errand_has_its_own_end_however_many_there_are(ends: list[str]) -> None:
    def work(end: str) -> str | None:
        if end == "refused":
            raise ProviderUnavailable("refused")  # soon: another may well be answered
        if end == "broken":
            raise ValueError("broken")
        return None

    works = {errand(number): (lambda end=end: work(end)) for number, end in enumerate(ends)}  # type: ignore[misc]
    found = Bringer().bring(works, within_s=LONG_S)
    assert [str(found[errand(number)]).split(" ")[0] for number in range(len(ends))] == [
        {"here": "None", "refused": "refused", "broken": "something"}[end] for end in ends
    ]


def test_those_behind_one_that_nobody_answered_for_long_are_not_asked_for_either() -> None:
    asked, seconds, gate = [], itertools.count(0, 100), threading.Event()

    def silent(number: int) -> str | None:
        gate.wait(LONG_S)
        asked.append(number)
        raise ProviderUnavailable("S3 did not answer")

    bringer = Bringer(lambda: float(next(seconds)))
    works = {errand(number): partial(silent, number) for number in range(40)}
    assert bringer.bring(works, within_s=0) == {}
    other = Errand("log", AttemptId(ArrayKey("9876543210"), 0, 1))
    assert bringer.bring({other: lambda: None}, within_s=0) == {}
    gate.set()
    assert bringer.bring(works, within_s=LONG_S) == dict.fromkeys(works, "S3 did not answer")
    assert bringer.bring({other: lambda: None}, within_s=LONG_S) == {other: None}
    assert len(asked) <= 16  # eight at a time; what was asked for again meanwhile is a second eight
