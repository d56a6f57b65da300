"""`wait`, `watch` and `launch --wait`: how they end, and that leaving leaves the array running."""

from __future__ import annotations

import json
import signal
import subprocess
import threading

import pytest
from canned import array, failure
from fake_engine import FakeEngine, refuse
from running import Run, command

ID = "array-20260127-100000"
RUNNING = array()
SUCCEEDED = array(status="SUCCEEDED", counts={"SUCCEEDED": 5}, stopped_at="2026-01-27T10:00:05Z")
FAILED = array(status="FAILED", counts={"SUCCEEDED": 3, "FAILED": 2}, stopped_at="2026-01-27T10:00:05Z")
CANCELLED = FAILED | {"cancelled": 2}


@pytest.mark.parametrize(("settled", "code"), [(SUCCEEDED, 0), (FAILED, 7), (CANCELLED, 8)])
def test_the_exit_code_says_how_it_went(fake: FakeEngine, spawn: Run, settled: dict[str, object], code: int) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [RUNNING, settled]
    fake.failures = [failure(2, "3-4")]
    result = spawn("wait", "last")
    assert result.code == code
    assert result.out.startswith(f"{ID}\tmy-array\t{settled['status']}\t5\t")
    assert len(result.lines) == 1
    assert ("2 × exit code 1  indexes 3-4" in result.err) == (code != 0)


def test_an_array_that_has_settled_before_is_not_waited_for(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [SUCCEEDED]
    assert spawn("wait").code == 0
    assert not fake.bodies("/settled")


def test_of_several_arrays_one_failure_is_enough(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [SUCCEEDED, FAILED | {"array_id": "array-2", "name": "second"}]
    result = spawn("wait", "my-array", "second", "-q")
    assert (result.code, result.lines) == (7, [ID, "array-2"])


def test_out_of_time_is_124_and_says_that_it_goes_on(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [RUNNING]
    result = spawn("wait", "last", "--timeout", "1s")
    assert result.code == 124
    assert result.err == f"Not settled after 1s, and going on; `spawn wait {ID}` waits again\n"
    assert result.lines[0].split("\t")[2] == "PENDING"


@pytest.mark.parametrize("verb", [["wait", "last"], ["watch", "last"], ["launch", "--array", "5", "--wait", "--", "true"]])
def test_ctrl_c_detaches_and_says_how_to_come_back(fake: FakeEngine, environment: dict[str, str], verb: list[str]) -> None:
    fake.arrays = [RUNNING]
    started = threading.Event()
    processes: list[subprocess.Popen[str]] = []

    def interrupt() -> None:
        started.wait(30)
        processes[0].send_signal(signal.SIGINT)

    fake.on_settled = interrupt
    processes.append(subprocess.Popen(command(*verb), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment))
    started.set()
    _, err = processes[0].communicate(timeout=60)
    assert processes[0].returncode == 130
    assert f"Detached; {ID} goes on. Come back with `spawn watch {ID}` or `spawn wait {ID}`." in err
    assert not any(path.endswith(("cancel", "terminate")) for _, path, _ in fake.asked)


def test_an_engine_that_is_stopped_meanwhile_ends_the_wait_with_6(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [refuse(503, "unavailable", "the engine is stopping")]
    result = spawn("wait", "last")
    assert (result.code, result.err) == (6, "error: the engine is stopping\n")


@pytest.mark.parametrize("verb", ["wait", "watch"])
def test_an_engine_that_is_gone_is_explained_and_not_brought_back(fake: FakeEngine, spawn: Run, verb: str) -> None:
    fake.arrays = [RUNNING]
    fake.on_settled = fake.close
    result = spawn(verb, "last")
    assert result.code == 6
    assert result.err == f"error: the engine was stopped; what runs of {ID} goes on, and `spawn wait {ID}` starts the engine and waits on\n"
    assert not list(fake.state_dir.iterdir())


def test_watch_in_a_pipe_prints_a_line_for_every_change(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [RUNNING, array(counts={"RUNNING": 4, "SUCCEEDED": 1}), SUCCEEDED]
    result = spawn("watch", "last")
    assert result.code == 0
    assert [line.split("\t")[4] for line in result.lines] == ["0", "1", "5"]


@pytest.mark.parametrize(("provider", "seconds"), [("local", "0.5"), ("ec2", "3.0")])
def test_watch_looks_at_an_array_on_ec2_less_often(fake: FakeEngine, spawn: Run, provider: str, seconds: str) -> None:
    fake.arrays = [array(provider=provider, counts={"RUNNING": 5})]
    fake.settling = [SUCCEEDED]
    spawn("watch", "last")
    assert [target.partition("?")[2] for _, target, _ in fake.asked if "/settled" in target] == [f"timeout_s={seconds}"]


def test_watch_in_json_is_an_object_for_every_change(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [SUCCEEDED]
    lines = spawn("watch", "-o", "jsonl").lines
    assert [json.loads(line)["status"] for line in lines] == ["PENDING", "SUCCEEDED"]


def test_watch_on_a_terminal_ends_with_the_failures_and_what_to_do(fake: FakeEngine, on_terminal: Run) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [FAILED]
    fake.failures = [failure(2, "3-4")]
    result = on_terminal("watch")
    assert result.code == 7
    assert "0/5 (0%)  5 running" in result.out
    assert "Ctrl-C leaves it running" in result.out
    assert "5/5 (100%)  2 failed" in result.out
    assert "2 × exit code 1  indexes 3-4" in result.out
    assert f"Retry: spawn retry {ID} @failed" in result.out


def test_wait_on_a_terminal_shows_progress(fake: FakeEngine, on_terminal: Run) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [SUCCEEDED]
    result = on_terminal("wait")
    assert result.code == 0
    assert "my-array  [░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░] 0/5 (0%)  5 running" in result.out
    assert "Took 4s" in result.out


def test_a_dumb_terminal_is_not_drawn_over(fake: FakeEngine, on_terminal: Run) -> None:
    fake.arrays = [RUNNING]
    fake.settling = [SUCCEEDED]
    assert "\x1b" not in on_terminal("watch", raw=True, TERM="dumb").out
