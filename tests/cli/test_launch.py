"""Launching: what is sent, and what is shown of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from canned import array, check, member
from fake_engine import FakeEngine, refuse
from running import Run

ID = "array-20260127-100000"
SCRIPT = "#!/bin/bash\necho $TASK_ARRAY_INDEX\n"


@pytest.fixture(autouse=True)
def five(fake: FakeEngine) -> None:
    fake.arrays = [array()]
    fake.members = [member(index) for index in range(5)]


def submitted(fake: FakeEngine) -> dict[str, object]:
    (body,) = fake.bodies("/arrays")
    assert isinstance(body, dict)
    return body


def test_on_a_terminal_a_launch_reads_as_in_the_tutorial(on_terminal: Run) -> None:
    result = on_terminal("launch", "--instance-type", "t3.micro", "--array", "5", "--ttl", "30m", "--name", "my-array", "--user-data", SCRIPT)
    assert result.code == 0
    assert (
        result.out
        == """\
note: --instance-type has no effect on this machine, and is kept with the array
🚀 Launching job array...

Array Size: 5
Instance Type: t3.micro
TTL: 30m

Progress:
  ✓ Creating 5 instances
  ✓ Launching instances...

Instances:
  my-array-0 → i-00000000000000000 (launching)
  my-array-1 → i-00000000000000001 (launching)
  my-array-2 → i-00000000000000002 (launching)
  my-array-3 → i-00000000000000003 (launching)
  my-array-4 → i-00000000000000004 (launching)

Job array launched! 🎉

Array ID: array-20260127-100000
Instances: 5

Monitor:
  spawn list --tag array:id=array-20260127-100000

