"""The tutorial's examples, word for word, smaller than printed: their whole size is run by `python -m tests.cloud.full`."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.cloud.account import Account
from tests.cloud.tutorial import FILES, FRAMES, MONITOR, SIMULATIONS, Example

SIZE = 2


def run(user: Account, example: Example, size: int = SIZE) -> str:
    """Launch an example; its array's id."""
    user.prepare(example, size)
    words = example.words(size)
    return user(*words[:1], "-q", "--yes", *words[1:]).out.strip()


def count(user: Account, array: str, state: str | None = None) -> int:
    """What `spawn list --tag array:id=… | wc -l` prints."""
    state_words = f"--state {state}" if state else ""
    line = f"spawn list --tag array:id={array} {state_words} | wc -l"
    return int(subprocess.run(["bash", "-c", line], env=user.shell.environment, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def arrays(user: Account) -> dict[str, str]:
    """One launch of each example, all at the same time."""
    return {name: run(user, example) for name, example in (("simulations", SIMULATIONS), ("files", FILES), ("frames", FRAMES))}


def test_each_of_the_files_is_processed_by_an_instance_of_its_own_that_then_goes(user: Account, arrays: dict[str, str]) -> None:
    array = arrays["files"]
    user.settled(array)
    assert user.status(array)["status"] == "SUCCEEDED"
    made = user.objects("my-data", "output/")
    assert made == {f"output/file-{index:03d}.csv": f"NAME,VALUE\nALPHA,{index}\n".encode() for index in range(SIZE)}
    user.gone(array)
    assert len(user.lives(array)) == SIZE
    assert count(user, array) == SIZE
    for index in range(SIZE):
        assert f"Completed file {index:03d}" in user("logs", f"{array}:{index}").out


def test_frames_are_rendered_on_spot_instances_of_the_image_that_has_blender(user: Account, arrays: dict[str, str]) -> None:
    user.settled(arrays["frames"])
    made = user.objects("my-renders", "output/")
    assert made == {f"output/frame-{index:04d}.png": f"frame {index} of a scene".encode() for index in range(SIZE)}
    lives = user.lives(arrays["frames"])
    assert [(life.type, life.spot) for life in lives] == [("c7i.2xlarge", True)] * SIZE


def test_simulations_report_what_their_seeds_give(user: Account, arrays: dict[str, str]) -> None:
    user.settled(arrays["simulations"])
    made = {json.loads(body)["simulation_id"] for body in user.objects("my-simulations", "results/").values()}
    assert made == set(range(SIZE))


def test_the_monitor_counts_right_to_the_end_and_after_it(user: Account, arrays: dict[str, str]) -> None:
    array = arrays["simulations"]
    (user.shell.cwd / "monitor.sh").write_text(MONITOR)
    user.settled(array)
    user.until(array, lambda member: member["state"] == "terminated")
    lines = []
    with subprocess.Popen(
        ["bash", "monitor.sh", array],
        cwd=user.shell.cwd,
        env=user.shell.environment | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as monitor:
        assert monitor.stdout is not None
        for line in monitor.stdout:
            lines.append(line.strip())
            if line.startswith("Progress"):
                break
        os.killpg(monitor.pid, signal.SIGTERM)
    assert f"Total:      {SIZE}" in lines
    assert f"Terminated: {SIZE}" in lines
    assert lines[-1] == f"Progress: {SIZE} / {SIZE} (100%)"
