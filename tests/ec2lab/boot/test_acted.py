"""Machines that are acted, against a moto server, with a clock that the tests set."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from spawn.providers.ec2 import userdata as provider
from spawn.providers.ec2.userdata import Fetched, Staged
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.boot.acted import ActedMachines
from spawn.testing.ec2lab.boot.acts import Act, ActPlan, Life
from spawn.testing.ec2lab.boot.launches import read
from spawn.testing.ec2lab.boot.reaching import Direct, Unreachable
from spawn.testing.ec2lab.machines import Ending, Machine
from tests.ec2lab.boot.conftest import Recorder, a_machine

_BUCKET = "spawn-of-mine"
_PREFIX = "arrays/a1/"
_BEGAN = ManualClock().now() / 1000


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{running.get_host_and_port()[1]}"
    running.stop()


def a_launch(**changes: object) -> dict[str, Any]:
    launch: dict[str, Any] = {
        "wire": 1, "array": "a1", "key": "0123456789", "token": "a-client-token", "members": [[[0, 0, 1, 1, 1]]], "pool": None, "slots": 0,
        "spec": {"grace_s": 30, "size": 1}, "bucket": _BUCKET, "region": "us-east-1", "prefix": _PREFIX, "endpoints": {"s3": None, "sqs": None, "ec2": None},
        "ttl_s": 3600, "idle_s": None, "on_complete": "terminate", "spot": False, "every": {"upload_s": 30, "control_s": 15, "beat_s": 120, "notice_s": 5},
    }  # fmt: skip
    return {**launch, **changes}


def user_data(launch: dict[str, Any] | None, minutes: int | None = 60) -> bytes:
    guard = "" if minutes is None else f"shutdown -h +{minutes}\n"
    lines = ""
    if launch is not None:
        text = base64.b64encode(gzip.compress(json.dumps(launch).encode())).decode()
        lines = "# spored-launch-begin\n" + "".join(f"# {text[at : at + 76]}\n" for at in range(0, len(text), 76)) + "# spored-launch-end\n"
    return gzip.compress(f"#!/bin/sh\n{guard}{lines}echo\n".encode())


class Stage:
    """A bucket, a clock and machines."""

    def __init__(self, endpoint: str, plan: ActPlan, *, direct: bool = False) -> None:
        self.recorder = Recorder(endpoint)
        self.clock = ManualClock()
        words: Any = {"endpoint_url": endpoint, "region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.s3, self.sqs = boto3.client("s3", **words), boto3.client("sqs", **words)
        self.s3.create_bucket(Bucket=_BUCKET)
        services = Direct(self.recorder, account="123456789012", lock=threading.RLock()) if direct else None
        self.machines = ActedMachines(self.recorder, plan=plan, clock=self.clock, services=services)

    def empty(self) -> None:
        for entry in self.s3.list_objects_v2(Bucket=_BUCKET).get("Contents", ()):
            self.s3.delete_object(Bucket=_BUCKET, Key=entry["Key"])

    def close(self) -> None:
        self.machines.close()
        self.empty()
        self.s3.close()
        self.sqs.close()

    def boot(self, launch: dict[str, Any] | None = None, **changes: object) -> Machine:
        machine = a_machine(**{"user_data": user_data(launch or a_launch()), "vcpus": 1, **changes})  # type: ignore[arg-type]
        self.machines.boot(machine)
        return machine

    def go_on(self, seconds: float, step_s: float = 1.0) -> None:
        until = self.clock.now() / 1000 + seconds
        while self.clock.now() / 1000 < until:
            self.clock.advance(step_s)
            self.machines.tick()

    def names(self) -> list[str]:
        return [entry["Key"].removeprefix(_PREFIX) for entry in self.s3.list_objects_v2(Bucket=_BUCKET).get("Contents", ())]

    def text(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=_BUCKET, Key=_PREFIX + key)["Body"].read())

    def told(self, key: str) -> Any:
        return json.loads(self.text(key))

    def tell(self, **control: object) -> None:
        self.s3.put_object(Bucket=_BUCKET, Key=_PREFIX + "control.json", Body=json.dumps({"wire": 1, "ends_at": None, "ends_at_of": {}, "stop": {}, **control}))


Stages = Callable[..., Stage]


@pytest.fixture
def stages(server: str) -> Iterator[Stages]:
    made: list[Stage] = []

    def make(*, direct: bool = False, **plan: Any) -> Stage:
        made.append(Stage(server, ActPlan(**plan), direct=direct))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


def _lasting(duration_s: float, **act: Any) -> Callable[[int, int, Random], Act]:
    return lambda index, attempt, random: Act(duration_s=duration_s, **act)


def test_an_instance_leaves_what_the_wire_says_and_ends(stages: Stages) -> None:
    stage = stages(attempt=_lasting(100, code=3, completed=("failure", "no data"), completed_after_s=90, log=b"0123456789", outputs={"a/b.txt": b"out"}))
    machine = stage.boot(a_launch(members=[[], [[4, 14, 2, 1, 1]]]), launch_index=1)
    stage.go_on(29)
    assert stage.recorder.events == [(machine.instance_id, None)]
    assert stage.names() == []
    stage.go_on(120)
    assert stage.recorder.ends(machine.instance_id) == [Ending.SHUTDOWN]
    assert stage.names() == [
        "14/2/claim.json", "14/2/completed.json", "14/2/log/0000000000000000", "14/2/log/0000000000000005", "14/2/outcome.json", "14/2/output/a/b.txt",
        "14/2/started.json", f"instances/{machine.instance_id}.json", "news/4-2-claimed", "news/4-2-completed", "news/4-2-ended", "news/4-2-started",
    ]  # fmt: skip
    assert stage.told("14/2/outcome.json") == {
        "wire": 1, "attempt": "0123456789:4:2", "index": 14, "array": "a1", "instance_id": machine.instance_id,
        "started_at": _BEGAN + 30, "ended_at": _BEGAN + 130,
        "end": "ended", "code": 3, "signal": None, "why": None, "reason": None, "completed": {"at": _BEGAN + 120, "status": "failure", "message": "no data"},
        "user": 0.5, "system": 0.1, "maxrss": 10_240, "log_bytes": 10, "outputs": 1, "outputs_failed": [], "truncated": False,
    }  # fmt: skip
    assert stage.text("news/4-2-ended").decode() == machine.instance_id
    assert stage.text("14/2/log/0000000000000005") == b"56789"
    said = stage.told(f"instances/{machine.instance_id}.json")
    assert (said["launch_index"], said["running"], said["unsent"], said["ending"], said["ends_at"]) == (1, [], None, "terminate", _BEGAN + 3600)


def test_slots_are_shared_by_the_attempts_of_an_instance_in_their_order(stages: Stages) -> None:
    stage = stages(attempt=_lasting(50))
    stage.boot(a_launch(members=[[[0, 0, 1, 3, 2]]], slots=2))
    stage.go_on(40)
    assert [key for key in stage.names() if key.endswith("started.json")] == ["0/1/started.json", "2/1/started.json"]
    stage.go_on(100)
    assert [stage.told(f"{index}/1/outcome.json")["started_at"] - _BEGAN for index in (0, 2, 4)] == [30, 30, 80]


def test_one_that_another_instance_claimed_is_not_run(stages: Stages) -> None:
    stage = stages()
    stage.s3.put_object(Bucket=_BUCKET, Key=_PREFIX + "0/1/claim.json", Body=json.dumps({"wire": 1, "instance_id": "i-another", "at": 0}))
    machine = stage.boot()
    stage.go_on(60)
    assert stage.recorder.ends(machine.instance_id) == [Ending.SHUTDOWN]
    assert "0/1/outcome.json" not in stage.names()


def test_a_machine_that_never_checks_in_ends_at_its_guard(stages: Stages) -> None:
    stage = stages(machine=lambda nth, random: Life(checks_in=nth != 0))
    mute, foreign = stage.boot(), stage.boot(user_data=b"#!/bin/sh\necho hello\n")
    unguarded = stage.boot(user_data=user_data(None, None))
    stage.go_on(3570, 30)
    assert stage.recorder.ends(mute.instance_id) == []
    stage.go_on(30)
    assert stage.recorder.ends(mute.instance_id) == [Ending.SHUTDOWN]
    assert stage.recorder.ends(foreign.instance_id) == stage.recorder.ends(unguarded.instance_id) == []
    assert stage.names() == []


def test_at_its_ttl_everything_is_recorded_before_the_end(stages: Stages) -> None:
    stage = stages(attempt=_lasting(10_000))
    machine = stage.boot(a_launch(ttl_s=600))
    stage.go_on(600)
    outcome = stage.told("0/1/outcome.json")
    assert (outcome["why"], outcome["signal"], outcome["ended_at"]) == ("ttl", 15, _BEGAN + 550)
    assert stage.recorder.ends(machine.instance_id) == [Ending.SHUTDOWN]


def test_control_moves_the_end_and_stops_attempts(stages: Stages) -> None:
    stage = stages(attempt=_lasting(10_000))
    machine = stage.boot(a_launch(ttl_s=600, members=[[[0, 0, 1, 3, 1]]], slots=2))
    stage.go_on(60)
    stage.tell(
        seq=5,
        ends_at_of={machine.instance_id: _BEGAN + 2000},
        stop={"0123456789:1:1": {"why": "stopped", "grace_s": 5}, "0123456789:2:1": {"why": "stopped", "grace_s": 5}},
    )
    stage.go_on(700)
    assert stage.recorder.ends(machine.instance_id) == []
    said = stage.told(f"instances/{machine.instance_id}.json")
    assert (said["control_seq"], said["ends_at"], said["running"]) == (5, _BEGAN + 2000, ["0123456789:0:1"])
    assert (stage.told("1/1/outcome.json")["end"], stage.told("1/1/outcome.json")["why"]) == ("ended", "stopped")
    assert (stage.told("2/1/outcome.json")["end"], stage.told("2/1/outcome.json")["started_at"]) == ("dropped", None)
    assert "news/2-1-dropped" in stage.names()
    stage.go_on(1300, 10)
    assert stage.recorder.ends(machine.instance_id) == [Ending.SHUTDOWN]


def test_a_terminated_machine_records_what_it_stopped_and_a_cut_one_does_not(stages: Stages) -> None:
    stage = stages(attempt=_lasting(1000))
    launch = a_launch(members=[[[0, 0, 1, 1, 1]], [[1, 1, 1, 1, 1]]])
    asked, cut = stage.boot(launch), stage.boot(launch, launch_index=1)
    stage.go_on(60)
    stage.machines.shut_down(asked.instance_id, Ending.API)
    stage.machines.cut(cut.instance_id)
    stage.go_on(5)
    assert stage.recorder.ends(asked.instance_id) == [Ending.API]
    assert stage.recorder.ends(cut.instance_id) == [Ending.DIED]
    assert stage.told("0/1/outcome.json")["why"] == "stopped"
    assert "1/1/outcome.json" not in stage.names()


def test_an_interruption_is_recorded_as_one(stages: Stages) -> None:
    stage = stages(attempt=_lasting(1000))
    machine = stage.boot(spot=True)
    stage.go_on(60)
    stage.machines.notice(machine.instance_id, "terminate", _BEGAN + 180)
    stage.go_on(60)
    assert stage.told("0/1/outcome.json")["why"] == "interrupted"
    assert stage.told(f"instances/{machine.instance_id}.json")["interrupted_at"] is not None
    assert stage.recorder.ends(machine.instance_id) == []
    stage.machines.shut_down(machine.instance_id, Ending.INTERRUPTED)
    stage.go_on(1)
    assert stage.recorder.ends(machine.instance_id) == [Ending.INTERRUPTED]


def test_a_machine_whose_host_fails_says_nothing(stages: Stages) -> None:
    stage = stages(attempt=_lasting(1000), machine=lambda nth, random: Life(dies_s=100))
    machine = stage.boot()
    stage.go_on(101)
    assert stage.recorder.ends(machine.instance_id) == [Ending.DIED]
    assert "0/1/outcome.json" not in stage.names()


def test_a_bucket_that_takes_nothing_is_tried_until_it_does(stages: Stages) -> None:
    stage = stages(attempt=_lasting(20), machine=lambda nth, random: Life(cannot_write=(40, 200)))
    machine = stage.boot()
    stage.go_on(190)
    assert "0/1/outcome.json" not in stage.names()
    stage.go_on(60)
    assert stage.told("0/1/outcome.json")["ended_at"] == _BEGAN + 50
    stage.go_on(10)
    assert stage.recorder.ends(machine.instance_id) == [Ending.SHUTDOWN]


def test_a_machine_that_is_stopped_and_started_loses_what_ran_and_goes_on(stages: Stages) -> None:
    stage = stages(attempt=_lasting(100))
    machine = stage.boot(a_launch(members=[[[0, 0, 1, 2, 1]]], slots=1))
    stage.go_on(60)
    stage.machines.cut(machine.instance_id)
    stage.go_on(10)
    stage.machines.boot(machine)
    stage.go_on(200)
    assert stage.told("0/1/outcome.json")["end"] == "lost"
    assert stage.told("1/1/outcome.json")["code"] == 0
    assert stage.recorder.ends(machine.instance_id) == [Ending.DIED, Ending.SHUTDOWN]


def test_a_pool_is_emptied_by_all_its_instances_and_no_attempt_runs_twice(stages: Stages) -> None:
    stage = stages(attempt=lambda index, attempt, random: Act(duration_s=10 + random.random() * 20))
    queue = stage.sqs.create_queue(QueueName="pool")["QueueUrl"]
    for index in [*range(12), 3, 4]:
        stage.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"position": index, "index": index, "attempt": 1}))
    both = [stage.boot(a_launch(pool=queue, members=[[], []], slots=2), launch_index=index) for index in (0, 1)]
    stage.go_on(300)
    assert [stage.recorder.ends(machine.instance_id) for machine in both] == [[Ending.SHUTDOWN]] * 2
    outcomes = [stage.told(f"{index}/1/outcome.json") for index in range(12)]
    assert {outcome["instance_id"] for outcome in outcomes} == {machine.instance_id for machine in both}
    assert stage.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []) == []
    stage.sqs.delete_queue(QueueUrl=queue)


def test_the_same_seed_does_the_same(stages: Stages) -> None:
    def act(index: int, attempt: int, random: Random) -> Act:
        return Act(duration_s=random.uniform(1, 500), code=random.choice([0, 1, 2]))

    ends = []
    for seed in (1, 1, 2):
        stage = stages(attempt=act, seed=seed, machine=lambda nth, random: Life(ready_s=random.uniform(11, 60)), direct=True)
        for index in range(5):
            stage.boot(a_launch(members=[[[index, index, 1, 1, 1]] for index in range(5)]), launch_index=index)
        stage.go_on(600)
        ends.append([(stage.told(f"{index}/1/outcome.json")["ended_at"], stage.told(f"{index}/1/outcome.json")["code"]) for index in range(5)])
        stage.empty()
    assert ends[0] == ends[1] != ends[2]


def test_thousands_are_acted_in_one_thread(stages: Stages) -> None:
    stage = stages(direct=True, detail=False)
    shared = user_data(a_launch(members=[[[index, index, 1, 1, 1]] for index in range(2000)]))
    machines = [stage.boot(user_data=shared, launch_index=index) for index in range(2000)]
    threads = threading.active_count()
    stage.go_on(120, 5)
    assert threading.active_count() <= threads
    assert {tuple(stage.recorder.ends(machine.instance_id)) for machine in machines[::500]} == {(Ending.SHUTDOWN,)}
    from moto.backends import get_backend

    bucket = get_backend("s3")["123456789012"]["aws"].buckets[_BUCKET]
    assert sum(key.endswith("outcome.json") for key in bucket.keys) == 2000
    for key in list(bucket.keys):
        bucket.keys.pop(key)


def staged(body: bytes, key: str = "it's here.json") -> bytes:
    """User data of a launch of an hour whose configuration is in the bucket."""
    place = Staged(bucket=_BUCKET, region="us-east-1", key=key, sha256=sha256(body).hexdigest(), endpoint=None)
    return provider.staged(place, Fetched(url="http://127.0.0.1/x", sha256="0" * 64), 3600.0)


def test_what_is_staged_is_read_and_compared() -> None:
    body = json.dumps(a_launch()).encode()
    asked: list[tuple[str, str]] = []
    assert read(staged(body), lambda *place: asked.append(place) or body).launch is not None  # type: ignore[func-returns-value]
    assert asked == [(_BUCKET, "it's here.json")]
    assert read(staged(body), lambda *_: b"{}").trouble == "Unreadable: what was staged is not what was launched"
    assert read(staged(body), lambda *_: None).trouble == "Unreadable: what was staged is not there"
    assert read(b"\x1f\x8bnothing", lambda *_: None).launch is None
    assert read(user_data({**a_launch(), "wire": 2}), lambda *_: None).trouble == "Unreadable: the launch speaks wire 2"


def test_what_is_staged_is_read_with_the_role_of_the_machine_and_its_guard_needs_none(stages: Stages) -> None:
    stage = stages()
    body = json.dumps(a_launch()).encode()
    stage.s3.put_object(Bucket=_BUCKET, Key=f"{_PREFIX}launch/token.json", Body=body)
    data = staged(body, f"{_PREFIX}launch/token.json")
    without, having = stage.boot(user_data=data, role=None, profile=None), stage.boot(user_data=data)
    stage.go_on(3570, 30)
    assert stage.told("0/1/outcome.json")["instance_id"] == having.instance_id
    assert stage.recorder.ends(without.instance_id) == []
    stage.go_on(30)
    assert stage.recorder.ends(without.instance_id) == [Ending.SHUTDOWN]


def test_user_data_of_the_provider_are_understood() -> None:
    made = provider.embedded_or_none(a_launch(members=[[[0, 5, 1, 4, 2]]]), Fetched(url="http://127.0.0.1/x", sha256="0" * 64), 1800.0)
    assert made is not None
    orders = read(made, lambda *_: None)
    assert orders.guard_minutes == 30
    assert orders.launch is not None
    assert [task.index for task in orders.launch.tasks(0)] == [5, 7, 9, 11]


def test_an_act_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="not with code 0 and signal 9"):
        Act(signal=9)
    with pytest.raises(ValueError, match="cannot last less than 0 seconds"):
        replace(Act(), duration_s=-1)


def test_a_machine_without_a_role_reaches_nothing(stages: Stages) -> None:
    stage = stages()
    machine = stage.boot(role=None, profile=None)
    stage.go_on(120)
    assert stage.names() == []
    assert stage.recorder.ends(machine.instance_id) == []
    with pytest.raises(Unreachable, match="has no role"):
        stage.machines._world.services.get(machine, _BUCKET, "x")
