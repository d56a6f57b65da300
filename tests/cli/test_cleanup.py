"""`spawn cleanup` and `spawn adopt`: what they ask of the engine, what they say, and how they end."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest
from canned import array, check
from fake_engine import FakeEngine, refuse
from running import Run

from spawn.cli.doctor_ec2 import examine

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def leftover(**changes: Any) -> dict[str, Any]:
    why = "its end was 2026-01-27T11:00:00.000Z"
    return {"region": "us-east-1", "kind": "instance", "id": "i-1", "array_id": "array-1", "why": why, "removed": False, "error": None} | changes


class Account:
    """What an engine would find in an account."""

    def __init__(self) -> None:
        self.leftovers = [leftover(), leftover(kind="role", region="global", id="spawn-1")]
        self.failed: dict[str, str] = {}
        self.refuses: dict[str, str] = {}
        self.seen: list[str] | None = None  #: the regions that could be looked at; None: all that were asked for
        self.waiting: list[str] = []

    def sweep(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [one if asked["dry_run"] else one | {"removed": one["id"] not in self.refuses, "error": self.refuses.get(one["id"])} for one in self.leftovers]
        regions = (asked["regions"] or ["eu-west-1", "us-east-1"]) if self.seen is None else self.seen
        value = {"schema_version": 1, "account": "123456789012", "regions": regions, "failed": self.failed, "leftovers": found, "removed": not asked["dry_run"]}
        check("sweep", value)
        return value


@pytest.fixture
def account(fake: FakeEngine) -> Account:
    account, answer = Account(), fake.answer

    def answer_cloud(method: str, target: str, body: Any) -> Any:
        if target == "/v1/cleanup":
            fake.asked.append((method, target, body))
            return account.sweep(body)
        if target == "/v1/adopt":
            fake.asked.append((method, target, body))
            if body["array_id"] == "array-1":
                raise refuse(409, "conflict", "array-1 is here already")
            return array(body["array_id"], provider="ec2", counts={"SUCCEEDED": 3, "FAILED": 2})
        if target == "/v1/access":
            fake.asked.append((method, target, body))
            return {"schema_version": 1, "account": "123456789012", "arrays": account.waiting}
        return answer(method, target, body)

    fake.answer = answer_cloud  # type: ignore[method-assign]
    return account


def test_a_dry_run_shows_one_a_line_and_removes_nothing(account: Account, fake: FakeEngine, spawn: Run) -> None:
    result = spawn("cleanup", "--dry-run", **KEYS)
    assert result.code == 0
    assert [line.split("\t")[:5] for line in result.lines] == [
        ["us-east-1", "instance", "i-1", "array-1", account.leftovers[0]["why"]],
        ["global", "role", "spawn-1", "array-1", account.leftovers[1]["why"]],
    ]
    assert "Account 123456789012: looked at eu-west-1, us-east-1; left over: 1 instance, 1 role" in result.err
    assert [body["dry_run"] for body in fake.bodies("cleanup")] == [True]


def test_without_a_terminal_nothing_is_removed_before_yes_is_said(account: Account, fake: FakeEngine, spawn: Run) -> None:
    result = spawn("cleanup", **KEYS)
    assert result.code == 2
    assert "--yes" in result.err
    assert [body["dry_run"] for body in fake.bodies("cleanup")] == [True]


def test_yes_removes_and_says_what(account: Account, fake: FakeEngine, spawn: Run) -> None:
    result = spawn("cleanup", "--yes", "--region", "us-east-1", **KEYS)
    assert result.code == 0
    assert [body["regions"] for body in fake.bodies("cleanup")] == [["us-east-1"]]
    assert [line.split("\t")[5] for line in result.lines] == ["true", "true"]
    assert "removed: 1 instance, 1 role" in result.err


def test_what_could_not_be_removed_is_said_and_ends_with_1(account: Account, spawn: Run) -> None:
    account.refuses["i-1"] = "cannot remove the instance i-1: not allowed"
    result = spawn("cleanup", "--yes", **KEYS)
    assert result.code == 1
    assert "instance i-1 was not removed: cannot remove the instance i-1: not allowed" in result.err
    assert "removed 1 of 2" in result.err


def test_a_region_that_could_not_be_looked_at_is_said_and_ends_with_1(account: Account, spawn: Run) -> None:
    account.leftovers, account.failed = [], {"mars-north-1": "there is no such region"}
    result = spawn("cleanup", **KEYS)
    assert result.code == 1
    assert "mars-north-1 could not be looked at: there is no such region" in result.err


def test_a_dry_run_that_could_not_look_ends_with_1_too_and_does_not_say_that_it_looked(account: Account, spawn: Run) -> None:
    account.leftovers, account.failed, account.seen = [], {"us-east-1": "not allowed"}, []
    result = spawn("cleanup", "--dry-run", "--region", "us-east-1", **KEYS)
    assert (result.code, result.out) == (1, "")
    assert "Account 123456789012: no region could be looked at" in result.err
    assert "nothing is left over" not in result.err


@pytest.mark.parametrize("region", ["", "mars-1", "us-east-1,us-west-2"])
def test_what_is_no_region_is_refused_before_anybody_is_asked(fake: FakeEngine, spawn: Run, region: str) -> None:
    for verb in (("cleanup", "--dry-run"), ("adopt", "array-1")):
        result = spawn(*verb, f"--region={region}", **KEYS)
        assert result.code == 2
        assert f"--region: '{region}' is not a region: write one such as us-east-1" in result.err
    assert fake.asked == []


def test_nothing_left_over_asks_nothing(account: Account, spawn: Run) -> None:
    account.leftovers = []
    result = spawn("cleanup", **KEYS)
    assert (result.code, result.out) == (0, "")
    assert "nothing is left over" in result.err


@pytest.mark.parametrize(("typed", "code", "dry_runs"), [("y\n", 0, [True, False]), ("n\n", 8, [True]), ("y\x04\x04", 8, [True])])
def test_on_a_terminal_it_asks_after_it_has_shown(account: Account, fake: FakeEngine, on_terminal: Run, typed: str, code: int, dry_runs: list[bool]) -> None:
    result = on_terminal("cleanup", typed=typed, **KEYS)
    assert result.code == code
    assert result.out.index("spawn-1") < result.out.index("Remove 2 of account 123456789012?")
    assert [body["dry_run"] for body in fake.bodies("cleanup")] == dry_runs


def test_json_is_the_sweep_and_nothing_else(account: Account, spawn: Run) -> None:
    result = spawn("cleanup", "--dry-run", "-o", "json", **KEYS)
    check("sweep", json.loads(result.out))


def test_the_access_of_this_shell_is_sent_and_nothing_else_of_it(account: Account, fake: FakeEngine, spawn: Run, home: Any) -> None:
    spawn("cleanup", "--dry-run", **KEYS, OTHER="x")
    (body,) = fake.bodies("cleanup")
    assert body["access"] == KEYS | {"HOME": str(home)}


def test_adopt_says_how_the_array_stands(account: Account, fake: FakeEngine, spawn: Run) -> None:
    result = spawn("adopt", "array-2", "--bucket", "mine", "--region", "eu-west-1", "-q", **KEYS)
    assert (result.code, result.out) == (0, "array-2\n")
    assert "array-2 is here now: 3 SUCCEEDED, 2 FAILED" in result.err
    (body,) = fake.bodies("adopt")
    assert (body["array_id"], body["bucket"], body["access"]["AWS_REGION"]) == ("array-2", "mine", "eu-west-1")


@pytest.mark.parametrize("form", ["table", "tsv", "json"])
def test_adopt_prints_the_array_in_the_form_asked_for(account: Account, spawn: Run, form: str) -> None:
    out = spawn("adopt", "array-2", "-o", form, **KEYS).out
    if form == "json":
        check("array", json.loads(out))
    else:
        assert out.split("\t")[0] == "array-2"


def test_adopt_of_one_that_is_here_ends_with_5(account: Account, spawn: Run) -> None:
    result = spawn("adopt", "array-1", **KEYS)
    assert result.code == 5
    assert "array-1 is here already" in result.err


def test_access_gives_that_of_this_shell_and_names_the_arrays_that_go_on_with_it(account: Account, fake: FakeEngine, spawn: Run, home: Any) -> None:
    fake.arrays, account.waiting = [array("array-1", provider="ec2")], ["array-1"]
    result = spawn("access", "-q", **KEYS, OTHER="x")
    assert (result.code, result.out) == (0, "array-1\n")
    assert "1 array goes on with this access to account 123456789012" in result.err
    assert fake.bodies("access") == [{"access": KEYS | {"HOME": str(home)}}]


def test_access_that_nothing_waits_for_says_so(account: Account, spawn: Run) -> None:
    result = spawn("access", **KEYS)
    assert (result.code, result.out) == (0, "")
    assert "no array of account 123456789012 waits for another access" in result.err


def test_doctor_asks_nobody_where_there_are_no_aws_credentials(spawn: Run) -> None:
    lines = spawn("doctor", AWS_EC2_METADATA_DISABLED="true").lines
    assert lines[-1] == "ok\tAWS account\tno AWS credentials: arrays run on this machine; `aws configure` opens EC2"


def test_doctor_is_not_failed_by_an_aws_that_cannot_be_reached(spawn: Run) -> None:
    result = spawn("doctor", AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_EC2_METADATA_DISABLED="true", **KEYS)
    assert result.code == 0, result.out
    found = {line.split("\t")[1]: line.split("\t") for line in result.lines}
    assert found["agent for EC2"][0] == "ok"
    assert found["AWS account"][0] == "warn"
    assert "secret" not in result.out


def test_doctor_waits_only_so_long_for_an_aws_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
        *_, last = examine(engine_runs=False, environment=environment, within_s=1.5)
    assert last == ("warn", "EC2", f"{url} did not answer within 1.5 s")


def test_doctor_names_what_cannot_be_ended_also_from_a_shell_without_aws_access(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAWN_STATE_DIR", str(fake.state_dir))
    costs = {"indexes": None, "count": 2, "reason": "should have ended, and costs: i-1, i-2", "kind": "billed"}
    held = {"indexes": None, "count": 3, "reason": "EC2 throttles RunInstances", "kind": "throttled"}
    fake.arrays = [array(remarks=[held, costs]), array(remarks=[]), array()]
    first, *others = examine(engine_runs=True, environment={"AWS_EC2_METADATA_DISABLED": "true"})
    assert first == ("warn", "instances", f"{fake.arrays[0]['array_id']}: 2 × should have ended, and costs: i-1, i-2")
    assert [check for _, check, _ in others] == ["AWS account"]
