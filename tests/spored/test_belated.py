"""Ending attempts whose processes come and go while they are being ended: who was there gets SIGTERM once, and an answer to it is left to finish."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spored.driver import PATIENCE, Runner, alive
from tests.spored.test_stopping import pid_in, stop

LONG = 10 * PATIENCE
"""A grace that no test waits for: what is not ended by a SIGTERM does not end in time."""


@pytest.fixture
def belated(make_runner: Callable[..., Runner], place: Path) -> Runner:
    """A runner that signals what it saw before the attempt did one more thing."""
    for name in ("go", "done"):
        os.mkfifo(place / name)
    runner = make_runner()
    runner.program = Path(__file__).with_name("belated.py")
    runner.start()
    return runner


def stop_when_it_waits(runner: Runner, attempt: str) -> None:
    """Stop an attempt that says `ready` before it waits."""
    runner.wait(lambda: "ready" in runner.output(attempt))
    stop(runner, attempt, grace=LONG)


def test_a_process_that_was_forked_during_the_look_gets_its_sigterm(belated: Runner, place: Path) -> None:
    child = f"sh -c 'echo $$ > {place}/pid; echo > {place}/done; exec sleep 300'"
    attempt = belated.sh(f"echo ready; read x < {place}/go; {child}; echo never")
    stop_when_it_waits(belated, attempt)
    assert belated.ended(attempt)["signal"] == signal.SIGTERM
    assert not alive(pid_in(belated, place / "pid"))
    assert "never" not in belated.output(attempt)


def test_so_does_one_whose_parent_waits_for_it_before_it_heeds_its_own(belated: Runner, place: Path) -> None:
    child = f"sh -c 'echo > {place}/done; exec sleep 300'"
    attempt = belated.sh(f"trap 'echo cleaned; exit 7' TERM; echo ready; read x < {place}/go; {child}")
    stop_when_it_waits(belated, attempt)
    assert belated.ended(attempt)["code"] == 7
    assert belated.output(attempt).endswith("cleaned\n")


def test_nobody_gets_a_second_sigterm(belated: Runner, place: Path) -> None:
    """The one forked during the look is asked later; the first process, which has been asked by then, is not asked again."""
    child = f"sh -c 'echo > {place}/done; exec sleep 300'"
    script = f"trap 'echo asked' TERM; echo ready; read x < {place}/go; {child}; read x < {place}/end; exit 3"
    os.mkfifo(place / "end")
    attempt = belated.sh(script)
    stop_when_it_waits(belated, attempt)
    belated.wait(lambda: "asked" in belated.output(attempt))
    look_again(belated, attempt)
    (place / "end").write_text("\n")
    assert belated.ended(attempt)["code"] == 3
    assert belated.output(attempt).count("asked") == 1


def look_again(runner: Runner, attempt: str) -> None:
    """Each further stop makes the runner look; the answer comes after that."""
    for _ in range(5):
        stop(runner, attempt, grace=LONG)
        assert runner.ask({"op": "status", "a": attempt})["op"] == "status"


def test_what_a_script_starts_in_answer_to_sigterm_may_finish(runner: Runner, place: Path) -> None:
    os.mkfifo(place / "hold")
    answer = f'sh -c "echo answering; (read x < {place}/hold; echo copied)"'
    attempt = runner.sh(f"trap '{answer}; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    stop_when_it_waits(runner, attempt)
    runner.wait(lambda: "answering" in runner.output(attempt))
    look_again(runner, attempt)
    (place / "hold").write_text("\n")
    assert runner.ended(attempt)["code"] == 7
    assert runner.output(attempt).endswith("answering\ncopied\n")


def test_what_it_started_so_and_left_behind_ends_with_it(runner: Runner, place: Path) -> None:
    answer = f'sh -c "echo \\$\\$ > {place}/pid; exec sleep 300" & until [ -s {place}/pid ]; do :; done'
    attempt = runner.sh(f"trap '{answer}; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    stop_when_it_waits(runner, attempt)
    assert runner.ended(attempt)["code"] == 7
    assert not alive(pid_in(runner, place / "pid"))