Estimated cost: $0.00 (runs on this machine)
"""
    )


def test_of_a_big_array_five_instances_are_shown(fake: FakeEngine, on_terminal: Run) -> None:
    fake.arrays = [array(size=10000, indexes="0-9999", counts={"RUNNABLE": 10000})]
    result = on_terminal("launch", "--array", "10_000", "--", "true")
    assert "  my-array-4 → i-00000000000000004 (launching)\n  … and 9995 more\n" in result.out
    assert any("indexes=0-4" in target for _, target, _ in fake.asked)


def test_in_a_pipe_the_id_is_all_there_is(spawn: Run) -> None:
    assert spawn("launch", "--array", "5", "--", "true").out == f"{ID}\n"
    assert spawn("launch", "--array", "5", "-q", "--", "true").out == f"{ID}\n"


def test_quiet_on_a_terminal_prints_the_id_alone(on_terminal: Run) -> None:
    assert on_terminal("launch", "--array", "5", "-q", "--", "true").out == f"{ID}\n"


def test_json_has_the_children_and_keeps_to_its_schema(spawn: Run) -> None:
    value = json.loads(spawn("launch", "--array", "5", "-o", "json", "--", "true").out)
    check("launch", value)
    assert (value["array_id"], value["size"]) == (ID, 5)
    assert value["children"][3] == {"index": 3, "id": f"{ID}:3", "name": "my-array-3", "instance_id": "i-00000000000000003"}


def test_every_flag_is_sent(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    flags = {
        "--array": "1,3,5-7%2",
        "--name": "n",
        "--ttl": "1h",
        "--idle-timeout": "10m",
        "--timeout": "90s",
        "--grace": "5s",
        "--on-complete": "stop",
        "--retries": "2",
        "--retry-on": "oom",
        "--max-failures": "10%",
        "--env": "A=1=2",
        "--tag": "k=v",
        "--cpus": "0.5",
        "--memory": "2G",
        "--workdir": str(tmp_path),
        "--depends-on": "first:N_TO_N",
        "--instance-type": "t3.micro",
        "--spot-max-price": "0.15",
        "--ami": "ami-blender",
        "--region": "us-east-1",
        "--iam-policy": "s3:FullAccess",
        "--key-name": "k",
    }
    words = [word for pair in flags.items() for word in pair]
    before = os.umask(0o027)
    try:
        result = spawn("launch", *words, "--spot", "--no-private-tmp", "--no-compat-env", "--sequential", "--dry-run", "--", "echo", "--ttl", "x")
    finally:
        os.umask(before)
    assert result.code == 0, result.err
    body = submitted(fake)
    environment = body.pop("environment")
    assert isinstance(environment, dict)
    assert environment["TERM"] == "xterm"
    assert body == {
        "name": "n",
        "indexes": "1,3,5-7",
        "max_concurrent": 2,
        "script": None,
        "command": ["echo", "--ttl", "x"],
        "env": {"A": "1=2"},
        "workdir": str(tmp_path),
        "ttl_s": 3600,
        "timeout_s": 90,
        "on_complete": "stop",
        "retries": 2,
        "retry_on": ["oom"],
        "max_failures": "10%",
        "tags": {"k": "v"},
        "cpus": 0.5,
        "memory_mib": 2048,
        "private_tmp": False,
        "depends_on": [{"id": "first", "type": "N_TO_N"}],
        "sequential": True,
        "compat_env": False,
        "umask": 0o027,
        "grace_s": 5,
        "provider": "local",
        "no_ttl": False,
        "idle_s": 600,
        "access": {},
        "dry_run": True,
        "cloud": {
            "instance_types": ["t3.micro"],
            "spot": True,
            "spot_max_price": 0.15,
            "ami": "ami-blender",
            "regions": ["us-east-1"],
            "iam_policies": ["s3:FullAccess"],
            "key_name": "k",
        },
    }
    assert "--instance-type, --region, --spot, --spot-max-price, --ami, --iam-policy, --key-name have no effect on this machine" in result.err


def test_a_script_comes_from_a_file_or_from_stdin(fake: FakeEngine, spawn: Run, home: Path) -> None:
    (home / "s.sh").write_text(SCRIPT)
    assert spawn("launch", "--user-data", "@s.sh").code == 0
    assert spawn("launch", "--user-data", "@-", stdin=SCRIPT).code == 0
    assert [body["script"] for body in fake.bodies("/arrays")] == [SCRIPT, SCRIPT]


def test_without_anything_to_run_the_instances_wait_and_that_is_said(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("launch", "--array", "2")
    assert "only wait for `spawn connect`" in result.err
    assert submitted(fake)["script"] == "#!/bin/sh\nexit 0\n"
    ended = spawn("launch", "--array", "2", "--on-complete", "terminate").err
    assert "the instances end as soon as they are up, as --on-complete terminate says" in ended
    assert "wait" not in ended


def test_without_array_it_is_a_single_job(fake: FakeEngine, on_terminal: Run) -> None:
    fake.arrays = [array("job-20260127-100000", kind="job", size=1, indexes=None, name="one", counts={"RUNNING": 1}, instances={"running": 1})]
    fake.members = [member(None, "job-20260127-100000")]
    result = on_terminal("launch", "--", "true")
    assert submitted(fake)["indexes"] is None
    assert "🚀 Launching job...\n" in result.out
    assert "Job launched! 🎉\n\nJob ID: job-20260127-100000\n" in result.out


def test_a_variable_named_alone_is_passed_on_from_this_shell(fake: FakeEngine, spawn: Run) -> None:
    spawn("launch", "--env", "MINE", "--", "true", MINE="here")
    assert submitted(fake)["env"] == {"MINE": "here"}


def test_what_the_engine_notes_is_said(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [array(notes=["no private /tmp here: the kernel does not allow it"])]
    result = spawn("launch", "--array", "5", "--", "true")
    assert "note: no private /tmp here: the kernel does not allow it\n" in result.err


def test_what_the_engine_refuses_ends_with_its_exit_code(fake: FakeEngine, spawn: Run) -> None:
    fake.launch_answer = refuse(409, "conflict", "array-1 has failed: nothing can wait for it")
    result = spawn("launch", "--depends-on", "array-1", "--", "true")
    assert (result.code, result.out, result.err) == (5, "", "error: array-1 has failed: nothing can wait for it\n")


def test_a_dry_run_says_that_it_was_one_and_prints_no_id(fake: FakeEngine, spawn: Run, on_terminal: Run) -> None:
    fake.arrays = [array("")]
    piped = spawn("launch", "--array", "5", "--dry-run", "--", "true")
    assert (piped.code, piped.out, piped.err) == (0, "", "note: dry run: nothing was launched\n")
    shown = on_terminal("launch", "--array", "5", "--dry-run", "--", "true").out
    assert "5 instances would be launched" in shown
    assert "launched! 🎉" not in shown


def test_wait_ends_with_how_it_went_and_stdout_stays_data(fake: FakeEngine, spawn: Run) -> None:
    fake.settling = [array(status="FAILED", counts={"SUCCEEDED": 3, "FAILED": 2}, stopped_at="2026-01-27T10:00:05Z")]
    result = spawn("launch", "--array", "5", "--wait", "--", "true")
    assert (result.code, result.out) == (7, f"{ID}\n")
    assert "3 SUCCEEDED  2 FAILED" in result.err
