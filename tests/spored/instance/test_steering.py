"""What moves an instance while it runs: the engine's control.json, and what is typed on it."""

from __future__ import annotations

import json
import time

import pytest

from tests.spored.instance.cloud import Cloud
from tests.spored.instance.machine import KEY, PREFIX, Instance, wait


@pytest.fixture
def running(instance: Instance) -> Instance:
    """An instance whose only attempt runs until it is ended."""
    instance.launch("echo begun; exec sleep 300", on_complete="none", ttl_s=600)
    instance.start()
    instance.get("0/1/started.json")
    return instance


def steer(cloud: Cloud, **members: object) -> None:
    cloud.objects[f"{PREFIX}control.json"] = json.dumps({"wire": 1, "seq": 1, "ends_at": None, "ends_at_of": {}, "stop": {}, **members}).encode()


def test_the_engine_moves_the_end_and_the_guard_moves_with_it(running: Instance, cloud: Cloud) -> None:
    ends_at = time.time() + 7200
    steer(cloud, seq=4, ends_at=ends_at)
    said = running.presence(lambda said: said["control_seq"] == 4)
    assert said["ends_at"] == ends_at
    wait(lambda: running.shutdowns() == ["-h +10", "-h +120"])
    steer(cloud, seq=5, ends_at=ends_at, ends_at_of={"i-1": ends_at + 600, "i-2": 1})
    running.presence(lambda said: said["ends_at"] == ends_at + 600)
    wait(lambda: running.shutdowns() == ["-h +10", "-h +120", "-h +130"])


def test_control_that_is_not_understood_changes_nothing(running: Instance, cloud: Cloud) -> None:
    steer(cloud, seq=1, ends_at="tomorrow")
    wait(lambda: "must be a number of seconds" in running.log())
    assert cloud.json(f"{PREFIX}instances/i-1.json")["control_seq"] is None


def test_an_end_that_was_moved_here_stands_until_the_engine_says_something_new(running: Instance, cloud: Cloud) -> None:
    steer(cloud, seq=1, ends_at=time.time() + 1200)
    running.presence(lambda said: said["control_seq"] == 1)
    done = running.call("extend", "2h")
    assert (done.returncode, done.stderr) == (0, "")
    ends_at = running.presence(lambda said: said["ends_at"] > time.time() + 7000)["ends_at"]
    steer(cloud, **{**json.loads(cloud.objects[f"{PREFIX}control.json"]), "seq": 2})
    assert running.presence(lambda said: said["control_seq"] == 2)["ends_at"] == ends_at
    assert wait(lambda: running.shutdowns()[-1] == "-h +120")
    running.kill()
    running.start()
    assert running.presence(lambda said: said["at"] > ends_at - 7200 + 0.001 and said["control_seq"] == 2)["ends_at"] == ends_at


def test_one_of_several_is_stopped_and_one_that_waits_never_runs(instance: Instance, cloud: Cloud) -> None:
    instance.launch("echo $TASK_ARRAY_INDEX; [ $TASK_ARRAY_INDEX = 2 ] || exec sleep 300", count=3)
    instance.start()
    instance.get("0/1/started.json")
    steer(cloud, stop={f"{KEY}:0:1": {"why": "stopped", "grace_s": 1}, f"{KEY}:1:1": {"why": "stopped", "grace_s": 1}})
    instance.ended()
    assert (instance.outcome(0)["end"], instance.outcome(0)["why"]) == ("ended", "stopped")
    assert (instance.outcome(1)["end"], instance.outcome(1)["started_at"], instance.output(1)) == ("dropped", None, "")
    assert f"{PREFIX}news/1-1-dropped" in cloud.objects
    assert (instance.outcome(2)["code"], instance.output(2)) == (0, "2\n")


def test_status_tells_root_what_runs_and_how_uploads_go(running: Instance) -> None:
    wait(lambda: running.output() == "begun\n")
    wait(lambda: json.loads(running.call("status", "-o", "json").stdout)["last_upload"])
    said = json.loads(running.call("status", "-o", "json").stdout)
    assert said["attempts"] == [{"index": 0, "attempt": 1, "state": "running", "last_upload": said["last_upload"], "unsent": None}]
    assert 0 < said["ttl_left_s"] <= 600
    assert (said["instance"], said["on_complete"], said["idle_timeout"], said["unsent"]) == ("i-1", "none", "none", None)
    lines = running.call("status").stdout.splitlines()
    assert "attempt\t0\t1\trunning" in lines
    assert "instance\ti-1" in lines


