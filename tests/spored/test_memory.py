"""Limits on memory: enforced where cgroups may be made, and told as out of memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spored import cgroups
from tests.spored.driver import Runner, alive
from tests.spored.test_stopping import pid_in

HUNGRY = "x = b'x' * (200 << 20); print(len(x))"


@pytest.fixture
def limited(runner: Runner) -> Runner:
    """A runner that can limit memory."""
    why_not = runner.welcome["features"]["memory_limit"]
    if why_not is not None:
        pytest.skip(why_not)
    return runner


def test_who_takes_too_much_is_killed_and_it_is_said_why(limited: Runner) -> None:
    attempt = limited.one(argv=["python3", "-c", HUNGRY], memory=50, memory_limit=True)
    ended = limited.ended(attempt)
    assert (ended["signal"], ended["why"]) == (9, "oom")
    assert not cgroups.former(str(limited.directory))


def test_a_killed_grandchild_counts_when_the_attempt_fails_by_it(limited: Runner) -> None:
    script = f'python3 -c "{HUNGRY}"; exit $?'
    assert limited.ended(limited.sh(script, memory=50, memory_limit=True, directory=str(limited.files / "fails")))["why"] == "oom"
    survived = limited.ended(limited.sh(f"{script} || exit 0; exit 0".replace("exit $? ||", "true ||"), memory=50, memory_limit=True))
    assert survived["why"] in ("oom", None)
    assert (survived["why"] is None) == (survived["code"] == 0)


def test_who_keeps_to_it_is_not_disturbed(limited: Runner) -> None:
    attempt = limited.sh("echo $0; cat /proc/self/cgroup | grep -c spawn-; exit 3", memory=50, memory_limit=True)
    ended = limited.ended(attempt)
    assert (ended["code"], ended["why"]) == (3, None)
    assert limited.output(attempt).splitlines() == ["/bin/sh", "1"]


def test_a_limit_works_together_with_a_private_tmp(limited: Runner) -> None:
    attempt = limited.one(argv=["python3", "-c", HUNGRY], memory=50, memory_limit=True, private_tmp=True)
    assert limited.ended(attempt)["why"] == "oom"


def test_what_cannot_be_run_is_refused_also_with_a_limit(limited: Runner) -> None:
    attempt = limited.one(argv=["no-such-command"], memory=50, memory_limit=True)
    assert "was not found" in limited.event(attempt, "refused")["reason"]
    assert (
        "does not exist" in limited.event(limited.one(argv=["/no/such"], memory=50, memory_limit=True, directory=str(limited.files / "b")), "refused")["reason"]
    )


def test_a_stop_finds_everyone_in_the_cgroup(limited: Runner, place: Path) -> None:
    file = place / "pid"
    nameless = f"(env -i /bin/sh -c 'echo $$ > \"$0\"; exec setsid /bin/sleep 300' {file} >/dev/null 2>&1 &)"
    attempt = limited.sh(f"{nameless}; sleep 300", memory=50, memory_limit=True)
    pid = pid_in(limited, file)
    limited.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 1})
    limited.ended(attempt)
    assert not alive(pid)


def test_the_next_runner_finds_everyone_in_the_cgroup(limited: Runner, place: Path) -> None:
    file = place / "pid"
    nameless = f"(env -i /bin/sh -c 'echo $$ > \"$0\"; exec setsid /bin/sleep 300' {file} >/dev/null 2>&1 &)"
    attempt = limited.sh(f"{nameless}; sleep 300", memory=50, memory_limit=True)
    pid = pid_in(limited, file)
    limited.kill()
    limited.start()
    assert "lost" in limited.of(attempt)
    assert not alive(pid)
    assert not cgroups.former(str(limited.directory))


def test_without_the_right_to_make_cgroups_it_says_so_and_runs(make_runner: Callable[..., Runner], place: Path) -> None:
    from tests.spored.conftest import as_nobody

    runner = as_nobody(make_runner, place) if os.geteuid() == 0 else make_runner()
    runner.start()
    why_not = runner.welcome["features"]["memory_limit"]
    if why_not is None:
        pytest.skip("this user may make cgroups")
    assert why_not.startswith("this process may not make cgroups that limit memory (")
    assert runner.ended(runner.one(memory=50, memory_limit=True))["code"] == 0
