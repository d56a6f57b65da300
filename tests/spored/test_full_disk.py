"""No room on the disk: nothing new starts, nothing is forgotten, and it goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spored.journal import Journal
from tests.spored.driver import Runner


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    path = place / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(mounted.stderr)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                written = file.write(b"x" * size)
                size = size if written == size else size // 2
            except OSError:
                size //= 2
    return path


def gated(runner: Runner, script: str) -> tuple[str, Path]:
    """An attempt that waits for a line before it goes on with `script`, and the pipe to write that to."""
    runner.files.mkdir()
    gate = runner.files / "gate"
    os.mkfifo(gate)
    attempt = runner.sh(f"read line < {gate}; {script}", directory=str(runner.files / "gated"))
    runner.event(attempt, "started")
    return attempt, gate


def use_up(runner: Runner) -> list[str]:
    """Start short attempts until the journal finds no room; all their ids."""
    key = runner.array(size=300)
    attempts = runner.begin(key, *range(300))
    runner.wait(lambda: attempts[-1] in runner.hello()["queued"] and "nothing new starts: [Errno 28]" in runner.log(), "a full disk")
    return attempts


def test_the_runner_waits_for_room_and_loses_nothing(small_disk: Path, place: Path) -> None:
    with Runner(small_disk / "runner") as runner:
        runner.files = place / "elsewhere"
        running, gate = gated(runner, "exit 6")
        pid = runner.of(running)["started"]["pid"]
        ballast = fill(small_disk)
        attempts = use_up(runner)
        gate.write_text("go\n")
        runner.wait(lambda: not Path(f"/proc/{pid}").exists(), "the end of the process")
        assert "ended" not in runner.of(running)
        begun = [attempt for attempt in attempts if runner.of(attempt)]
        ballast.unlink()
        assert runner.ended(running)["code"] == 6
        assert all(runner.ended(attempt)["code"] == 0 for attempt in attempts)
        assert [event["a"] for event in runner.events() if event["e"] == "starting"] == [running, *attempts]
        assert len(begun) < len(attempts)


def test_no_room_for_an_attempts_files_is_no_fault_of_the_attempt(small_disk: Path, place: Path) -> None:
    with Runner(place / "runner") as runner:
        ballast = fill(small_disk)
        attempt = runner.one(argv=None, script="#!/bin/sh\n" + "# much text\n" * 1000, directory=str(small_disk / "a"))
        runner.wait(lambda: "nothing new starts" in runner.log())
        assert not runner.of(attempt)
        ballast.unlink()
        assert runner.ended(attempt)["code"] == 0


def test_what_a_script_completes_on_a_full_disk_is_confirmed_only_when_written(small_disk: Path, place: Path) -> None:
    with Runner(small_disk / "runner") as runner:
        runner.files = place / "elsewhere"
        attempt, gate = gated(runner, "spored complete --status success; echo $?")
        ballast = fill(small_disk)
        use_up(runner)
        gate.write_text("go\n")
        said = runner.wait(lambda: runner.output(attempt, "gated"))
        assert said.startswith("spored: the runner of this attempt did not answer within 5 s")
        assert "completed" not in runner.of(attempt)
        ballast.unlink()
        assert runner.event(attempt, "completed")["status"] == "success"
        assert runner.ended(attempt)["code"] == 0


def test_a_write_that_stops_half_way_leaves_no_half_line(small_disk: Path) -> None:
    directory = small_disk / "journal"
    directory.mkdir()
    journal = Journal(str(directory))
    journal.write('{"e":"first"}\n')
    assert journal.flush()
    ballast = fill(small_disk)
    long = '{"e":"' + "x" * 100_000 + '"}\n'
    journal.write(long)
    assert not journal.flush()
    assert journal.trouble is not None
    segment = directory / "000001.jsonl"
    assert segment.read_bytes().endswith(b'{"e":"first"}\n')
    ballast.unlink()
    assert journal.flush()
    assert segment.read_text().endswith(long)
