"""The tutorial's commands as they stand there, and what existing scripts expect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.conftest import Shell, eventually

FIRST_SCRIPT = """#!/bin/bash
echo "Task index: $TASK_ARRAY_INDEX"
echo "Total tasks: $TASK_ARRAY_SIZE"
echo "Result: $((TASK_ARRAY_INDEX * 2))" > /tmp/result-$TASK_ARRAY_INDEX.txt
"""


@pytest.fixture
def first_array(shell: Shell) -> str:
    """Step 1, word for word."""
    words = ["--instance-type", "t3.micro", "--array", "5", "--ttl", "30m", "--name", "my-array", "--user-data", FIRST_SCRIPT]
    done = shell("launch", *words)
    assert "--instance-type" in done.err
    array = done.lines[0].split("\t")[0]
    shell("wait", array)
    return array


def needs_private_tmp(shell: Shell) -> None:
    why = shell.engine()["features"]["private_tmp"]
    if why is not None:
        pytest.skip(f"no private /tmp here: {why}")


def test_each_instance_has_its_index_and_its_own_tmp(shell: Shell, first_array: str) -> None:
    needs_private_tmp(shell)
    done = shell("connect", "my-array-3", "--", "sh", "-c", "echo $TASK_ARRAY_INDEX; cat /tmp/result-$TASK_ARRAY_INDEX.txt; ls /tmp")
    assert done.lines[:2] == ["3", "Result: 6"]
    assert "result-2.txt" not in done.out
    assert not Path("/tmp/result-3.txt").exists()


def test_a_shell_on_an_instance_takes_commands(shell: Shell, first_array: str) -> None:
    needs_private_tmp(shell)
    done = shell("connect", "my-array-0", stdin="echo $TASK_ARRAY_INDEX\necho $TASK_ARRAY_SIZE\ncat /tmp/result-$TASK_ARRAY_INDEX.txt\nexit\n", code=None)
    assert done.lines == ["0", "5", "Result: 0"]


def test_five_instances_are_running_while_they_live(shell: Shell, first_array: str) -> None:
    listed = shell("list", "--tag", f"array:id={first_array}", "--state", "running")
    assert len(listed.lines) == 5
    shell("terminate", first_array, "--yes")
    assert shell("list", "--tag", f"array:id={first_array}", "--state", "running").lines == []
    assert len(shell("list", "--tag", f"array:id={first_array}", "--state", "terminated").lines) == 5


def test_the_same_file_name_in_two_children_does_not_collide(shell: Shell) -> None:
    needs_private_tmp(shell)
    script = '#!/bin/sh\necho "$TASK_ARRAY_INDEX" > /tmp/input.csv\nsleep 0.3\n[ "$(cat /tmp/input.csv)" = "$TASK_ARRAY_INDEX" ] || exit 9\n'
    array = shell.launch("--array", "4", "--wait", "--user-data", script)
    assert shell.array(array)["counts"]["SUCCEEDED"] == 4


def test_a_python_script_sees_its_index(shell: Shell) -> None:
    (shell.cwd / "simulate.py").write_text(
        "#!/usr/bin/env python3\nimport json, os\nsim_id = int(os.environ['TASK_ARRAY_INDEX'])\n"
        "with open(f'/tmp/simulation-{sim_id:04d}.json', 'w') as f:\n    json.dump({'simulation_id': sim_id}, f)\n"
        "print(open(f'/tmp/simulation-{sim_id:04d}.json').read())\n"
    )
    array = shell.launch("--array", "3", "--wait", "--user-data", "@simulate.py")
    assert json.loads(shell("logs", f"{array}:2").out) == {"simulation_id": 2}


def test_scripts_written_for_other_systems_run_unchanged(shell: Shell) -> None:
    variables = ["SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX", "BATCH_TASK_INDEX", "JOB_ARRAY_INDEX"]
    script = "; ".join(f'echo "{variable} is ${variable}"' for variable in variables)
    array = shell.launch("--array", "3,7", "--wait", "--", "/bin/sh", "-c", script)
    assert shell("logs", f"{array}:7").lines == [f"{variable} is 7" for variable in variables]


def test_a_script_says_when_it_is_done(shell: Shell) -> None:
    script = '#!/bin/sh\nif [ "$TASK_ARRAY_INDEX" = 1 ]\nthen spored complete --status failure --message "no input"\n'
    script += "else spored complete --status success\nfi\nexit 3\n"
    array = shell.launch("--array", "2", "--user-data", script)
    shell("wait", array, code=7)
    members = shell.members(array)
    assert [member["status"] for member in members] == ["SUCCEEDED", "FAILED"]
    eventually(lambda: [member["exit_code"] for member in shell.members(array)] == [3, 3])
    assert "no input" in shell("status", array).out + json.dumps(shell.array(array))


def test_the_log_stays_after_the_instance_is_gone(shell: Shell, first_array: str) -> None:
    shell("terminate", first_array, "--yes")
    assert shell("logs", f"{first_array}:4").lines == ["Task index: 4", "Total tasks: 5"]