def test_a_script_sees_the_end_of_its_instance_and_can_move_it(instance: Instance) -> None:
    script = "spored status; spored extend 3h; spored status -o json; spored config upload-interval=1s; spored config"
    instance.launch(script, ttl_s=600)
    instance.start()
    instance.ended()
    lines = instance.output().splitlines()
    assert instance.outcome()["code"] == 0, lines
    assert {"index\t0", "size\t1", "attempt\t1"} < set(lines)
    assert any(line.startswith("ttl_left_s\t5") for line in lines)
    after = json.loads(next(line for line in lines if line.startswith("{")))
    assert 10700 < after["ttl_left_s"] <= 10800
    assert lines[-3:] == ["on-complete\tterminate", "idle-timeout\tnone", "upload-interval\t1s"]
    assert instance.shutdowns() == ["-h +10", "-h +180", "-h now"]


def test_what_is_configured_is_used_also_by_the_next_agent(running: Instance, cloud: Cloud) -> None:
    assert running.call("config", "on-complete").stdout == "on-complete\tnone\n"
    assert running.call("config", "on-complete=stop").returncode == 0
    running.kill()
    running.start()
    wait(lambda: running.call("config", "on-complete").stdout == "on-complete\tstop\n")
    steer(cloud, stop={f"{KEY}:0:1": {"why": "stopped", "grace_s": 1}})
    wait(lambda: cloud.stopped)
    assert cloud.stopped[0]["InstanceId.1"] == ["i-1"]
    assert "-h now" not in running.shutdowns()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("extend", "2"), 2, "'2' is no duration: write 90s, 30m, 2h or 1d12h"),
        (("extend",), 2, "extend needs one DURATION, such as 90s, 30m, 2h or 1d12h"),
        (("config", "on-complet=stop"), 2, "unknown key 'on-complet'; did you mean on-complete?"),
        (("config", "on-complete=sleep"), 2, "on-complete must be one of terminate, stop, hibernate, none, not 'sleep'"),
        (("config", "idle-timeout=5"), 2, "'5' is no duration: write 90s, 30m, 2h or 1d12h"),
        (("shell", "7", "--", "true"), 4, "no index '7' has begun on this instance; there are 0"),
    ],
)
def test_wrong_words_are_one_sentence(running: Instance, words: tuple[str, ...], code: int, text: str) -> None:
    done = running.call(*words)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"spored: {text}\n")


def test_without_an_end_there_is_nothing_to_extend(instance: Instance) -> None:
    instance.launch("exec sleep 300", ttl_s=None)
    instance.start()
    instance.get("0/1/started.json")
    assert instance.call("extend", "1h").stderr == "spored: this instance has no end that could be moved (--no-ttl)\n"
    assert instance.shutdowns() == []


def test_a_shell_has_the_environment_and_directory_of_the_task_also_when_it_has_ended(instance: Instance) -> None:
    instance.launch("echo data > mine; [ $TASK_ARRAY_INDEX = 0 ] || sleep 300", count=2, slots=2, on_complete="none")
    instance.start()
    instance.outcome(0)
    instance.get("1/1/started.json")
    for index in ("0", "1"):
        done = instance.call("shell", index, "--", "sh", "-c", "echo $TASK_ARRAY_INDEX $TASK_ATTEMPT $GREETING; cat mine")
        assert (done.returncode, done.stdout) == (0, f"{index} 1 hello\ndata\n"), done.stderr
    assert instance.call("shell", "--", "true").stderr == "spored: this instance has had several indexes: say which of 0, 1\n"


def test_a_shell_needs_no_index_where_there_was_one_and_no_output_to_start_in(instance: Instance) -> None:
    instance.launch("true", on_complete="none")
    instance.start()
    instance.outcome()
    assert instance.call("shell", "--", "sh", "-c", "echo $TASK_ARRAY_INDEX").stdout == "0\n"
