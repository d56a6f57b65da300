"""What the real engine answers keeps to the documented schemas, and what is piped keeps to its form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.system.conftest import Shell, eventually, found_under

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


def check(name: str, value: Any) -> None:
    """Hold a value to one of the documented schemas."""
    jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text())).validate(value)


@pytest.fixture
def mixed(shell: Shell) -> str:
    """An array of twelve of which one fails and one waits for the user."""
    gate = shell.cwd / "gate"
    script = f"case $TASK_ARRAY_INDEX in 3) echo no such file; exit 3;; 11) while [ ! -e {gate} ]; do sleep 0.02; done;; esac"
    array = shell.launch("--array", "12", "--name", "mixed", "--tag", "kind=test", "--env", "SECRET=hush", "--", "sh", "-c", script)
    eventually(lambda: shell.array(array)["counts"]["RUNNING"] == 1 and sum(shell.array(array)["counts"].values()) == 12)
    eventually(lambda: shell.array(array)["counts"]["SUCCEEDED"] == 10)
    return array


def test_json_answers_keep_to_their_schemas(shell: Shell, mixed: str) -> None:
    check("status", shell("status", mixed, "-o", "json", "--why", code=None).json)
    for array in shell("status", "-o", "json").json:
        check("array", array)
    for member in shell.members(mixed):
        check("member", member)
    for member in shell("list", "--array", mixed, "-o", "json").json:
        check("member", member)
    check("engine", shell("engine", "status", "-o", "json").json)
    for change in shell("retry", mixed, "@failed", "--dry-run", "-o", "json").json:
        check("change", change)
    (shell.cwd / "gate").touch()
    shell("wait", mixed, code=7)


def test_a_launch_in_json_names_every_child(shell: Shell) -> None:
    answer = shell("launch", "--array", "1,3,5-7", "--name", "odd", "--wait", "-o", "json", "--", "true").json
    check("launch", answer)
    assert (answer["size"], [child["index"] for child in answer["children"]]) == (5, [1, 3, 5, 6, 7])
    assert [child["name"] for child in answer["children"]] == [f"odd-{index}" for index in (1, 3, 5, 6, 7)]
    assert [child["id"] for child in answer["children"]] == [f"{answer['array_id']}:{index}" for index in (1, 3, 5, 6, 7)]
    listed = {member["index"]: member["instance_id"] for member in shell.members("odd")}
    assert listed == {child["index"]: child["instance_id"] for child in answer["children"]}


def test_q_prints_the_id_alone(shell: Shell) -> None:
    done = shell("launch", "-q", "--array", "2", "--wait", "--", "true")
    assert re.fullmatch(r"array-\d{8}-\d{6}(-\d+)?\n", done.out)


def test_piped_lists_have_a_line_a_record_and_sort_by_number(shell: Shell, mixed: str) -> None:
    lines = shell("list", "--array", mixed).lines
    assert [int(line.split("\t")[1]) for line in lines] == list(range(12))
    assert all(len(line.split("\t")) == 9 for line in lines)
    assert "\x1b" not in "".join(lines)
    (shell.cwd / "gate").touch()
    shell("wait", mixed, code=7)


def test_members_are_found_by_their_own_name_and_by_their_arrays(shell: Shell, mixed: str) -> None:
    assert len(shell("list", "--name", "mixed").lines) == 12
    assert len(shell("list", "--name", "mixed-3").lines) == 1
    assert len(shell("list", "--tag", "kind=test", "--status", "failed").lines) == 1
    (shell.cwd / "gate").touch()
    shell("wait", mixed, code=7)


def test_secrets_are_not_listed(shell: Shell, mixed: str) -> None:
    everything = "".join(
        shell(*words, code=None).out
        for words in (["status", mixed, "-o", "json"], ["list", "-o", "json"], ["status", "-o", "yaml"], ["engine", "logs"], ["list", "-o", "wide"])
    )
    assert "hush" not in everything
    assert "SECRET" in shell("status", mixed, "-o", "json", code=None).out
    (shell.cwd / "gate").touch()
    shell("wait", mixed, code=7)


def test_files_are_for_their_user_alone(shell: Shell, mixed: str) -> None:
    (shell.cwd / "gate").touch()
    shell("wait", mixed, code=7)
    assert shell.state.stat().st_mode & 0o777 == 0o700
    loose = [path for path, at in found_under(shell.state).items() if at.st_mode & 0o077 and not path.is_relative_to(shell.state / "arrays")]
    assert loose == []


def test_two_first_commands_at_once_start_one_engine(shell: Shell) -> None:
    started = [shell.start("launch", "-q", "--", "true") for _ in range(6)]
    outcomes = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 6, outcomes
    assert len({out for out, _ in outcomes}) == 6
    assert len(shell("status").lines) == 6


REFUSED = [
    (["status", "array-nope"], 4, "array-nope"),
    (["list", "--array", "array-nope"], 4, "array-nope"),
    (["status", "array-"], 2, "array-"),
    (["logs", "twice:99"], 2, "99"),
    (["retry", "twice", "7-9"], 2, "7"),
    (["connect", "twice-0x"], 4, "twice-0x"),
    (["launch", "--depends-on", "nope", "--", "true"], 4, "nope"),
    (["launch", "--depends-on", "bad", "--", "true"], 5, "failed"),
    (["launch", "--array", "5", "--depends-on", "twice:N_TO_N", "--", "true"], 2, "5"),
    (["launch", "--cpus", "4096", "--", "true"], 2, "4096"),
    (["rm", "array-nope", "--yes"], 4, "array-nope"),
]


def test_what_the_engine_refuses_is_one_sentence_and_the_right_exit_code(shell: Shell) -> None:
    shell("launch", "--name", "twice", "--array", "2", "--wait", "--", "true")
    shell("launch", "--name", "bad", "--array", "2", "--wait", "--", "false", code=7)
    before = shell("status").lines
    for words, code, named in REFUSED:
        refused = shell(*words, code=code)
        assert (refused.out, len(refused.err.splitlines()), named in refused.err) == ("", 1, True), (words, refused)
    assert len(shell("status").lines) == len(before)
