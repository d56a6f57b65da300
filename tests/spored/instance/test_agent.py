"""Whole lives of an agent, as a process of its own: what it leaves in the bucket, and how it ends the machine."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.spored.instance.cloud import Cloud
from tests.spored.instance.machine import ARRAY, KEY, PREFIX, Instance, wait


def test_an_attempt_is_claimed_run_recorded_and_then_the_machine_ends(instance: Instance, cloud: Cloud) -> None:
    instance.launch('echo "$TASK_ARRAY_INDEX of $TASK_ARRAY_SIZE $GREETING"; echo data > $TASK_OUTPUT_DIR/result.txt')
    instance.start()
    instance.ended()
    outcome = instance.outcome()
    assert outcome == {
        **outcome,
        "wire": 1,
        "attempt": f"{KEY}:0:1",
        "index": 0,
        "array": ARRAY,
        "instance_id": "i-1",
        "end": "ended",
        "code": 0,
        "signal": None,
        "why": None,
        "reason": None,
        "completed": None,
        "log_bytes": 13,
        "outputs": 1,
        "outputs_failed": [],
        "truncated": False,
    }
    assert outcome["started_at"] <= outcome["ended_at"]
    assert instance.output() == "0 of 1 hello\n"
    assert cloud.objects[f"{PREFIX}0/1/output/result.txt"] == b"data\n"
    assert cloud.json(f"{PREFIX}0/1/claim.json")["instance_id"] == "i-1"
    assert cloud.json(f"{PREFIX}0/1/started.json")["attempt"] == f"{KEY}:0:1"
    keys = [key.removeprefix(PREFIX) for key in cloud.order if "instances/" not in key]
    assert keys[0] == "0/1/claim.json"
    assert keys.index("0/1/output/result.txt") < keys.index("0/1/outcome.json") < keys.index("news/0-1-ended")
    assert {"news/0-1-claimed", "news/0-1-started"} < set(keys)
    assert instance.shutdowns()[-1] == "-h now"
    said = cloud.json(f"{PREFIX}instances/i-1.json")
    assert (said["ending"], said["running"], said["unsent"], said["token"]) == ("all its attempts have ended", [], None, "token")


def test_a_failure_keeps_its_exit_code_and_its_log(instance: Instance) -> None:
    instance.launch("echo it broke >&2; exit 7")
    instance.start()
    instance.ended()
    assert (instance.outcome()["code"], instance.output()) == (7, "it broke\n")


def test_what_a_script_completes_is_told_at_once_and_kept(instance: Instance) -> None:
    instance.launch("spored complete --status failure --message 'no input'; exec sleep 300", spec={"keep": True}, on_complete="none")
    instance.start()
    assert instance.get("0/1/completed.json")["message"] == "no input"
    wait(lambda: f"{PREFIX}news/0-1-completed" in instance.cloud.objects)
    assert f"{PREFIX}0/1/outcome.json" not in instance.cloud.objects
    instance.terminate()
    completed = instance.outcome()["completed"]
    assert (completed["status"], completed["message"]) == ("failure", "no input")


def test_at_the_ttl_what_runs_is_stopped_and_recorded_before_the_machine_goes(instance: Instance) -> None:
    instance.launch("trap 'echo asked; exit 3' TERM; echo begun; sleep 300 & wait")
    instance.start()
    wait(lambda: instance.output() == "begun\n")
    instance.cloud.objects[f"{PREFIX}control.json"] = json.dumps({"wire": 1, "seq": 1, "ends_at": time.time() + 6}).encode()
    instance.ended()
    outcome = instance.outcome()
    assert (outcome["why"], outcome["code"], instance.output()) == ("ttl", 3, "begun\nasked\n")
    assert instance.shutdowns() == ["-h +10", "-h +1", "-h now"]
    assert instance.presence(lambda said: said["ending"])["ending"] == "its time is over (TTL)"


def test_a_machine_that_is_shut_down_records_first_and_begins_nothing(instance: Instance) -> None:
    instance.launch("echo begun; exec sleep 300", count=3)
    instance.start()
    instance.get("0/1/started.json")
    instance.terminate()
    assert (instance.outcome()["why"], instance.outcome()["signal"], instance.output()) == ("stopped", 15, "begun\n")
    assert instance.shutdowns() == ["-h +10"]
    assert not any(key.startswith(f"{PREFIX}1/") for key in instance.cloud.objects)


def test_after_an_interruption_notice_scripts_are_told_and_their_record_says_so(instance: Instance, cloud: Cloud) -> None:
    instance.launch("trap 'cat $SPAWN_INTERRUPTION_FILE; exit 9' TERM; sleep 300 & wait", count=2, spot=True)
    instance.start()
    instance.get("0/1/started.json")
    cloud.take_back("i-1", 120)
    instance.ended()
    outcome = instance.outcome()
    assert (outcome["why"], outcome["code"]) == ("interrupted", 9)
    assert '"action": "terminate"' in instance.output()
    assert instance.presence(lambda said: said["interrupted_at"])["interrupted_at"] <= outcome["ended_at"]
    assert f"{PREFIX}1/1/claim.json" not in cloud.objects


def test_what_does_not_end_after_a_notice_is_killed_in_time(instance: Instance, cloud: Cloud) -> None:
    instance.launch("trap '' TERM; echo begun; while true; do sleep 300; done", spot=True)
    instance.start()
    instance.get("0/1/started.json")
    cloud.take_back("i-1", 47)
    instance.ended()
    assert (instance.outcome()["why"], instance.outcome()["signal"]) == ("interrupted", 9)


@pytest.mark.parametrize("status", [403, 503, 0])
def test_a_bucket_that_refuses_is_asked_again_until_it_takes_the_record(instance: Instance, cloud: Cloud, status: int) -> None:
    refused = {403: 1, 503: 3, 0: 6}[status]
    done: list[str] = []

    def fault(method: str, path: str) -> int | None:
        if method == "PUT" and path.startswith("s3/") and cloud.order and "instances/" not in path and len(done) < refused:
            done.append(path)
            return status
        return None

    cloud.fault = fault
    instance.launch("echo precious; echo x > $TASK_OUTPUT_DIR/x")
    instance.start()
    instance.presence(lambda said: said["unsent"])
    said = instance.ended()
    assert instance.outcome()["code"] == 0
    assert instance.output() == "precious\n"
    assert "spored: cannot upload" in said
    assert ("s3:PutObject" in said and "is not allowed (AccessDenied)" in said) == (status == 403)
    assert cloud.json(f"{PREFIX}instances/i-1.json")["unsent"] is None


def test_a_bucket_that_never_takes_anything_leaves_the_record_behind_at_the_ttl_and_the_console_says_so(instance: Instance, cloud: Cloud) -> None:
    cloud.fault = lambda method, path: 403 if method == "PUT" and path.startswith("s3/") else None
    instance.launch("echo x", ttl_s=2)
    instance.start()
    said = instance.ended_after_kill(lambda: "-h now" in instance.shutdowns() and "AccessDenied" in instance.log())
    assert "is not allowed (AccessDenied)" in said
    assert "this instance ends: its time is over (TTL)" in said


def test_a_killed_agent_goes_on_where_it_was(instance: Instance) -> None:
    instance.launch("echo one; while [ ! -e $GATE ]; do sleep 0.05; done; echo two", spec={"environment": {"GATE": str(instance.root / "gate")}})
    instance.start()
    wait(lambda: instance.output() == "one\n")
    instance.kill()
    (instance.root / "gate").touch()
    instance.start()
    instance.ended()
    assert (instance.outcome()["end"], instance.outcome()["code"], instance.output()) == ("ended", 0, "one\ntwo\n")
    assert instance.cloud.order.count(f"{PREFIX}0/1/claim.json") == 1


def test_a_killed_runner_loses_what_ran_and_nothing_else(instance: Instance) -> None:
    gate = instance.root / "gate"
    instance.launch(f"echo $TASK_ARRAY_INDEX; [ $TASK_ARRAY_INDEX = 1 ] || exec sleep 300; touch {gate}", count=2)
    instance.start()
    wait(lambda: instance.output() == "0\n")
    os.kill(instance.runners()[0], signal.SIGKILL)
    instance.ended()
    assert (instance.outcome(0)["end"], instance.output(0)) == ("lost", "0\n")
    assert (instance.outcome(1)["code"], instance.output(1)) == (0, "1\n")
    assert gate.exists()


def test_after_a_reboot_nothing_runs_twice(instance: Instance) -> None:
    instance.launch("echo begun; exec sleep 300", count=2)
    instance.start()
    instance.get("0/1/started.json")
    wait(lambda: instance.output() == "begun\n")
    instance.cut()
    instance.launch("echo never for index 0: $TASK_ARRAY_INDEX", count=2)
    instance.start()
    instance.ended()
    assert (instance.outcome(0)["end"], instance.output(0)) == ("lost", "begun\n")
    assert instance.output(1) == "never for index 0: 1\n"


def test_of_two_instances_with_the_same_attempt_one_runs_it(make_instance: Callable[..., Instance], cloud: Cloud) -> None:
    both = [make_instance("i-1"), make_instance("i-2")]
    for one in both:
        one.launch("echo ran")
        one.start()
    for one in both:
        one.ended()
    assert both[0].output() == "ran\n"
    claims = [key for key in cloud.order if key.endswith("claim.json")]
    assert len(claims) == 1
    assert both[0].outcome()["instance_id"] == cloud.json(claims[0])["instance_id"]


def test_a_chunk_runs_as_many_at_once_as_it_has_slots(instance: Instance) -> None:
    # each waits until another one runs beside it, or until it is the last
    instance.launch("echo $TASK_ARRAY_INDEX", count=7, slots=2, members=[[[0, 10, 1, 3, 5], [4, 30, 2, 2, 1]]], spec={"first": 10, "last": 40})
    instance.start()
    instance.ended()
    for index, attempt in ((10, 1), (15, 1), (20, 1), (30, 2), (31, 2)):
        assert instance.output(index, attempt) == f"{index}\n"
        assert instance.outcome(index, attempt)["code"] == 0
    assert len([key for key in instance.cloud.objects if key.endswith("outcome.json")]) == 5


def test_kills_and_lost_answers_at_random_moments_run_nothing_twice(instance: Instance, cloud: Cloud) -> None:
    chance = random.Random(4)
    ran = instance.root / "ran"
    cloud.fault = lambda method, path: chance.choice([0, 503]) if path.startswith("s3/") and chance.random() < 0.1 else None
    instance.launch(f"echo $TASK_ARRAY_INDEX >> {ran}; echo log of $TASK_ARRAY_INDEX; sleep 0.05", count=12, slots=3)
    instance.start()
    for _ in range(5):
        until = len(cloud.requests) + chance.randrange(4, 40)
        wait(lambda until=until: len(cloud.requests) >= until or instance.shutdowns()[-1:] == ["-h now"], instance.log)
        instance.kill()
        instance.start()
    instance.ended()
    outcomes = [instance.outcome(index) for index in range(12)]
    assert sorted(map(int, ran.read_text().split())) == list(range(12))
    assert [outcome["code"] for outcome in outcomes] == [0] * 12
    assert [instance.output(index) for index in range(12)] == [f"log of {index}\n" for index in range(12)]
