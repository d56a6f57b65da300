"""Verbs about members whose instances are on EC2: what is asked of the engine, and what is said."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from canned import array, attempt, check, cost, member
from fake_engine import FakeEngine, refuse
from running import Run

from spawn.cli.bringing import Bringing
from spawn.client.client import Client

ID = "array-20260127-100000"
FLEET = {
    "account": "123456789012",
    "regions": ["us-east-1"],
    "instance_types": ["t3.micro"],
    "market": "spot",
    "instances": None,
    "objects": f"s3://spawn-123456789012-us-east-1/arrays/{ID}/",
}
INSTANCE = {
    "type": "t3.micro",
    "region": "us-east-1",
    "zone": "us-east-1b",
    "market": "spot",
    "address": "198.51.100.7",
    "image": "ami-1",
    "key_name": None,
    "launched_at": "2026-01-27T10:00:00Z",
    "ended_at": None,
    "ended_why": None,
    "checked_in_at": "2026-01-27T10:01:00Z",
    "heard_at": "2026-01-27T10:03:00Z",
    "ends_at": "2026-01-27T12:00:00Z",
    "unsent": None,
}


def on_ec2(**changes: Any) -> dict[str, Any]:
    return array(**({"provider": "ec2", "fleet": FLEET, "interrupted": 0, "remarks": []} | changes))


def of(index: int, **changes: Any) -> dict[str, Any]:
    return member(index, **({"instance": INSTANCE, "interrupted": False} | changes))


def changed(indexes: str | None, count: int, *skipped: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "array_id": ID,
        "indexes": indexes,
        "count": count,
        "skipped": [{"indexes": which, "reason": why} for which, why in skipped],
    } | more


@pytest.fixture(autouse=True)
def five(fake: FakeEngine) -> None:
    fake.arrays = [on_ec2()]
    fake.members = [of(index) for index in range(5)]


# --- list and status ------------------------------------------------------------------------------------------------------


def test_wide_shows_what_the_instance_is(spawn: Run) -> None:
    fields = spawn("list", "-o", "wide").lines[0].split("\t")
    assert fields[-6:] == ["t3.micro", "us-east-1b", "spot", "198.51.100.7", "2026-01-27T10:00:00Z", "2026-01-27T12:00:00Z"]
    (first, *_) = json.loads(spawn("list", "-o", "json").out)
    check("member", first)
    assert first["instance"]["type"] == "t3.micro"


def test_one_line_a_member_so_that_lines_count(spawn: Run) -> None:
    assert len(spawn("list", "--tag", f"array:id={ID}", "--state", "running").lines) == 5


def test_status_shows_instances_and_what_is_wrong_with_them(fake: FakeEngine, on_terminal: Run, spawn: Run) -> None:
    remark = {"indexes": None, "count": 3, "reason": "EC2 throttles RunInstances", "kind": "throttled"}
    silent = {"indexes": "1", "count": 1, "reason": "never checked in", "kind": "instance"}
    fake.arrays = [on_ec2(remarks=[remark, silent], interrupted=2, instances={"running": 3, "shutting-down": 2})]
    page = on_terminal("status", "my-array").out
    assert "3 × EC2 throttles RunInstances\n" in page
    assert "1 × never checked in  indexes 1\n" in page
    assert "2 of them interrupted: the spot market took their instances back" in page
    assert "Instances: 3 running  2 shutting-down  (t3.micro spot in us-east-1)" in page
    fake.arrays = [on_ec2(instances={})]
    assert "Instances: none  (t3.micro spot in us-east-1)" in on_terminal("status", "my-array").out
    fake.arrays = [on_ec2(remarks=[remark, silent], interrupted=2, instances={"running": 3, "shutting-down": 2})]
    facts = spawn("status", "my-array").lines
    assert {"interrupted\t2", "instances_shutting_down\t2", "remark\t3\t-\tEC2 throttles RunInstances", "remark\t1\t1\tnever checked in"} <= set(facts)
    whole = json.loads(spawn("status", "my-array", "-o", "json").out)
    assert (whole["interrupted"], whole["remarks"], whole["fleet"]) == (2, [remark, silent], FLEET)


# --- stop and start -------------------------------------------------------------------------------------------------------


def test_stopping_what_runs_is_asked_for_and_what_does_not_is_not(fake: FakeEngine, spawn: Run, on_terminal: Run) -> None:
    fake.change = changed("0-1", 2)
    refused = spawn("stop", "my-array:0-1")
    assert (refused.code, "add --yes" in refused.err) == (2, True)
    assert [body["dry_run"] for body in fake.bodies("/stop")] == [True]
    declined = on_terminal("stop", "my-array:0-1", typed="n\n")
    assert declined.code == 8
    assert "Stop 2 of 5 instances of my-array? What 5 of them run ends with it [y/N]" in declined.out
    fake.members = [of(index, status="SUCCEEDED", exit_code=0) for index in range(5)]
    result = spawn("stop", "my-array:0-1")
    assert (result.code, result.err) == (0, f"{ID}: 2 stopped (indexes 0-1)\n")


def test_yes_and_hibernation_ask_nothing(fake: FakeEngine, spawn: Run) -> None:
    assert spawn("stop", "my-array:3", "--yes").code == 0
    assert spawn("stop", "my-array", "--hibernate").code == 0
    assert fake.bodies("/stop") == [{"indexes": "3", "hibernate": False, "dry_run": False}, {"indexes": None, "hibernate": True, "dry_run": False}]


def test_a_start_that_starts_nothing_says_why(fake: FakeEngine, spawn: Run) -> None:
    fake.change = changed(None, 0, ("3", "its instance is terminated"))
    result = spawn("start", "my-array:3")
    assert (result.code, result.err) == (5, f"{ID}: nothing was started\nnote: left alone: 3: its instance is terminated\n")
    fake.change = changed(None, 0)
    result = spawn("start", "my-array")
    assert (result.code, result.err) == (0, f"{ID}: nothing was started\nnote: no instance of it is stopped\n")


# --- extend ---------------------------------------------------------------------------------------------------------------


def test_an_extension_counts_once_the_instances_say_so_themselves(fake: FakeEngine, spawn: Run) -> None:
    fake.answers["ends"] = [changed("0-3", 4, ("4", "its instance still says that it ends at noon")), changed("0-4", 5)]
    result = spawn("extend", "my-array", "2h")
    assert (result.code, result.err) == (0, f"{ID}: 5 extended (indexes 0-4)\n{ID}: 5 of 5 confirmed by their instances\n")
    assert result.out == f"{ID}\t0-4\t5\n"


def test_an_extension_that_an_instance_does_not_confirm_is_no_success(fake: FakeEngine, spawn: Run) -> None:
    fake.answers["ends"] = [changed("0-3", 4, ("4", "its instance has never checked in"))] * 9
    result = spawn("extend", "my-array", "2h", "--timeout", "1s")
    assert result.code == 1
    assert result.err.splitlines()[1:] == [f"{ID}: 4 of 5 confirmed by their instances", "warning: not confirmed: 4: its instance has never checked in"]


def test_stopped_instances_are_not_waited_for_to_confirm_an_extension(fake: FakeEngine, spawn: Run) -> None:
    why = "its instance is stopped, and hears of it when it is started"
    fake.answers["ends"] = [changed(None, 0, ("0-4", why))]
    result = spawn("extend", "my-array", "2h")
    assert (result.code, result.err.splitlines()[-1]) == (1, f"warning: not confirmed: 0-4: {why}")
    assert sum("/ends" in target for _, target, _ in fake.asked) == 1


def test_an_extension_that_nobody_could_read_back_is_no_success(fake: FakeEngine, spawn: Run) -> None:
    fake.answers["ends"] = [refuse(503, "unavailable", "S3 did not answer")]
    result = spawn("extend", "my-array", "2h")
    assert result.code == 1
    assert "the new end is written down, and whether the instances took it could not be seen: S3 did not answer" in result.err


def test_an_extension_that_may_cost_much_is_asked_about(fake: FakeEngine, spawn: Run, on_terminal: Run) -> None:
    fake.costs = [cost()]
    refused = spawn("extend", "my-array", "300d")
    assert (refused.code, refused.out) == (2, "")
    sentence = "5 instances for 7200 hours may cost up to ~$405.96"
    hint = "add --yes"
    assert refused.err == f"error: {sentence}, and only what costs at most $5.00 (--confirm-above) is done unasked: {hint}\n"
    declined = on_terminal("extend", "my-array", "300d", typed="n\n", TERM="dumb")
    assert (declined.code, f"{sentence}. Extend? [y/N]" in declined.out) == (8, True)
    assert [body["dry_run"] for body in fake.bodies("/extend")] == [True, True]
    for words in (["--yes"], ["--confirm-above", "500"]):
        fake.answers["ends"] = [changed("0-4", 5)]
        assert spawn("extend", "my-array", "300d", *words).code == 0


# --- retry ----------------------------------------------------------------------------------------------------------------


def test_retry_knows_the_interrupted_and_an_array_from_elsewhere(fake: FakeEngine, spawn: Run) -> None:
    spawn("retry", "my-array", "@interrupted")
    assert fake.bodies("/retry") == [{"indexes": "@interrupted", "dry_run": False}]
    result = spawn("retry", "array-20250101-000000", "@failed")
    assert result.code == 4
    assert "`spawn adopt array-20250101-000000` takes it over first" in result.err
    assert "adopt" not in spawn("retry", "no-such-name").err


# --- logs -----------------------------------------------------------------------------------------------------------------


def test_logs_are_brought_in_blocks_before_they_are_shown(fake: FakeEngine, spawn: Run) -> None:
    fake.members = [of(index, status="SUCCEEDED", exit_code=0) for index in range(60)]
    fake.logs = {f"{ID}:{index}": f"out {index}\n".encode() for index in range(60)}
    fake.answers["brought"] = [
        changed("0-48", 49, coming="49", coming_count=1),
        changed("49", 1, coming=None, coming_count=0),
        changed("50-58", 9, ("59", "access to the bucket was denied"), coming=None, coming_count=0),
    ]
    result = spawn("logs", "my-array")
    assert result.out.count("==>") == 60
    assert (result.code, result.err) == (1, "warning: could not be brought: 59: access to the bucket was denied\n")
    brought = [target for _, target, _ in fake.asked if "/brought?" in target]
    assert [target.partition("indexes=")[2].partition("&")[0] for target in brought] == ["0-49", "49", "50-59"]
    assert all("here=true" in target for _, target, _ in fake.asked if "/log?" in target)


def test_a_member_that_never_began_has_no_log(fake: FakeEngine, spawn: Run) -> None:
    fake.members = [of(3, status="FAILED", started_at=None, reason="CannotStartContainerError: /nope is not there")]
    fake.logs = {f"{ID}:3": b""}
    fake.answers["brought"] = [changed("3", 1, coming=None, coming_count=0)] * 2
    result = spawn("logs", "my-array-3")
    assert (result.code, result.out) == (4, "")
    assert "my-array-3 never began, so there is no log (CannotStartContainerError: /nope is not there)" in result.err
    fake.logs = {f"{ID}:3": b"a word\n"}
    assert spawn("logs", "my-array-3").out == "a word\n"


def test_a_member_that_has_not_begun_has_no_log_either_and_an_earlier_attempt_may(fake: FakeEngine, spawn: Run) -> None:
    fake.members = [of(3, status="STARTING", started_at=None, attempt=2, status_reason="no capacity")]
    fake.logs = {f"{ID}:3": b""}
    fake.answers["brought"] = [changed(None, 0, coming=None, coming_count=0)] * 2
    result = spawn("logs", "my-array-3")
    assert (result.code, result.out) == (4, "")
    assert "my-array-3 has not begun, as far as is known, so there is no log (STARTING: no capacity); -f waits for it" in result.err
    assert spawn("logs", "my-array-3", "--attempt", "1").code == 0


def test_following_shows_the_rest_that_came_when_it_ended(fake: FakeEngine, spawn: Run) -> None:
    fake.members = [of(3, status="SUCCEEDED", exit_code=0)]
    fake.logs = {f"{ID}:3": b"first\nlast\n"}
    fake.answers["brought"] = [changed("3", 1, coming=None, coming_count=0)]
    result = spawn("logs", "my-array-3", "-f")
    assert (result.code, result.out) == (0, "first\nlast\n")


def test_following_goes_on_while_aws_does_not_answer(fake: FakeEngine, spawn: Run) -> None:
    fake.members = [of(3, status="FAILED", exit_code=1)]
    fake.logs = {f"{ID}:3": b"what is here\n"}
    fake.answers["brought"] = [refuse(503, "unavailable", "S3 did not answer")]
    result = spawn("logs", "my-array-3", "-f")
    assert (result.code, result.out, result.err) == (0, "what is here\n", "warning: S3 did not answer; going on with what is here\n")


def test_when_nothing_of_many_comes_for_long_the_others_are_not_asked_for_any_more(fake: FakeEngine) -> None:
    why = "cannot list the log: AWS did not answer"
    fake.arrays = [on_ec2(size=120, indexes="0-119")]
    fake.members = [of(index, status="SUCCEEDED") for index in range(120)]
    fake.answers["brought"] = [
        changed(None, 0, coming="0-49", coming_count=50),
        changed(None, 0, ("0-7", why), coming="8-49", coming_count=42),
    ]
    client, seconds = Client(fake.state_dir), itertools.chain([0.0], itertools.repeat(60.0))
    bring = Bringing(client, client.array(ID), "logs", seconds=lambda: next(seconds))
    assert [len(block) for block in bring.blocks(list(client.members(array=ID)))] == [50, 50, 20]
    assert bring.failed == {why: "0-7,8-49,50-99,100-119"}
    assert [target.partition("timeout_s=")[2] for _, target, _ in fake.asked if "/brought?" in target] == ["3.0", "20.0"]


# --- collect and rm -------------------------------------------------------------------------------------------------------


def test_collect_brings_outputs_first_and_lists_what_did_not_come(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    fake.arrays = [on_ec2(size=4, indexes="0-3", status="FAILED", counts={"SUCCEEDED": 3, "FAILED": 1})]
    fake.members = [of(index, status="FAILED" if index == 3 else "SUCCEEDED", exit_code=0) for index in range(4)]
    for index in range(4):
        output = tmp_path / f"{index}.out"
        if index == 0:
            output.mkdir()
            (output / "result.txt").write_text("0")
        status = "FAILED" if index == 3 else "SUCCEEDED"
        fake.attempts[f"{ID}:{index}"] = [attempt(status=status, output=str(output), log=str(tmp_path / f"{index}.log"))]
    fake.answers["brought"] = [changed("0-1", 2, ("2", "its process goes on"), coming=None, coming_count=0)]
    result = spawn("collect", "my-array", "results", "-o", "json", cwd=tmp_path)
    assert result.code == 7
    manifest = json.loads(result.out)
    assert (manifest["done"], manifest["failed"], manifest["missing"]) == ("0-1", "3", "2")
    assert (tmp_path / "results" / "0" / "result.txt").read_text() == "0"
    assert "warning: could not be brought: 2: its process goes on" in result.err
    assert [target.partition("indexes=")[2].partition("&")[0] for _, target, _ in fake.asked if "/brought?" in target] == ["0-2"]


def test_collect_says_why_indexes_are_missing(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    held = {"indexes": None, "count": 2, "reason": "cannot launch instances in us-east-1: AWS did not answer"}
    fake.arrays = [on_ec2(size=3, indexes="0-2", remarks=[held])]
    fake.members = [of(0, status="RUNNING"), *(of(index, status="STARTING", attempt=0) for index in (1, 2))]
    fake.attempts[f"{ID}:0"] = [attempt(status=None, output=None, log=None)]
    result = spawn("collect", "my-array", "results", cwd=tmp_path)
    assert result.code == 7
    assert result.err.splitlines() == [
        "note: missing: 0: not finished (RUNNING)",
        "note: missing: 1-2: not finished (STARTING)",
        "note: 2 × cannot launch instances in us-east-1: AWS did not answer",
        "Collected 0 of 3 into results (0 files, 0 B; 0 copied); missing: 0-2",
    ]


def test_a_dry_run_of_collect_brings_nothing_and_says_so(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    result = spawn("collect", "my-array", "results", "--dry-run", cwd=tmp_path)
    assert "outputs that are not on this machine yet are brought first" in result.err
    assert not [target for _, target, _ in fake.asked if "/brought" in target]


def test_rm_says_that_the_objects_in_the_bucket_go_too(fake: FakeEngine, spawn: Run, on_terminal: Run) -> None:
    declined = on_terminal("rm", "my-array", typed="n\n")
    assert f"Forget {ID}, with logs and outputs, and {FLEET['objects']}? [y/N]" in declined.out
    result = spawn("rm", "my-array", "--yes")
    assert f"note: {FLEET['objects']} is deleted too: its logs, outputs and outcomes there\n" in result.err
