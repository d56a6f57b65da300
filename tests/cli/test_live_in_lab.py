"""Verbs that follow an array on EC2 until its end, and look through regions, on a laboratory whose machines are acted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from running import Result, Run, command

from spawn.machine import SystemClock
from spawn.testing.ec2lab.boot.acted import ActedMachines
from spawn.testing.ec2lab.boot.acts import Act, ActPlan, Life
from spawn.testing.ec2lab.lab import Lab

SOURCE = str(Path(__file__).parents[2] / "src")


def _act(index: int, _attempt: int, _random: Random) -> Act:
    return Act(duration_s=0.5, code=index, log=f"said by {index}\n".encode())


def _life(_nth: int, _random: Random) -> Life:
    return Life(running_s=0.1, ready_s=0.2)


@pytest.fixture
def in_lab(tmp_path: Path) -> Iterator[Run]:
    """Run `spawn` with the access of an account of its own, and an engine that looks there often."""
    acts = ActPlan(attempt=_act, machine=_life, end_s=0.2, shutdown_s=0.5)
    with Lab(machines=lambda hypervisor: ActedMachines(hypervisor, plan=acts, clock=SystemClock()), directory=tmp_path / "lab") as lab:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START")}
        own = {
            "HOME": str(tmp_path),
            "SPAWN_STATE_DIR": str(tmp_path / "state"),
            "PYTHONPATH": SOURCE,
            "SPAWN_PROVIDER": "ec2",
            "SPAWN_ENGINE_EC2_POLL": "1s",
        }

        def run(*words: str, **variables: str) -> Result:
            done = subprocess.run(command(*words), capture_output=True, text=True, env=kept | own | lab.environment() | variables, cwd=tmp_path, timeout=60)
            return Result(done.returncode, done.stdout, done.stderr)

        yield run
        assert run("engine", "stop", "--terminate", "--yes").code == 0
        assert not [life for life in lab.lives() if life.ended_at is None]


def test_an_array_is_followed_to_its_end_and_nothing_is_left_of_it(in_lab: Run) -> None:
    launched = in_lab("launch", "--array", "2", "--ttl", "10m", "--on-complete", "terminate", "--name", "two", "--", "x")
    assert launched.code == 0, launched.err
    with ThreadPoolExecutor(1) as other:
        watching = other.submit(in_lab, "watch", "two")
        followed = in_lab("logs", "two-0", "-f")
        watched = watching.result()
    assert (followed.code, followed.out) == (0, "said by 0\n"), followed.err
    assert watched.code == 7, watched.err
    first, *_, last = (line.split("\t") for line in watched.out.splitlines())
    assert (first[:3], last[:6]) == ([launched.out.strip(), "two", "PENDING"], [launched.out.strip(), "two", "FAILED", "2", "1", "1"])
    cleaned = in_lab("cleanup", "--region", "us-east-1", "--region", "us-west-2", "--dry-run")
    assert cleaned.code == 0, cleaned.err
    assert "us-east-1" in cleaned.err
    assert "us-west-2" in cleaned.err
    assert "eu-west-1" not in cleaned.err
