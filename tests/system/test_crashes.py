"""kill -9 at bad moments loses nothing and runs nothing twice."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from tests.system.conftest import Shell, alive, eventually

CHILDREN = 4_000
KILLS = 20


def marks(directory: Path) -> dict[int, str]:
    return {int(path.name): path.read_text() for path in directory.iterdir()}


def test_killing_the_engine_twenty_times_runs_every_index_exactly_once(shell: Shell) -> None:
    ran = shell.cwd / "ran"
    ran.mkdir()
    script = shell.cwd / "mark.sh"
    script.write_text('#!/bin/sh\necho "$TASK_ARRAY_INDEX" >> "$1/$TASK_ARRAY_INDEX"\n')
    script.chmod(0o755)
    dice = random.Random(20)
    array = shell.launch("--array", str(CHILDREN), "--", str(script), str(ran))
    for kill in range(KILLS):
        wanted = dice.randrange(CHILDREN * kill // KILLS, CHILDREN * (kill + 1) // KILLS)
        pid = shell.engine()["pid"]
        eventually(lambda wanted=wanted: sum(1 for _ in os.scandir(ran)) >= wanted)
        shell.kill(pid)
    shell("wait", array, timeout_s=300)
    assert marks(ran) == {index: f"{index}\n" for index in range(CHILDREN)}
    counts = shell.array(array)["counts"]
    assert counts["SUCCEEDED"] == CHILDREN
    assert {member["attempt"] for member in shell.members(array)} == {1}


def test_killing_the_runner_loses_what_ran_and_leaves_no_orphan(shell: Shell) -> None:
    pids = shell.cwd / "pids"
    pids.mkdir()
    script = shell.cwd / "long.sh"
    script.write_text('#!/bin/sh\nsleep 1000 &\necho "$$ $!" > "$1/$TASK_ARRAY_INDEX-$TASK_ATTEMPT"\nwait\n')
    script.chmod(0o755)
    array = shell.launch("--array", "4", "--", str(script), str(pids))
    started = [pids / "0-1", pids / "1-1"]
    eventually(lambda: all(path.exists() and path.read_text().strip() for path in started))
    running = [int(pid) for path in started for pid in path.read_text().split()]
    shell.kill(shell.engine()["runner_pid"])
    eventually(lambda: not any(alive(pid) for pid in running))
    eventually((pids / "3-1").exists)
    members = {member["index"]: member for member in shell.members(array)}
    for index in (0, 1):
        assert members[index]["status"] == "FAILED"
        assert members[index]["lost"] is True
        assert members[index]["status_reason"].startswith("Host EC2 (instance i-")
    assert shell.array(array)["lost"] == 2
    assert sorted(path.name for path in pids.iterdir()) == ["0-1", "1-1", "2-1", "3-1"]


def test_a_lost_attempt_is_retried_by_its_rules(shell: Shell) -> None:
    script = shell.cwd / "once.sh"
    script.write_text('#!/bin/sh\n[ "$TASK_ATTEMPT" -gt 1 ] && exit 0\necho up > "$1"\nsleep 1000\n')
    script.chmod(0o755)
    up = shell.cwd / "up"
    array = shell.launch("--retries", "1", "--retry-on", "lost", "--", str(script), str(up))
    eventually(up.exists)
    shell.kill(shell.engine()["runner_pid"])
    shell("wait", array)
    assert shell.array(array)["counts"]["SUCCEEDED"] == 1


def test_after_a_reboot_the_array_goes_on(shell: Shell) -> None:
    """All processes gone at once: the engine, the runner, and everything that ran."""
    pids = shell.cwd / "pids"
    pids.mkdir()
    script = shell.cwd / "work.sh"
    script.write_text('#!/bin/sh\necho $$ > "$1/$TASK_ARRAY_INDEX-$TASK_ATTEMPT"\n[ -e "$1/go" ] || sleep 1000\n')
    script.chmod(0o755)
    array = shell.launch("--array", "6", "--retries", "1", "--", str(script), str(pids))
    eventually(lambda: sum(1 for _ in pids.iterdir()) == 2)
    engine = shell.engine()
    os.kill(engine["pid"], signal.SIGSTOP)
    for pid in [engine["runner_pid"], *(int(path.read_text()) for path in pids.iterdir()), engine["pid"]]:
        shell.kill(pid)
    (pids / "go").touch()
    shell("wait", array)
    assert shell.array(array)["counts"]["SUCCEEDED"] == 6
    attempts = sorted(member["attempt"] for member in shell.members(array))
    assert attempts == [1, 1, 1, 1, 2, 2]


def test_stopping_the_engine_leaves_what_runs_to_the_next_one(shell: Shell) -> None:
    gate = shell.cwd / "gate"
    array = shell.launch("--array", "2", "--", "/bin/sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done")
    eventually(lambda: shell.counts(array)["RUNNING"] == 2)
    shell("engine", "stop")
    gate.touch()
    shell("wait", array)
    assert [member["attempt"] for member in shell.members(array)] == [1, 1]
