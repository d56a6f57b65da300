"""kill -9 of the runner at any moment: what ran is ended and told as lost, and nothing starts twice."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spored.driver import Runner, alive, end_process
from tests.spored.test_stopping import DAEMON, NAMELESS, STUBBORN, pid_in


def test_what_ran_is_killed_and_lost(runner: Runner, place: Path) -> None:
    files = [place / name for name in ("daemon", "nameless")]
    attempt = runner.sh(f"{DAEMON.format(file=files[0])}; {NAMELESS.format(file=files[1])}; {STUBBORN}")
    pids = [runner.event(attempt, "started")["pid"], *(pid_in(runner, file) for file in files)]
    runner.kill()
    assert all(alive(pid) for pid in pids)
    runner.start()
    assert "lost" in runner.of(attempt)
    assert not [pid for pid in pids if alive(pid)]
    assert runner.welcome["running"] == []
    runner.begin(runner.array(attempt[:10]), 0)
    runner.ended(runner.begin(attempt[:10], 0, attempt=2)[0])
    assert Counter(event["a"] for event in runner.events() if event["e"] == "starting")[attempt] == 1


def test_the_journal_keeps_its_identity_and_names_every_runner(runner: Runner) -> None:
    identity = runner.welcome["journal"]
    runner.ended(runner.one())
    runner.kill()
    runner.start()
    assert runner.welcome["journal"] == identity
    events = list(runner.events())
    assert [event["id"] for event in events if event["e"] == "journal"] == [identity]
    assert len({event["pid"] for event in events if event["e"] == "runner"}) == 2


def test_a_torn_line_is_cut_off(runner: Runner) -> None:
    attempt = runner.one()
    runner.ended(attempt)
    runner.kill()
    segment = runner.directory / "journal" / "000001.jsonl"
    with segment.open("ab") as file:
        file.write(b'{"e":"starting","a":"00000')
    runner.start()
    lines = segment.read_bytes().splitlines(keepends=True)
    assert all(json.loads(line) and line.endswith(b"\n") for line in lines)


def test_a_line_that_cannot_be_read_costs_no_other(runner: Runner) -> None:
    attempt = runner.one()
    runner.ended(attempt)
    runner.kill()
    segment = runner.directory / "journal" / "000001.jsonl"
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'{"e":"journal"', b'{"e":"jour\x00al"', 1) + b"\xff\xfe\n")
    runner.start()
    runner.begin(runner.array(attempt[:10]), 0)
    assert runner.hello()["queued"] == []
    segment.write_bytes(data)  # so that all lines fit the schema again


def test_two_state_directories_never_touch_each_other(runner: Runner, make_runner: Callable[..., Runner]) -> None:
    other = make_runner("other")
    other.start()
    mine = runner.sh("sleep 300")
    theirs = other.sh("sleep 300")
    pid = other.event(theirs, "started")["pid"]
    runner.event(mine, "started")
    runner.kill()
    runner.start()
    assert "lost" in runner.of(mine)
    assert alive(pid)
    assert not other.of(theirs).get("ended")


def test_a_pid_that_was_given_to_a_stranger_is_spared(runner: Runner) -> None:
    attempt = runner.sh("sleep 300")
    pid = runner.event(attempt, "started")["pid"]
    runner.kill()
    end_process(pid)
    stranger = os.posix_spawn("/bin/sleep", ["sleep", "300"], {}, setsid=True)
    try:
        segment = runner.directory / "journal" / "000001.jsonl"
        events = [json.loads(line) for line in segment.read_text().splitlines()]
        for event in events:
            event["t"] -= 60
            event["pid"] = stranger if event.get("a") == attempt else pid
        segment.write_text(
            "".join(json.dumps({name: event[name] for name in event if name != "pid" or event["e"] in ("runner", "started")}) + "\n" for event in events)
        )
        runner.start()
        assert "lost" in runner.of(attempt)
        assert alive(stranger)
    finally:
        end_process(stranger)
        os.waitpid(stranger, 0)


def test_kept_instances_outlive_the_runner_and_can_still_be_released(runner: Runner, place: Path) -> None:
    file = runner.files / "pid"
    runner.files.mkdir()
    script = f"{DAEMON.format(file=file)}; until [ -s {file} ]; do sleep 0.01; done; echo x > /tmp/x"
    attempt = runner.sh(script, keep=True, private_tmp=True, visible=[str(runner.files)])
    runner.ended(attempt)
    pid = int(file.read_text())
    runner.kill()
    runner.start()
    runner.ended(runner.one(directory=str(runner.files / "b")))
    assert alive(pid)
    runner.send({"op": "release", "key": attempt[:10], "directory": str(runner.files / "a"), "attempts": [[attempt, 0]], "keep_files": False})
    runner.wait(lambda: not alive(pid), "the end of the leftover")
    runner.wait(lambda: not (runner.files / "a/0/0-1.tmp").exists(), "the removal of the private /tmp")


def test_the_private_tmp_of_a_lost_attempt_goes(runner: Runner) -> None:
    attempt = runner.sh("echo x > /tmp/x; echo ready; sleep 300", private_tmp=True)
    runner.wait(lambda: "ready" in runner.output(attempt))
    if runner.welcome["features"]["private_tmp"] is not None:
        pytest.skip(runner.welcome["features"]["private_tmp"])
    assert (runner.files / "a/0/0-1.tmp/x").exists()
    runner.kill()
    runner.start()
    runner.wait(lambda: not (runner.files / "a/0/0-1.tmp").exists(), "the removal of the private /tmp")


def test_one_runner_a_directory(runner: Runner, make_runner: Callable[..., Runner]) -> None:
    second = make_runner("runner", stderr=-1)
    second.start(hello=False)
    assert second.process is not None
    assert runner.process is not None
    _, error = second.process.communicate(timeout=20)
    assert second.process.returncode == 5
    assert error.decode() == f"spored: another runner (pid {runner.process.pid}) works in {runner.directory}\n"
    runner.ended(runner.one())


def test_twenty_kills_at_random_moments_start_nothing_twice(make_runner: Callable[..., Runner], place: Path) -> None:
    runner = make_runner()
    runner.start()
    chance = random.Random(20)
    size, ran = 600, place / "ran"
    key = runner.array(size=size, argv=["/bin/sh", "-c", f'echo x >> "{ran}-$TASK_ARRAY_INDEX"'])
    runner.begin(key, *range(size))
    for _ in range(20):
        select.select([], [], [], chance.uniform(0.005, 0.08))
        runner.kill()
        runner.start()
        runner.array(key, size=size, argv=["/bin/sh", "-c", f'echo x >> "{ran}-$TASK_ARRAY_INDEX"'])
        runner.begin(key, *range(size))
    for position in range(size):
        runner.wait(lambda position=position: {"ended", "lost"} & set(runner.of(f"{key}:{position}:1")))
    outcomes: dict[int, list[str]] = {}
    for event in runner.events():
        if event["e"] in ("ended", "lost"):
            outcomes.setdefault(int(event["a"].split(":")[1]), []).append(event["e"])
    times = {
        position: len(place.joinpath(f"ran-{position}").read_text().split()) if place.joinpath(f"ran-{position}").exists() else 0 for position in range(size)
    }
    assert len(outcomes) == size
    assert all(len(kinds) == 1 for kinds in outcomes.values())
    assert all(times[position] == 1 for position, kinds in outcomes.items() if kinds == ["ended"])
    assert all(times[position] <= 1 for position in range(size))
    assert sum(kinds == ["lost"] for kinds in outcomes.values()) <= 20 * 2


def test_a_runner_started_within_an_attempt_is_no_part_of_it(runner: Runner, make_runner: Callable[..., Runner]) -> None:
    outer = runner.sh("sleep 300")
    pid = runner.event(outer, "started")["pid"]
    marks = dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if entry.startswith("SPAWN_"))
    inner = make_runner("inner", env={**os.environ, **marks})
    inner.start()
    attempt = inner.sh("env; sleep 300")
    inner.wait(lambda: "SPAWN_RUNNER" in inner.output(attempt))
    assert "SPAWN_DETACHED" not in inner.output(attempt)
    runner.send({"op": "stop", "attempts": [outer], "why": "stopped", "grace_s": 1})
    runner.ended(outer)
    assert inner.hello()["running"] == [attempt]


def test_a_runner_whose_directory_is_gone_ends(make_runner: Callable[..., Runner]) -> None:
    runner = make_runner()
    runner.idle_exit = 0.4
    runner.start()
    assert runner.process is not None
    shutil.rmtree(runner.directory)
    assert runner.process.wait(20) == 0
