"""`cancel`, `terminate`, `retry`, `extend`, `limit`, `rm`: asking, doing, saying."""

from __future__ import annotations

import json

import pytest
from canned import array, check, member
from fake_engine import FakeEngine, refuse
from running import Run

ID = "array-20260127-100000"
NOTHING = {"schema_version": 1, "array_id": ID, "indexes": None, "count": 0, "skipped": []}


@pytest.fixture(autouse=True)
def five(fake: FakeEngine) -> None:
    fake.arrays = [array()]
    fake.members = [member(index) for index in range(5)]


@pytest.mark.parametrize("words", [["cancel", "last"], ["terminate", "last"], ["rm", "last"], ["engine", "stop", "--terminate"]])
def test_without_a_terminal_what_ends_things_needs_yes(fake: FakeEngine, spawn: Run, words: list[str]) -> None:
    result = spawn(*words)
    assert result.code == 2
    assert "add --yes" in result.err
    assert all(body.get("dry_run") for method, _, body in fake.asked if method == "POST")
    assert not [target for method, target, _ in fake.asked if method == "DELETE" and "dry_run" not in target]


@pytest.mark.parametrize(
    ("typed", "code", "done"), [("y\n", 0, True), ("yes\n", 0, True), ("n\n", 8, False), ("\n", 8, False), ("\x04", 8, False), ("y\x04\x04", 8, False)]
)
def test_on_a_terminal_a_question_is_asked_and_only_yes_is_yes(fake: FakeEngine, on_terminal: Run, typed: str, code: int, done: bool) -> None:
    result = on_terminal("terminate", "my-array", typed=typed)
    assert result.code == code
    assert f"Terminate 5 of 5 members of my-array ({ID})? [y/N]" in result.out
    assert [body["dry_run"] for body in fake.bodies("/terminate")] == ([True, False] if done else [True])
    assert ("5 terminated" in result.out) == done
    assert ("Nothing was changed." in result.out) != done


def test_yes_asks_nothing_and_the_change_is_the_data(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("terminate", "my-array:1-2", "--yes", "--grace", "5s", "--reason", "enough")
    assert (result.code, result.out, result.err) == (0, f"{ID}\t0-4\t5\n", f"{ID}: 5 terminated (indexes 0-4)\n")
    assert fake.bodies("/terminate") == [{"indexes": "1-2", "reason": "enough", "grace_s": 5, "dry_run": False}]


def test_a_change_in_json_keeps_to_its_schema(spawn: Run) -> None:
    (value,) = json.loads(spawn("cancel", "last", "--yes", "-o", "json").out)
    check("change", value)


@pytest.mark.parametrize("words", [["cancel", "last"], ["terminate", "last"], ["retry", "last"], ["extend", "last", "2h"]])
def test_a_dry_run_says_what_would_be_done(fake: FakeEngine, spawn: Run, words: list[str]) -> None:
    result = spawn(*words, "--dry-run")
    assert result.code == 0
    assert "5 would be " in result.err
    assert fake.bodies(f"/{words[0]}")[0]["dry_run"] is True


def test_retry_means_failed_unless_indexes_are_named(fake: FakeEngine, spawn: Run) -> None:
    spawn("retry", "last")
    spawn("retry", "last", "@lost")
    spawn("retry", "last:3,7-9")
    spawn("retry", "my-array-3")
    assert [body["indexes"] for body in fake.bodies("/retry")] == ["@failed", "@lost", "3,7-9", "3"]


def test_what_is_left_alone_is_named_with_its_reason(fake: FakeEngine, spawn: Run) -> None:
    fake.change = {"schema_version": 1, "array_id": ID, "indexes": None, "count": 0, "skipped": [{"indexes": "3", "reason": "still running"}]}
    result = spawn("retry", "last", "3")
    assert result.code == 5
    assert result.err == f"{ID}: nothing was retried\nnote: left alone: 3: still running\n"
    assert spawn("retry", "last").code == 5


def test_a_retry_where_nothing_has_failed_is_no_conflict_and_says_so(fake: FakeEngine, spawn: Run) -> None:
    fake.change = NOTHING
    result = spawn("retry", "last")
    assert (result.code, result.err) == (0, f"{ID}: nothing was retried\nnote: nothing of it has failed\n")


@pytest.mark.parametrize("words", [["last"], ["last:3"], ["last@running"]])
def test_an_extend_that_extends_nothing_is_a_conflict(fake: FakeEngine, spawn: Run, words: list[str]) -> None:
    fake.change = NOTHING
    result = spawn("extend", *words, "2h")
    assert (result.code, result.err) == (5, f"{ID}: nothing was extended\nnote: no instance of it is alive, so there is nothing to extend\n")


def test_extend_and_limit_send_what_they_say(fake: FakeEngine, spawn: Run) -> None:
    spawn("extend", "my-array:3", "1h30m")
    assert fake.bodies("/extend") == [{"indexes": "3", "ttl_s": 5400, "dry_run": False}]
    spawn("limit", "last", "20")
    spawn("limit", "last", "none")
    assert fake.bodies("/limit") == [{"max_concurrent": 20}, {"max_concurrent": None}]


def test_rm_checks_all_before_it_forgets_one(fake: FakeEngine, spawn: Run) -> None:
    fake.change = refuse(409, "conflict", "it has not settled")
    result = spawn("rm", "my-array", "--yes")
    assert (result.code, result.out) == (5, "")
    assert all("dry_run" in target for method, target, _ in fake.asked if method == "DELETE")


def test_rm_finished_takes_those_that_are_old_enough(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [
        array("array-old", status="SUCCEEDED", counts={"SUCCEEDED": 5}, stopped_at="2026-01-27T10:00:05Z"),
        array("array-new", status="FAILED", counts={"FAILED": 5}, stopped_at="2999-01-27T10:00:05Z"),
        array("array-open"),
    ]
    result = spawn("rm", "--finished", "--older-than", "7d", "--yes")
    assert result.code == 0
    assert [target for method, target, _ in fake.asked if method == "DELETE"] == ["/v1/arrays/array-old?dry_run=true"] * 2 + ["/v1/arrays/array-old"]
    assert spawn("rm", "--finished", "--older-than", "3000d").err == "nothing to forget\n"
