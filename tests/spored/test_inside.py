"""What a script says and asks: `spored complete`, `spored status`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.spored.driver import PROGRAM, Runner
from tests.spored.schema import hold


def test_a_script_says_how_it_went_and_the_exit_code_is_recorded_too(runner: Runner) -> None:
    attempt = runner.sh("spored complete --status failure --message 'no \"luck\" é\t\\ 🙂'; echo $?; exit 9")
    ended = runner.ended(attempt)
    completed = runner.of(attempt)["completed"]
    assert (completed["status"], completed["message"]) == ("failure", 'no "luck" é\t\\ 🙂')
    assert (ended["code"], ended["why"]) == (9, None)
    assert runner.output(attempt) == "0\n"


def test_the_same_again_is_fine_and_something_else_a_conflict(runner: Runner) -> None:
    attempt = runner.sh("for s in success success failure; do spored complete --status=$s; echo $?; done")
    runner.ended(attempt)
    assert runner.output(attempt).splitlines() == ["0", "0", "spored: this attempt has already been completed as success", "5"]
    assert len([event for event in runner.events() if event["e"] == "completed"]) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--status fine", "complete needs --status success or --status failure, not 'fine'"),
        ("", "complete needs --status success or --status failure"),
        ("--status", "--status needs a value"),
        ("--statsu success", "unknown flag '--statsu'; did you mean --status?"),
        ("--status success extra", "complete takes no word 'extra'"),
    ],
)
def test_wrong_words_are_usage_errors(runner: Runner, words: str, text: str) -> None:
    attempt = runner.sh(f"spored complete {words}")
    assert runner.ended(attempt)["code"] == 2
    assert runner.output(attempt) == f"spored: {text}\n"


def test_outside_of_an_attempt_there_is_nothing_to_complete() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPAWN_")}
    done = subprocess.run(
        [sys.executable, "-IS", str(PROGRAM), "complete", "--status", "success"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "spored: complete only works in a script that spawn runs (SPAWN_ATTEMPT_ID is not set)\n"


def test_a_runner_that_is_gone_is_said_to_be_gone(runner: Runner) -> None:
    environment = {"SPAWN_ATTEMPT_ID": "0000000000:0:1", "SPAWN_RUNNER": str(runner.directory)}
    command = [sys.executable, "-IS", str(PROGRAM), "complete", "--status", "success"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (4, "spored: no attempt 0000000000:0:1 runs here\n")
    runner.end()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (6, "spored: the runner of this attempt cannot be reached: No such file or directory\n")


def test_an_ended_attempt_cannot_be_completed(runner: Runner) -> None:
    attempt = runner.sh("true", keep=True)
    runner.ended(attempt)
    answer = runner.ask({"op": "complete", "a": attempt, "status": "success", "message": None})
    assert answer == {"op": "declined", "exit": 5, "message": f"attempt {attempt} has already ended"}
    hold("answer_line", answer)


def test_who_goes_on_after_completing_is_stopped(runner: Runner) -> None:
    attempt = runner.sh("spored complete --status success; exec sleep 300", grace_s=1)
    runner.event(attempt, "completed")
    began = time.monotonic()
    ended = runner.ended(attempt)
    assert (ended["why"], ended["signal"]) == ("completed", 15)
    assert time.monotonic() - began > 8


def test_who_is_kept_may_go_on_after_completing(runner: Runner) -> None:
    attempt = runner.sh("spored complete --status success; exec sleep 300", keep=True)
    runner.event(attempt, "completed")
    assert runner.hello()["running"] == [attempt]


def test_status_tells_who_and_how_long(runner: Runner) -> None:
    key = runner.array(size=9, ttl_s=100, argv=["/bin/sh", "-c", "spored status; spored status -o json"], name="words")
    runner.send({"op": "start", "key": key, "children": [[3, 33, 2]]})
    attempt = f"{key}:3:2"
    runner.ended(attempt)
    lines = runner.output(attempt, index=33).splitlines()
    told = dict(line.split("\t") for line in lines[:-1])
    assert list(told) == ["index", "size", "array", "attempt", "name", "elapsed_s", "ttl_left_s", "deadline"]
    assert (told["index"], told["size"], told["attempt"], told["name"]) == ("33", "9", "2", "words")
    assert 90 < float(told["ttl_left_s"]) <= 100
    assert abs(float(told["deadline"]) - time.time() - 100) < 10
    spoken = json.loads(lines[-1])
    assert spoken.pop("schema_version") == 1
    assert {**spoken, "op": "status"}["index"] == 33
    hold("answer_line", {**spoken, "op": "status"})


def test_status_of_a_single_job_has_no_index(runner: Runner) -> None:
    attempt = runner.sh("spored status | cut -f1; spored status -o yaml; echo $?", is_array=False)
    runner.ended(attempt)
    assert runner.output(attempt).split("\n", 4) == ["array", "attempt", "name", "elapsed_s", "spored: status is printed as tsv or json, not 'yaml'\n2\n"]


def test_it_works_in_a_private_tmp(private_runner: Runner) -> None:
    attempt = private_runner.sh("spored status | head -1; spored complete --status success", private_tmp=True)
    assert private_runner.ended(attempt)["code"] == 0, private_runner.output(attempt)
    assert private_runner.of(attempt)["completed"]["status"] == "success"
