"""`logs` and `connect`."""

from __future__ import annotations

import json
import subprocess

import pytest
from canned import array, member
from fake_engine import FakeEngine
from running import Run, command

ID = "array-20260127-100000"


@pytest.fixture(autouse=True)
def three(fake: FakeEngine) -> None:
    fake.arrays = [array(status="SUCCEEDED", counts={"SUCCEEDED": 3}, size=3, indexes="0-2", stopped_at="2026-01-27T10:00:05Z")]
    fake.members = [member(index, status="SUCCEEDED") for index in range(3)]
    fake.logs = {f"{ID}:{index}": f"first {index}\nlast {index}".encode() for index in range(3)}


def test_one_log_is_printed_as_it_is(fake: FakeEngine, environment: dict[str, str]) -> None:
    fake.members = fake.members[1:2]
    fake.logs = {f"{ID}:1": b"\x1b[31mred\xff\n"}
    assert subprocess.run(command("logs", "my-array:1"), capture_output=True, env=environment).stdout == b"\x1b[31mred\xff\n"
    assert fake.asked[-1][1] == f"/v1/members/{ID}%3A1/log?attempt=1&offset=0"


def test_several_logs_have_a_header_each(spawn: Run) -> None:
    assert spawn("logs", "my-array").out == (
        "==> my-array-0 (attempt 1) <==\nfirst 0\nlast 0\n\n==> my-array-1 (attempt 1) <==\nfirst 1\nlast 1\n\n==> my-array-2 (attempt 1) <==\nfirst 2\nlast 2"
    )


def test_tail_takes_the_end_of_each(spawn: Run) -> None:
    assert spawn("logs", "my-array", "--tail", "1").out.count("last") == 3
    assert "first" not in spawn("logs", "my-array", "--tail", "1").out


@pytest.mark.parametrize("words", [["my-array:@failed"], ["my-array@failed"], ["my-array", "@failed"], ["last@failed"]])
def test_a_selection_may_be_written_in_several_ways(fake: FakeEngine, spawn: Run, words: list[str]) -> None:
    spawn("logs", *words)
    assert any(target == f"/v1/members?array={ID}&indexes=%40failed" for _, target, _ in fake.asked)


@pytest.mark.parametrize("word", ["my-array-1", "i-00000000000000001"])
def test_a_member_may_be_named_by_itself(fake: FakeEngine, spawn: Run, word: str) -> None:
    spawn("logs", word)
    assert any(target == f"/v1/members?array={ID}&indexes=1" for _, target, _ in fake.asked)


def test_what_has_not_started_has_no_log_and_that_is_said(fake: FakeEngine, spawn: Run) -> None:
    fake.members = [member(0, attempt=0, status="FAILED", status_reason="Dependent Job failed", state="terminated")]
    result = spawn("logs", "my-array:0")
    assert result.code == 4
    assert "my-array-0 has not started, so there is no log (FAILED: Dependent Job failed)" in result.err
    fake.members.append(member(1))
    result = spawn("logs", "my-array")
    assert (result.code, result.out) == (0, "==> my-array-1 (attempt 1) <==\nfirst 1\nlast 1")
    assert "1 of 2 never started or have not yet" in result.err


def test_following_ends_when_all_have_settled(spawn: Run) -> None:
    result = spawn("logs", "my-array", "-f")
    assert result.code == 0
    assert result.out.count("<==") == 3


def test_an_unknown_array_is_not_found(spawn: Run) -> None:
    result = spawn("logs", "nope:3")
    assert (result.code, result.out) == (4, "")


def test_connect_hands_the_session_to_spored(fake: FakeEngine, spawn: Run) -> None:
    fake.session = {"spec": {"id": ID}, "runner": "/r", "key": "0123456789", "position": 1, "index": 1, "attempt": 1, "state": "terminated"}
    spawn("connect", "my-array-1", "--", "true")
    assert fake.asked[-1][1] == "/v1/members/my-array-1/session"
    spawn("connect", "my-array:1", "--", "true")
    assert fake.asked[-1][1] == "/v1/members/my-array%3A1/session"


def test_connect_to_nothing_is_not_found(spawn: Run) -> None:
    result = spawn("connect", "nope-1", "--", "true")
    assert result.code == 4
    assert "nope-1" in result.err


def test_the_last_line_of_a_json_listing_is_whole(spawn: Run) -> None:
    assert json.loads(spawn("list", "-o", "json").out)[-1]["index"] == 2
