"""stdout is data, stderr is talk; a terminal is for people, a pipe for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from typing import Any

import pytest
import yaml
from canned import array, check, engine, failure, member
from fake_engine import FakeEngine
from running import Run, command

ID = "array-20260127-100000"


@pytest.fixture(autouse=True)
def twelve(fake: FakeEngine) -> None:
    fake.arrays = [array(size=12, indexes="0-11", counts={"RUNNING": 10, "SUCCEEDED": 1, "FAILED": 1}, rate_per_s=0.5, seconds_left=20)]
    fake.members = [member(index) for index in range(12)]
    fake.members[3] |= {"status": "FAILED", "state": "terminated", "exit_code": 1, "status_reason": "a\tb\nc", "tags": {"k": "v"}}
    fake.failures = [failure(1, "3")]
    fake.reasons = [{"indexes": "4-5", "count": 2, "reason": "waits for 2 vCPUs"}]


def test_piped_members_are_one_a_line_with_tabs_and_nothing_else(spawn: Run) -> None:
    result = spawn("list")
    assert (result.code, result.err) == (0, "")
    assert len(result.lines) == 12
    assert result.lines[3].split("\t") == ["my-array-3", "3", ID, "i-00000000000000003", "terminated", "FAILED", "1", "1", "62"]
    assert "\x1b" not in result.out


def test_members_come_in_the_order_of_their_numbers(spawn: Run) -> None:
    assert [line.split("\t")[1] for line in spawn("list").lines] == [str(index) for index in range(12)]


def test_on_a_terminal_there_are_a_header_and_columns(on_terminal: Run) -> None:
    lines = on_terminal("list").out.splitlines()
    assert lines[0].split() == ["NAME", "INDEX", "ARRAY", "INSTANCE", "STATE", "STATUS", "EXIT", "ATTEMPT", "AGE"]
    assert len({line.index("i-0") for line in lines[1:]}) == 1
    assert lines[1].endswith("1m02s")


@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)]
)
def test_colour_on_a_terminal_can_be_turned_off(on_terminal: Run, variables: dict[str, str], coloured: bool) -> None:
    assert ("\x1b[" in on_terminal("list", raw=True, **variables).out) == coloured


def test_json_is_a_list_of_members_that_keep_to_their_schema(spawn: Run) -> None:
    value = json.loads(spawn("list", "-o", "json").out)
    assert [one["index"] for one in value] == list(range(12))
    for one in value:
        check("member", one)


def test_an_empty_json_list_is_still_one(fake: FakeEngine, spawn: Run) -> None:
    fake.members = []
    assert json.loads(spawn("list", "-o", "json").out) == []
    assert spawn("list").out == ""


def test_jsonl_is_one_object_a_line(spawn: Run) -> None:
    lines = spawn("list", "-o", "jsonl").lines
    assert len(lines) == 12
    check("member", json.loads(lines[3]))


def test_yaml_says_the_same_as_json(spawn: Run) -> None:
    from_yaml: Any = yaml.safe_load(spawn("status", "-o", "yaml").out)
    assert from_yaml == json.loads(spawn("status", "-o", "json").out)


def test_csv_has_a_header_and_every_column(spawn: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(spawn("list", "-o", "csv").out)))
    assert len(rows) == 12
    assert (rows[3]["status"], rows[3]["reason"], rows[3]["tags"], rows[4]["exit"]) == ("FAILED", "a b c", "k=v", "")


def test_tsv_and_wide_have_more_columns_and_keep_a_record_on_its_line(spawn: Run) -> None:
    for form in ("tsv", "wide"):
        lines = spawn("list", "-o", form).lines
        assert len(lines) == 12
        assert lines[3].split("\t")[9:11] == [f"{ID}:3", "a b c"]


def test_quiet_and_name_are_ids_and_names_alone(spawn: Run) -> None:
    assert spawn("list", "-q").lines[:2] == [f"{ID}:0", f"{ID}:1"]
    assert spawn("list", "-o", "name").lines[:2] == ["my-array-0", "my-array-1"]
    assert spawn("status", "-q").out == f"{ID}\n"


def test_filters_are_passed_on(fake: FakeEngine, spawn: Run) -> None:
    assert len(spawn("list", "--state", "terminated").lines) == 1
    spawn(
        "list",
        "--tag",
        f"array:id={ID}",
        "--tag",
        "array:index=3-5",
        "--tag",
        "a=b",
        "--tag",
        "array:name=n",
        "--status",
        "failed",
        "--status",
        "running",
        "--name",
        "m",
    )
    _, target, _ = fake.asked[-1]
    assert target == f"/v1/members?array={ID}&indexes=3-5&status=FAILED&status=RUNNING&name=m&name=n&tag=a%3Db"


def test_an_unknown_array_is_not_found(spawn: Run) -> None:
    result = spawn("list", "--tag", "array:id=array-xxx")
    assert (result.code, result.out) == (4, "")
    assert "array-xxx" in result.err


def test_a_reader_that_leaves_early_is_no_error(fake: FakeEngine, environment: dict[str, str]) -> None:
    fake.members = [member(0)] * 3000
    process = subprocess.Popen(command("list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_the_status_of_one_array_in_a_pipe_is_a_fact_a_line(spawn: Run) -> None:
    facts = [line.split("\t") for line in spawn("status", "last", "--why").lines]
    assert ["status", "PENDING"] in facts
    assert ["running", "10"] in facts
    assert ["rate_per_s", "0.5"] in facts
    assert ["failure", "1", "3", "1", "exit code 1"] in facts
    assert ["log", "3", "1", "cannot read input"] in facts
    assert ["why", "2", "4-5", "waits for 2 vCPUs"] in facts


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"signal": 9, "exit_code": 137, "status_reason": "Instance i-… reached the end of its TTL of 1m"}, "signal 9 (exit code 137): Instance i-… reached"),
        ({"exit_code": 143, "status_reason": "Job attempt duration exceeded timeout"}, "exit code 143: Job attempt duration exceeded timeout"),
        ({"exit_code": 143, "status_reason": "Host EC2 (instance i-…) terminated.", "reason": "Spot interruption"}, "exit code 143: Spot interruption"),
    ],
)
def test_what_ended_a_process_that_did_not_end_by_itself_is_its_cause(fake: FakeEngine, spawn: Run, changes: dict[str, Any], cause: str) -> None:
    fake.failures = [failure(1, "3", **changes)]
    (found,) = [line.split("\t") for line in spawn("status", "last").lines if line.startswith("failure")]
    assert found[4].startswith(cause)


def test_the_status_of_one_array_on_a_terminal_is_a_page(on_terminal: Run) -> None:
    shown = on_terminal("status", "last", "--why").out
    assert "2/12 (16%)  1 failed  10 running  0.5/s  20s left" in shown
    assert "  1 × exit code 1  indexes 3\n    end of the log of index 3, attempt 1:\n      line one\n" in shown
    assert "Not running:\n  2 × waits for 2 vCPUs  indexes 4-5\n" in shown
    assert "Watch: spawn watch" in shown


def test_the_status_of_one_array_in_json_has_its_failures(spawn: Run) -> None:
    value = json.loads(spawn("status", "last", "-o", "json", "--why").out)
    check("status", value)
    assert [group["indexes"] for group in value["failures"]] == ["3"]
    assert value["why"] == [{"indexes": "4-5", "count": 2, "reason": "waits for 2 vCPUs", "kind": None}]


def test_the_status_succeeds_also_when_all_has_ended(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [array(status="FAILED", counts={"FAILED": 5}, stopped_at="2026-01-27T10:00:05Z", instances={"terminated": 5})]
    assert spawn("status", "last").code == 0


def test_escape_sequences_of_a_job_do_not_reach_the_terminal(fake: FakeEngine, on_terminal: Run) -> None:
    evil = failure(1, "3")
    evil["example"]["log_tail"] = ["\x1b]0;owned\x07 text"]
    fake.failures = [evil]
    assert "\x1b]0;" not in on_terminal("status", "last", raw=True).out


def test_the_engine_in_json_keeps_to_its_schema(spawn: Run) -> None:
    value = json.loads(spawn("engine", "status", "-o", "json").out)
    check("engine", value)
    assert {key: value[key] for key in ("pid", "runner_pid", "version")} == {key: engine()[key] for key in ("pid", "runner_pid", "version")}


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["array:index=3"], ["3"]),
        (["array:index=3,5-7"], ["3", "5", "6", "7"]),
        (["array:index=3", "array:index=5"], ["3", "5"]),
        (["array:index=99"], []),
    ],
)
def test_an_index_is_chosen_without_an_array_too(fake: FakeEngine, spawn: Run, words: list[str], chosen: list[str]) -> None:
    fake.members.append(member(None, "job-20260127-100000"))
    flags = [part for word in words for part in ("--tag", word)]
    assert [line.split("\t")[1] for line in spawn("list", *flags, "--name", "my-array").lines] == chosen
    assert fake.asked[-1][1] == "/v1/members?name=my-array"
    assert [str(json.loads(line)["index"]) for line in spawn("list", *flags, "-o", "jsonl").lines] == chosen
    assert [str(one["index"]) for one in json.loads(spawn("list", *flags, "-o", "json").out)] == chosen
    assert len(spawn("list", *flags, "-q").lines) == len(chosen)


def test_colour_in_a_pipe_can_be_forced(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays[0]["status"] = "FAILED"
    for words in (["list"], ["status"], ["status", "last"], ["list", "-o", "wide"]):
        assert "\x1b[" in spawn(*words, FORCE_COLOR="1").out
        assert "\x1b[" not in spawn(*words, FORCE_COLOR="1", NO_COLOR="1").out
    for form in ("tsv", "csv", "json", "jsonl", "yaml", "name"):
        assert "\x1b[" not in spawn("list", "-o", form, FORCE_COLOR="1").out


@pytest.mark.parametrize("verb", ["status", "wait", "watch"])
def test_a_member_by_its_name_is_refused_where_only_arrays_are_meant(spawn: Run, verb: str) -> None:
    result = spawn(verb, "my-array-3")
    assert (result.code, result.out) == (2, "")
    assert "'my-array-3' names some indexes: " in result.err
