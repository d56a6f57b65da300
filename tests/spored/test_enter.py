"""`spored enter`: the place where an attempt runs, for someone who wants to look."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.spored.driver import Runner
from tests.spored.schema import hold


def enter(runner: Runner, session: object, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `spored enter` as the user of the runner."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        file.write(session if isinstance(session, str) else json.dumps(session))
    user = {name: runner.options[name] for name in ("user", "group", "extra_groups") if name in runner.options}
    words = ["--", *command] if command else []
    try:
        return subprocess.run(
            [runner.python, "-IS", str(runner.program), "enter", "--session-fd", str(read), *words],
            pass_fds=[read],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={"PATH": "/usr/bin:/bin", **environment},
            **user,
        )
    finally:
        os.close(read)


@pytest.fixture
def inside(private_runner: Runner) -> tuple[Runner, dict[str, Any]]:
    """A running attempt with something in its private /tmp, and the session to enter it."""
    runner = private_runner
    key = runner.array(size=9, argv=["/bin/sh", "-c", "echo Result: 6 > /tmp/result-3.txt; echo ready; sleep 300"], private_tmp=True, workdir="/usr")
    runner.send({"op": "start", "key": key, "children": [[3, 3, 1]]})
    runner.wait(lambda: "ready" in runner.output(f"{key}:3:1"))
    spec = runner.spec(size=9, private_tmp=True, workdir="/usr", argv=["x"])
    session = {"spec": spec, "position": 3, "index": 3, "attempt": 1, "key": key, "runner": str(runner.directory)}
    hold("session", session)
    return runner, session


def test_the_same_environment_directory_and_tmp(inside: tuple[Runner, dict[str, Any]]) -> None:
    runner, session = inside
    done = enter(runner, session, "sh", "-c", "echo $TASK_ARRAY_INDEX; cat /tmp/result-$TASK_ARRAY_INDEX.txt; pwd; spored status | head -1; id -u")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["3", "Result: 6", "/usr", "index\t3", str(runner.options.get("user", os.geteuid()))]


def test_without_a_working_directory_it_is_the_output_directory_of_the_attempt(runner: Runner) -> None:
    key = runner.array(argv=["/bin/sh", "-c", "echo ready; sleep 300"], workdir=None)
    attempt = runner.begin(key, 0, compute_environment="spot")[0]
    runner.wait(lambda: "ready" in runner.output(attempt))
    spec = runner.spec(workdir=None, argv=["x"])
    session = {"spec": spec, "position": 0, "index": 0, "attempt": 1, "key": key, "runner": str(runner.directory), "compute_environment": "spot"}
    hold("session", session)
    done = enter(runner, session, "sh", "-c", 'pwd; echo "$PWD $AWS_BATCH_CE_NAME"')
    output = runner.files / "a/0/0-1.out"
    assert done.stdout == f"{output}\n{output} spot\n"


def test_the_exit_code_is_that_of_the_command(inside: tuple[Runner, dict[str, Any]]) -> None:
    runner, session = inside
    assert enter(runner, session, "sh", "-c", "exit 42").returncode == 42
    assert enter(runner, session, "sh", "-c", "kill -TERM $$").returncode == -15


def test_commands_that_are_not_there_or_may_not_be_run(inside: tuple[Runner, dict[str, Any]], place: Path) -> None:
    runner, session = inside
    done = enter(runner, session, "no-such-command")
    assert (done.returncode, done.stderr) == (127, "spored: no-such-command was not found in the PATH of the job\n")
    assert enter(runner, session, "/no/such").returncode == 127
    assert enter(runner, session, "/etc/passwd").returncode == 126


def test_without_a_command_it_is_a_shell(inside: tuple[Runner, dict[str, Any]], place: Path) -> None:
    runner, session = inside
    shell = place / "shell"
    shell.write_text('#!/bin/sh\necho "shell $* $TERM"\n')
    shell.chmod(0o755)
    session["spec"]["environment"]["SHELL"] = str(shell)
    session["spec"]["visible"] = [str(shell)]
    assert enter(runner, session, TERM="vt52").stdout == "shell -i vt52\n"
    session["spec"]["environment"]["SHELL"] = "/no/shell"
    assert enter(runner, session).returncode == 0


def test_what_is_run_there_ends_with_the_attempt(inside: tuple[Runner, dict[str, Any]]) -> None:
    runner, session = inside
    attempt = f"{session['key']}:3:1"
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        json.dump(session, file)
    user = {name: runner.options[name] for name in ("user", "group", "extra_groups") if name in runner.options}
    command = [runner.python, "-IS", str(runner.program), "enter", "--session-fd", str(read), "--", "sh", "-c", "trap '' TERM; echo in; sleep 300"]
    with subprocess.Popen(command, pass_fds=[read], stdout=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin"}, **user) as visitor:
        os.close(read)
        assert visitor.stdout is not None
        assert visitor.stdout.readline() == "in\n"
        runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 0.3})
        runner.event(attempt, "ended")
        assert visitor.wait(20) == -9


def test_an_attempt_without_a_private_tmp_is_entered_as_it_is(runner: Runner) -> None:
    session = {"spec": runner.spec(workdir="/etc", private_tmp=True, is_array=False), "position": 0, "index": None, "attempt": 1}
    done = enter(runner, session, "sh", "-c", "pwd; test -d /tmp && echo ${TASK_ARRAY_INDEX-none}")
    assert done.stdout.splitlines() == ["/etc", "none"]


@pytest.mark.parametrize(
    ("session", "text"),
    [("{", "is not JSON"), ("[]", "the session must be a JSON object"), ("{}", "the session is not understood: spec must be an object, not None")],
)
def test_a_wrong_session_is_a_usage_error(runner: Runner, session: str, text: str) -> None:
    done = enter(runner, session, "true")
    assert done.returncode == 2
    assert text in done.stderr
