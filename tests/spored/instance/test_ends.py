"""How an instance ends when nothing is left to do, and what it leaves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from tests.spored.instance.cloud import Cloud
from tests.spored.instance.machine import KEY, PREFIX, Instance, wait


def test_stop_and_hibernate_ask_ec2_and_the_next_boot_does_not_stop_again(instance: Instance, cloud: Cloud) -> None:
    instance.launch("echo done", on_complete="hibernate")
    instance.start()
    wait(lambda: cloud.stopped)
    assert (cloud.stopped[0]["Action"], cloud.stopped[0]["Hibernate"]) == (["StopInstances"], ["true"])
    wait(lambda: instance.shutdowns() == ["-h +10", "-c"])
    instance.terminate()
    instance.cut()
    instance.start()
    instance.presence(lambda said: said["ending"] is None)
    assert instance.call("status").returncode == 0
    instance.terminate()
    assert len(cloud.stopped) == 1


def test_a_stop_that_is_not_allowed_is_said_and_tried_again(instance: Instance, cloud: Cloud) -> None:
    refused: list[str] = []

    def fault(method: str, path: str) -> int | None:
        if path.startswith("ec2") and not refused:
            refused.append(path)
            return 403
        return None

    cloud.fault = fault
    instance.launch("echo done", on_complete="stop")
    instance.start()
    wait(lambda: cloud.stopped)
    assert "ec2:StopInstances on i-1 is not allowed (AccessDenied); the instance lives on until its TTL" in instance.log()


def test_an_idle_instance_ends_unless_somebody_is_logged_in(instance: Instance, cloud: Cloud) -> None:
    sessions = instance.root / "run/systemd/sessions"
    sessions.mkdir(parents=True)
    (sessions / "1").write_text("UID=1000\nCLASS=user\nSTATE=active\n")
    instance.launch("echo done", on_complete="none", idle_s=0.2)
    instance.start()
    instance.outcome()
    instance.presence(lambda said: not said["running"])
    seen = len(cloud.requests)
    wait(lambda: len([path for _, path in cloud.requests[seen:] if path.endswith("control.json")]) > 30)
    assert "-h now" not in instance.shutdowns()
    (sessions / "1").unlink()
    instance.ended()
    assert instance.shutdowns()[-1] == "-h now"
    assert instance.presence(lambda said: said["ending"])["ending"] == "it has been idle for 0.2 s"


def test_the_end_of_a_life_is_kept_over_a_reboot_and_new_after_a_stop(instance: Instance, cloud: Cloud) -> None:
    instance.launch("exec sleep 300", ttl_s=600)
    instance.start()
    first = instance.presence(lambda said: said["running"])["ends_at"]
    instance.cut()
    instance.start()
    instance.presence(lambda said: said["ends_at"] == first and said["ending"])
    instance.ended()
    instance.cut()
    memory = instance.root / "var/lib/spored/memory.json"
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "ends_at": time.time() - 100}))
    instance.start()
    assert 590 < instance.presence(lambda said: said["booted_at"] > first - 600)["ends_at"] - time.time() <= 600


def test_what_somebody_stopped_and_started_again_is_there_to_be_looked_at_and_a_reboot_is_not(make_instance: Callable[..., Instance], cloud: Cloud) -> None:
    def powered(seconds_ago: int) -> str:
        return json.dumps({"pendingTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))})

    document = "dynamic/instance-identity/document"
    instance = make_instance(**{document: powered(60)})
    instance.launch("exec sleep 300", ttl_s=600)
    instance.start()
    instance.get("0/1/started.json")
    instance.terminate()
    assert instance.outcome()["why"] == "stopped"
    instance.cut()
    cloud.metadata["i-1"][document] = powered(0)
    instance.start()
    instance.presence(lambda said: said["booted_at"] > time.time() - 50)
    assert instance.call("status").returncode == 0
    assert instance.presence(lambda said: True)["ending"] is None
    assert "now" not in " ".join(instance.shutdowns())
    instance.cut()
    memory = instance.root / "var/lib/spored/memory.json"
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "spent": False}))
    instance.start()
    instance.ended()


def test_life_counts_from_when_ec2_powered_the_machine_on(make_instance: Callable[..., Instance]) -> None:
    powered = int(time.time()) - 120
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(powered))
    instance = make_instance(**{"dynamic/instance-identity/document": json.dumps({"pendingTime": stamp})})
    instance.launch("exec sleep 300", ttl_s=600)
    instance.start()
    said = instance.presence(lambda said: said["running"])
    assert (said["booted_at"], said["ends_at"]) == (powered, powered + 600)
    assert instance.shutdowns() == ["-h +8"]


def test_outputs_come_before_the_outcome_and_what_cannot_be_sent_is_named(instance: Instance, cloud: Cloud) -> None:
    script = """cd $TASK_OUTPUT_DIR; mkdir -p deep/er; echo 1 > deep/er/one; echo 'a b' > 'we ird+&é'; ln -s deep/er/one link; ln -s /no/where broken
