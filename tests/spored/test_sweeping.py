"""Leftovers where the kernel does not tell a process's children: found by looking at everyone, a moment later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spored.driver import Runner, alive
from tests.spored.test_stopping import DAEMON, NAMELESS, stop


@pytest.fixture
def blind(make_runner: Callable[..., Runner]) -> Runner:
    """A runner on such a kernel."""
    made = make_runner()
    made.program = Path(__file__).with_name("blind.py")
    made.start()
    return made


def test_what_stayed_in_the_process_group_ends_before_the_end_is_told(blind: Runner, place: Path) -> None:
    file = place / "pid"
    blind.ended(blind.sh(f"sh -c 'echo $$ > {file}; exec sleep 300' & until [ -s {file} ]; do sleep 0.01; done"))
    assert not alive(int(file.read_text()))


def test_what_detached_itself_is_swept_up(blind: Runner, place: Path) -> None:
    other = blind.sh("sleep 300", directory=str(blind.files / "other"))
    blind.event(other, "started")
    files = [place / name for name in ("daemon", "nameless")]
    wait = "; ".join(f"until [ -s {file} ]; do sleep 0.01; done" for file in files)
    blind.ended(blind.sh(f"{DAEMON.format(file=files[0])}; {NAMELESS.format(file=files[1])}; {wait}"))
    for file in files:
        blind.wait(lambda file=file: not alive(int(file.read_text())), "the end of the leftover")
    stop(blind, other)
    blind.ended(other)


def test_a_stop_finds_all_of_an_attempt_and_a_shutdown_leaves_nothing(blind: Runner, place: Path) -> None:
    first, second = place / "first", place / "second"
    attempt = blind.sh(f"{DAEMON.format(file=first)}; sleep 300")
    blind.wait(lambda: first.exists() and first.read_text())
    stop(blind, attempt)
    blind.ended(attempt)
    assert not alive(int(first.read_text()))
    kept = blind.sh(f"{DAEMON.format(file=second)}; until [ -s {second} ]; do sleep 0.01; done", keep=True, directory=str(blind.files / "kept"))
    blind.ended(kept)
    pid = int(second.read_text())
    assert alive(pid)
    blind.send({"op": "shutdown", "grace_s": 5})
    assert blind.process is not None
    assert blind.process.wait(20) == 0
    assert not alive(pid)


def test_short_attempts_do_not_cost_a_look_each(blind: Runner) -> None:
    key = blind.array(size=400)
    blind.begin(key, *range(400))
    blind.ended(f"{key}:399:1")
    assert blind.process is not None
    ticks = sum(map(int, Path(f"/proc/{blind.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    assert ticks < 200  # a look at everyone takes about 3 ms, 400 of them 120 ticks alone
