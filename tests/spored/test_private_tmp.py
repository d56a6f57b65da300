"""A /tmp of its own for each attempt, as root and as an ordinary user."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spored.driver import PATIENCE, Runner, alive


def test_siblings_do_not_see_each_other(private_runner: Runner) -> None:
    runner = private_runner
    script = "echo $TASK_ARRAY_INDEX > /tmp/input.csv; sleep 0.1; cat /tmp/input.csv; ls /tmp; stat -c %a /tmp"
    key = runner.array(size=6, argv=["/bin/sh", "-c", script], private_tmp=True)
    attempts = runner.begin(key, *range(6))
    for position, attempt in enumerate(attempts):
        assert runner.ended(attempt)["code"] == 0
        lines = runner.output(attempt).splitlines()
        assert (lines[0], lines[-1]) == (str(position), "1777")
        assert "input.csv" in lines
    assert not Path("/tmp/input.csv").exists()
    runner.wait(lambda: not list((runner.files / "a/0").glob("*.tmp")), "the removal of the private /tmps")


def test_without_a_working_directory_it_starts_in_its_output_directory_here_too(private_runner: Runner) -> None:
    attempt = private_runner.sh('[ "$PWD" = "$TASK_OUTPUT_DIR" ] && pwd && echo mine > result', private_tmp=True, workdir=None)
    assert private_runner.ended(attempt)["code"] == 0
    output = private_runner.files / "a/0/0-1.out"
    assert private_runner.output(attempt) == f"{output}\n"
    assert (output / "result").read_text() == "mine\n"


def test_it_is_the_same_user_with_no_more_rights(private_runner: Runner) -> None:
    runner = private_runner
    attempt = runner.sh("id -u; grep CapEff /proc/self/status; cat /proc/self/uid_map | tr -s ' '; ls -ld /tmp | cut -d' ' -f3", private_tmp=True)
    runner.ended(attempt)
    user, capabilities, _, owner = runner.output(attempt).splitlines()
    expected = 0 if runner.process is not None and os.stat(f"/proc/{runner.process.pid}").st_uid == 0 else 1
    assert (int(user) != 0) == bool(expected)
    assert owner == ("nobody" if user == "65534" else owner)
    if expected:
        assert int(capabilities.split()[1], 16) == 0


def test_what_is_named_and_needed_stays_visible(private_runner: Runner, place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    runner = private_runner
    neighbour = tmp_path_factory.getbasetemp().parent
    named, work = place / "named", place / "work"
    for directory in (named, work):
        directory.mkdir()
        directory.chmod(0o777)
    (named / "deep").mkdir()
    (named / "deep/file").write_text("seen")
    (place / "single").write_text("one file")
    (place / "hidden").write_text("")
    look = f"cat {named}/deep/file {place}/single; echo; pwd; echo made > here; echo $PWD"
    script = f"{look}; test -d $TASK_OUTPUT_DIR && spored status | head -1; ls {place}; ls /tmp"
    attempt = runner.sh(script, private_tmp=True, workdir=str(work), visible=[str(named), str(named / "deep"), str(place / "single")])
    ended = runner.ended(attempt)
    lines = runner.output(attempt).splitlines()
    assert ended["code"] == 0, lines
    assert lines[:4] == ["seenone file", str(work), str(work), "index\t0"]
    assert {"named", "single", "work"} <= set(lines[4:])
    assert place.name in lines
    assert not {"hidden", neighbour.name} & set(lines)
    assert (work / "here").read_text() == "made\n"
    runner.wait(lambda: not list((runner.files / "a/0").glob("*.tmp")), "the removal of the private /tmp")


def test_tmp_as_working_directory_is_the_private_one(private_runner: Runner) -> None:
    runner = private_runner
    attempt = runner.sh("touch here; pwd; ls /tmp/here; ls /tmp | wc -l", private_tmp=True, workdir="/tmp")
    assert runner.ended(attempt)["code"] == 0
    assert runner.output(attempt).splitlines()[:2] == ["/tmp", "/tmp/here"]
    assert not Path("/tmp/here").exists()


def test_a_hidden_tmpdir_is_not_handed_on(private_runner: Runner, place: Path) -> None:
    runner = private_runner
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(place / "gone"), "TMP": "/var/tmp"}
    attempt = runner.sh('echo "${TMPDIR-none} $TMP"', private_tmp=True, environment=environment)
    runner.ended(attempt)
    assert runner.output(attempt) == "none /var/tmp\n"


def test_a_hidden_program_is_refused_with_the_reason(private_runner: Runner, place: Path) -> None:
    runner = private_runner
    tool = place / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    attempt = runner.one(argv=[str(tool)], private_tmp=True)
    assert "below /tmp, which is private to the attempt" in runner.event(attempt, "refused")["reason"]


def test_stopping_usage_and_exit_codes_are_as_without(private_runner: Runner) -> None:
    runner = private_runner
    runner.hello(cpus=10_000)
    key = runner.array(
        size=4, argv=["/bin/sh", "-c", "case $TASK_ARRAY_INDEX in 0) exit 3;; 1) kill -9 $$;; *) sleep 300;; esac"], private_tmp=True, timeout_s=60
    )
    attempts = runner.begin(key, 0, 1, 2, 3)
    assert runner.ended(attempts[0])["code"] == 3
    assert runner.ended(attempts[1])["signal"] == signal.SIGKILL
    runner.event(attempts[2], "started")
    runner.send({"op": "stop", "attempts": attempts[2:], "why": "stopped", "grace_s": 5})
    for attempt in attempts[2:]:
        ended = runner.ended(attempt)
        assert ended["why"] == "stopped"
    missing = runner.one(argv=["/no/such"], private_tmp=True, directory=str(runner.files / "b"))
    assert runner.event(missing, "refused")["reason"].endswith("/no/such does not exist")


def test_files_of_a_kept_instance_stay_until_the_release(private_runner: Runner) -> None:
    runner = private_runner
    key = runner.array(size=2, argv=["/bin/sh", "-c", "mkdir -p /tmp/a; echo x > /tmp/a/b; chmod 500 /tmp/a"], private_tmp=True, keep=True)
    attempts = runner.begin(key, 0, 1)
    for attempt in attempts:
        runner.ended(attempt)
    tmps = [runner.files / f"a/0/{number}-1.tmp" for number in (0, 1)]
    assert all((tmp / "a/b").exists() for tmp in tmps)
    for attempt, keep_files in zip(attempts, (True, False), strict=True):
        index = int(attempt.split(":")[1])
        runner.send({"op": "release", "key": key, "directory": str(runner.files / "a"), "attempts": [[attempt, index]], "keep_files": keep_files})
    runner.wait(lambda: not tmps[1].exists(), "the removal of the private /tmp")
    assert tmps[0].exists()
    runner.send({"op": "release", "key": key, "directory": str(runner.files / "a"), "attempts": [[attempts[0], 0]], "keep_files": False})
    runner.wait(lambda: not tmps[0].exists(), "the removal of the private /tmp")


def test_many_short_ones(private_runner: Runner) -> None:
    runner = private_runner
    key = runner.array(size=300, private_tmp=True)
    attempts = runner.begin(key, *range(300))
    runner.ended(attempts[-1])
    assert all(runner.of(attempt)["ended"]["code"] == 0 for attempt in attempts[::50])
    runner.wait(lambda: not list((runner.files / "a/0").glob("*.tmp")), "the removal of the private /tmps")


def spawner_of(runner: Runner) -> int | None:
    """The helper process of a runner without the rights of root."""
    assert runner.process is not None
    for pid in Path(f"/proc/{runner.process.pid}/task/{runner.process.pid}/children").read_text().split():
        if Path(f"/proc/{pid}/cmdline").read_bytes() == Path(f"/proc/{runner.process.pid}/cmdline").read_bytes():
            return int(pid)
    return None


def test_when_the_spawner_dies_its_attempts_are_lost_and_the_next_ones_run(private_runner: Runner) -> None:
    runner = private_runner
    attempt = runner.sh("sleep 300", private_tmp=True)
    pid = runner.event(attempt, "started")["pid"]
    spawner = spawner_of(runner)
    if spawner is None:
        runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 1})
        return
    os.kill(spawner, signal.SIGKILL)
    runner.event(attempt, "lost")
    assert not alive(pid)
    runner.ended(runner.sh("true", private_tmp=True, directory=str(runner.files / "b")))
    assert spawner_of(runner) not in (None, spawner)


def test_when_the_runner_dies_the_spawner_ends_with_all_it_made(private_runner: Runner) -> None:
    runner = private_runner
    attempt = runner.sh("sleep 300", private_tmp=True)
    pid = runner.event(attempt, "started")["pid"]
    spawner = spawner_of(runner)
    runner.kill()
    if spawner is not None:
        _until(lambda: not alive(spawner) and not alive(pid))
    runner.start()
    assert "lost" in runner.of(attempt)
    assert not alive(pid)


def _until(condition: Callable[[], bool]) -> None:
    import select
    import time

    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        select.select([], [], [], 0.01)


def test_a_namespace_serves_again_only_as_it_was_made(runner: Runner) -> None:
    if os.geteuid() != 0 or runner.welcome["features"]["private_tmp"] is not None:
        pytest.skip("needs root, to mount within an attempt")
    runner.hello(cpus=1000)
    script = "readlink /proc/self/ns/mnt; ls /mnt; [ $TASK_ARRAY_INDEX != 3 ] || { mount -t tmpfs none /mnt && touch /mnt/stale; }"
    key = runner.array(size=8, argv=["/bin/sh", "-c", script], private_tmp=True)
    attempts = runner.begin(key, *range(8))
    assert runner.ended(attempts[-1])["code"] == 0
    spaces = [runner.output(attempt).split()[0] for attempt in attempts]
    assert spaces[1] == spaces[2] == spaces[3]
    assert all("stale" not in runner.output(attempt) for attempt in attempts)
    assert not Path("/mnt/stale").exists()


def test_nothing_is_held_on_to_when_an_array_is_done(private_runner: Runner) -> None:
    runner = private_runner
    key = runner.array(size=20, private_tmp=True)
    attempts = runner.begin(key, *range(10))
    runner.ended(attempts[-1])
    assert runner.process is not None
    process = spawner_of(runner) or runner.process.pid

    def held() -> int:
        return sum(os.readlink(entry).startswith("mnt:") for entry in Path(f"/proc/{process}/fd").iterdir())

    runner.wait(lambda: held() == 1, "the namespaces to go")
    attempts = runner.begin(key, *range(10, 20))
    assert runner.ended(attempts[-1])["code"] == 0