ln -s / everything; mkfifo pipe; head -c 20000000 /dev/zero > large; : > empty; echo x > "$(printf 'not-\\377-utf8')"; echo secret > hidden"""
    instance.launch(script)
    instance.start()
    instance.ended()
    outcome = instance.outcome()
    prefix = f"{PREFIX}0/1/output/"
    sent = {key.removeprefix(prefix): body for key, body in cloud.objects.items() if key.startswith(prefix)}
    assert set(sent) == {"deep/er/one", "we ird+&é", "link", "large", "empty", "hidden"}
    assert (sent["link"], sent["we ird+&é"], sent["empty"], len(sent["large"])) == (b"1\n", b"a b\n", b"", 20000000)
    assert outcome["outputs"] == 6
    assert sorted(outcome["outputs_failed"]) == ["broken", "everything", "not-\\xff-utf8", "pipe"]
    assert max(cloud.order.index(prefix + name) for name in sent) < cloud.order.index(f"{PREFIX}0/1/outcome.json")


def test_what_scripts_write_is_also_in_the_log_of_cloud_init(instance: Instance) -> None:
    log = instance.root / "var/log/cloud-init-output.log"
    log.write_text("Cloud-init v. 23\n")
    instance.launch("echo one; echo two >&2")
    instance.start()
    instance.ended()
    assert log.read_text() == "Cloud-init v. 23\none\ntwo\n"


def queue(cloud: Cloud, *indexes: int) -> None:
    for index in indexes:
        cloud.messages[f"receipt-{index}"] = json.dumps({"position": index, "index": index, "attempt": 1})


def test_a_pool_takes_what_the_queue_gives_and_ends_when_it_gives_nothing(make_instance: Callable[..., Instance], cloud: Cloud) -> None:
    queue(cloud, *range(9))
    cloud.messages["bad"] = "run something"
    both = [make_instance("i-1"), make_instance("i-2", **{"meta-data/ami-launch-index": "1"})]
    for one in both:
        one.launch("echo $TASK_ARRAY_INDEX", count=9, slots=2, members=[[], []], pool=f"{cloud.url}/sqs/queue")
        one.start()
    for one in both:
        one.ended()
    for index in range(9):
        assert both[0].output(index) == f"{index}\n"
        assert both[0].outcome(index)["code"] == 0
    assert cloud.messages == {}
    assert cloud.order.count(f"{PREFIX}3/1/outcome.json") == 1


def test_a_message_whose_attempt_is_claimed_elsewhere_is_deleted_and_not_run(instance: Instance, cloud: Cloud) -> None:
    queue(cloud, 0, 1)
    cloud.objects[f"{PREFIX}0/1/claim.json"] = json.dumps({"wire": 1, "instance_id": "i-other", "at": 1}).encode()
    instance.launch("echo $TASK_ARRAY_INDEX", count=2, members=[[]], pool=f"{cloud.url}/sqs/queue")
    instance.start()
    instance.ended()
    assert cloud.messages == {}
    assert f"{PREFIX}0/1/outcome.json" not in cloud.objects
    assert instance.output(1) == "1\n"


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"members": [[]], "every": {"upload_s": 0}}, "every: no pause may be 0"),
        ({"wire": 2}, "it speaks wire 2, this agent wire 1"),
        ({"on_complete": "sleep"}, "on_complete must be one of terminate, stop, hibernate, none, not 'sleep'"),
        ({"members": [[[0, 0, 0, 1, 1]]]}, "members must hold lists of [position, index, attempt, count, step], not [[0, 0, 0, 1, 1]]"),
        ({"members": []}, "launch index 0 has no entry in members, which has 0"),
    ],
)
def test_a_launch_that_is_not_understood_runs_nothing(instance: Instance, cloud: Cloud, members: dict[str, object], text: str) -> None:
    instance.launch("echo never", **members)
    instance.start()
    assert instance.process is not None
    _, said = instance.process.communicate(timeout=20)
    assert instance.process.returncode == 2
    assert said.decode().endswith(f"{text}\n")
    assert len(said.decode().splitlines()) == 1
    assert cloud.objects == {}


def test_an_instance_that_does_not_know_its_number_asks_until_it_does(instance: Instance, cloud: Cloud) -> None:
    metadata = cloud.metadata["i-1"]
    metadata["meta-data/ami-launch-index"] = ""
    instance.launch("echo $TASK_ARRAY_INDEX", members=[[[0, 0, 1, 1, 1]], [[0, 5, 1, 1, 1]]])
    instance.start()
    wait(lambda: "does not know yet who it is" in instance.log())
    assert cloud.objects == {}
    metadata["meta-data/ami-launch-index"] = "1"
    instance.ended()
    assert instance.output(5) == "5\n"


def test_an_image_of_a_former_instance_brings_no_memory_with_it(instance: Instance, cloud: Cloud) -> None:
    instance.launch("echo first", on_complete="none")
    instance.start()
    instance.outcome()
    instance.cut()
    cloud.metadata["i-1"]["meta-data/instance-id"] = "i-9"
    cloud.objects.clear()
    instance.start()
    assert instance.outcome()["instance_id"] == "i-9"


def test_a_second_agent_ends_at_once(instance: Instance) -> None:
    instance.launch("exec sleep 300")
    instance.start()
    instance.get("0/1/started.json")
    done = instance.call("instance", "run")
    assert (done.returncode, done.stderr) == (5, f"spored: another agent works in {instance.root}/var/lib/spored\n")


def test_a_lost_journal_means_lost_attempts_never_a_second_run(instance: Instance) -> None:
    instance.launch("echo ran; exec sleep 300")
    instance.start()
    wait(lambda: instance.output() == "ran\n")
    instance.cut()
    journal = instance.root / "var/lib/spored/runner/journal"
    for name in os.listdir(journal):
        (journal / name).unlink()
    instance.start()
    instance.ended()
    assert (instance.outcome()["end"], instance.output()) == ("lost", "ran\n")
    assert instance.outcome()["attempt"] == f"{KEY}:0:1"
