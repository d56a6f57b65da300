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


ODD = {"x.y": "z", "a-b": "1", "Ümläut": "ä", "1st": "", "BASH_FUNC_f%%": "() { :; }"}


@pytest.mark.parametrize("private_tmp", [False, True])
@pytest.mark.parametrize("memory_limit", [False, True])
def test_variables_arrive_that_no_shell_could_write(limited: Runner, memory_limit: bool, private_tmp: bool) -> None:
    plain = {"PATH": "/usr/bin:/bin", "LINES": "one\ntwo"}
    asked = {"memory": 50, "memory_limit": memory_limit, "private_tmp": private_tmp, "workdir": None}
    attempt = limited.one(argv=["env", "-0"], environment={**plain, **ODD}, **asked)
    assert limited.ended(attempt)["code"] == 0
    found = dict(line.split("=", 1) for line in limited.output(attempt).split("\0")[:-1])
    assert {name: found.get(name) for name in ODD} == ODD
    assert found["LINES"] == "one\ntwo"
    assert found["TASK_ARRAY_INDEX"] == "0"


def test_who_has_such_variables_is_limited_and_ended_as_any_other(limited: Runner, place: Path) -> None:
    asked: dict[str, object] = {"memory": 50, "memory_limit": True, "environment": {"PATH": "/usr/bin:/bin", **ODD}}
    assert limited.ended(limited.one(argv=["python3", "-c", HUNGRY], **asked))["why"] == "oom"
    signals = limited.sh("grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; pwd; ls -l /proc/self/fd/0", **asked, umask=0o027)
    assert limited.ended(signals)["code"] == 0
    *masks, umask, cwd, stdin = limited.output(signals).splitlines()
    # posix_spawn of the C library leaves its own two signals, 32 and 33, ignored
    assert [int(mask.split()[1], 16) & ~0x180000000 for mask in masks] == [0, 0]
    assert (umask, cwd, stdin.split("-> ")[1]) == ("0027", "/", "/dev/null")
    attempt = limited.sh(f"echo $$ > {place}/pid; exec sleep 1000", **asked)
    pid = pid_in(limited, place / "pid")
    limited.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 5})
    assert (limited.ended(attempt)["signal"], alive(pid)) == (15, False)


def test_why_a_command_with_such_variables_cannot_be_run_is_said(limited: Runner) -> None:
    asked: dict[str, object] = {"memory": 50, "memory_limit": True, "environment": {"PATH": "/usr/bin:/bin", **ODD}}
    refused = limited.event(limited.one(argv=["/etc/passwd"], **asked), "refused")
    assert refused["reason"].endswith("/etc/passwd is not executable (chmod +x makes it so)")
    assert not cgroups.former(str(limited.directory))


def test_a_cgroup_serves_the_next_attempt_unless_someone_was_killed_in_it(limited: Runner) -> None:
    group = "cat /proc/self/cgroup | grep -m1 -o 'spawn-[^/]*/.*'"
    for number in range(3):
        fine = limited.sh(f"{group}; true", memory=50, memory_limit=True, directory=str(limited.files / f"fine{number}"))
        assert limited.ended(fine)["why"] is None
        assert limited.output(fine, f"fine{number}").strip().endswith(fine), "in a cgroup of its own name"
        hungry = limited.one(argv=["python3", "-c", HUNGRY], memory=50, memory_limit=True, directory=str(limited.files / f"hungry{number}"))
        assert limited.ended(hungry)["why"] == "oom"
        failed = limited.sh("kill -9 $$", memory=50, memory_limit=True, directory=str(limited.files / f"failed{number}"))
        assert limited.ended(failed)["why"] is None, "not blamed for the kill before it"


def test_what_a_killed_runner_kept_for_later_is_no_obstacle(limited: Runner) -> None:
    def ends(name: str) -> object:
        return limited.ended(limited.sh("true", memory=50, memory_limit=True, directory=str(limited.files / name)))["code"]

    assert ends("before") == 0
    limited.kill()
    limited.start()
    assert [ends("after"), ends("again")] == [0, 0]
    assert not cgroups.former(str(limited.directory))


def test_a_kept_cgroup_that_somebody_removed_is_made_anew(limited: Runner) -> None:
    def ends(name: str) -> object:
        return limited.ended(limited.sh("true", memory=50, memory_limit=True, directory=str(limited.files / name)))["code"]

    assert ends("before") == 0
    base = Path((limited.directory / cgroups.NOTE).read_text())
    for spare in base.glob("spare-*"):
        spare.rmdir()
    assert [ends("after"), ends("again")] == [0, 0]
