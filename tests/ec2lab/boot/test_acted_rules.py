"""What holds for acted machines whatever befalls them."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.boot.acted import ActedMachines
from spawn.testing.ec2lab.boot.acts import Act, ActPlan, Life
from spawn.testing.ec2lab.boot.reaching import Message, Unreachable
from spawn.testing.ec2lab.machines import Ending, Machine
from tests.ec2lab.boot.conftest import Recorder, a_machine
from tests.ec2lab.boot.test_acted import a_launch, user_data

_TTL_S = 600.0
_SIZE = 6


class Memory:
    """AWS in a dictionary, which now and then does not answer, or does what it was asked and says that it did not."""

    def __init__(self, random: Random, faults: float) -> None:
        self.objects: dict[str, bytes] = {}
        self.order: list[str] = []
        self._random = random
        self._faults = faults

    def put(self, machine: Machine, bucket: str, key: str, body: bytes, *, only_new: bool = False) -> bool:
        self._may_fail()
        if only_new and key in self.objects:
            return False
        self.objects[key] = body
        self.order.append(key)
        self._may_fail()
        return True

    def get(self, machine: Machine, bucket: str, key: str) -> bytes | None:
        self._may_fail()
        return self.objects.get(key)

    def _may_fail(self) -> None:
        if self._random.random() < self._faults:
            raise Unreachable("no answer")

    def receive(self, machine: Machine, queue: str, count: int) -> list[Message]:
        raise AssertionError("there is no queue")

    def keep(self, machine: Machine, queue: str, receipt: str) -> None:
        raise AssertionError("there is no queue")

    def delete(self, machine: Machine, queue: str, receipt: str) -> None:
        raise AssertionError("there is no queue")

    def stop_instance(self, machine: Machine, *, hibernate: bool) -> None:
        raise AssertionError("it ends by itself")


def _life(nth: int, random: Random) -> Life:
    blocked = random.uniform(0, 600)
    return Life(
        ready_s=random.uniform(10, 100),
        checks_in=random.random() < 0.9,
        dies_s=random.uniform(0, 700) if random.random() < 0.2 else None,
        cannot_write=(blocked, blocked + random.uniform(0, 300)) if random.random() < 0.3 else None,
    )


def _act(index: int, attempt: int, random: Random) -> Act:
    return Act(duration_s=random.uniform(0, 400), code=random.choice([0, 1]), log=b"x" * random.randrange(3))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), faults=st.sampled_from([0.0, 0.05, 0.4]), step_s=st.sampled_from([1.0, 7.0, 30.0]), slots=st.integers(1, 3))
def test_nothing_runs_twice_nothing_outlives_its_time_and_what_ended_is_told_truly(seed: int, faults: float, step_s: float, slots: int) -> None:
    random = Random(seed)
    recorder, clock, aws = Recorder(), ManualClock(), Memory(Random(seed), faults)
    machines = ActedMachines(recorder, plan=ActPlan(seed=seed, attempt=_act, machine=_life), clock=clock, services=aws)
    # two instances that were given the same index, as after an answer that was lost
    launch = a_launch(ttl_s=_TTL_S, slots=slots, members=[[[0, 0, 1, 4, 1]], [[3, 3, 1, 3, 1]]])
    both = [a_machine(user_data(launch, 10), launch_index=index) for index in (0, 1)]
    for machine in both:
        machines.boot(machine)
    doomed = random.choice([None, *both])
    for turn in range(int(_TTL_S / step_s) + 2):
        clock.advance(step_s)
        machines.tick()
        if doomed is not None and turn == 5:
            random.choice([lambda: machines.shut_down(doomed.instance_id, Ending.API), lambda: machines.cut(doomed.instance_id)])()
    for machine in both:
        assert len(recorder.ends(machine.instance_id)) == 1
    claims = {key: json.loads(aws.objects[key])["instance_id"] for key in aws.objects if key.endswith("/claim.json")}
    for index in range(_SIZE):
        place = f"arrays/a1/{index}/1"
        assert aws.order.count(f"{place}/claim.json") <= 1
        assert aws.order.count(f"{place}/outcome.json") <= 1
        if f"{place}/outcome.json" in aws.objects:
            outcome = json.loads(aws.objects[f"{place}/outcome.json"])
            assert outcome["instance_id"] == claims[f"{place}/claim.json"]
            act = ActPlan(seed=seed, attempt=_act).act_of(index, 1)
            assert outcome["why"] is not None or outcome["code"] == act.code
            sent = b"".join(aws.objects[key] for key in sorted(aws.objects) if key.startswith(f"{place}/log/"))
            assert len(sent) == outcome["log_bytes"]
    before = dict(aws.objects)
    clock.advance(10_000)
    machines.tick()
    assert aws.objects == before
    machines.close()
