"""What the laboratory tells its machines, and they it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from spawn.testing.ec2lab.machines import Ending, Hypervisor, Machine
from tests.ec2lab.asking import Asking, refused

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


class Slow:
    """Machines that come up and go down when the test says so, and keep what they were told."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.told = list[tuple[str, ...]]()

    def boot(self, machine: Machine) -> None:
        self.told.append(("boot", machine.instance_id, machine.tags.get("name", "")))

    def shut_down(self, instance_id: str, ending: Ending) -> None:
        self.told.append(("shut down", instance_id, ending.value))

    def cut(self, instance_id: str) -> None:
        self.told.append(("cut", instance_id))

    def notice(self, instance_id: str, action: str, at: float) -> None:
        self.told.append(("notice", instance_id, action))

    def console(self, instance_id: str) -> bytes:
        return f"spored: {instance_id}".encode()

    def close(self) -> None:
        self.told.append(("close",))


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    with Lab(LabPlan(throttle=False), clock=ManualClock(), machines=Slow) as lab:
        yield Asking(lab)


def told(asking: Asking, instance_id: str | None = None) -> list[tuple[str, ...]]:
    """What the machines were told, or what one of them was."""
    machines = asking.lab._machines
    assert isinstance(machines, Slow)
    return [what for what in machines.told if instance_id is None or instance_id in what]


def test_a_machine_boots_with_what_it_was_launched_with(asking: Asking) -> None:
    [one] = asking.run(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "name", "Value": "me"}]}])
    assert told(asking, one["InstanceId"]) == [("boot", one["InstanceId"], "me")]
    assert asking.one(one["InstanceId"])["State"]["Name"] == "pending"
    asking.lab.running(one["InstanceId"])
    assert asking.one(one["InstanceId"])["State"]["Name"] == "running"


def test_an_instance_shuts_down_until_its_machine_is_off(asking: Asking) -> None:
    [one] = asking.run()
    asking.lab.running(one["InstanceId"])
    asking.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    assert told(asking, one["InstanceId"])[-1] == ("shut down", one["InstanceId"], "api")
    assert asking.one(one["InstanceId"])["State"]["Name"] == "shutting-down"
    for _ in range(2):
        asking.lab.ended(one["InstanceId"], Ending.API)
        assert asking.one(one["InstanceId"])["State"]["Name"] == "terminated"


def test_an_instance_that_stops_can_still_be_terminated(asking: Asking) -> None:
    [one] = asking.run()
    asking.lab.running(one["InstanceId"])
    asking.ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    assert asking.one(one["InstanceId"])["State"]["Name"] == "stopping"
    with refused("IncorrectInstanceState"):
        asking.ec2.start_instances(InstanceIds=[one["InstanceId"]])
    asking.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    asking.lab.ended(one["InstanceId"], Ending.API)
    assert asking.one(one["InstanceId"])["State"]["Name"] == "terminated"


def test_a_pending_instance_cannot_be_stopped(asking: Asking) -> None:
    [one] = asking.run()
    with refused("IncorrectInstanceState", one["InstanceId"]):
        asking.ec2.stop_instances(InstanceIds=[one["InstanceId"]])


def test_a_machine_is_told_of_its_interruption_and_then_to_end(asking: Asking) -> None:
    [one] = asking.run(**SPOT)
    asking.lab.running(one["InstanceId"])
    asking.lab.interrupt(one["InstanceId"])
    assert told(asking, one["InstanceId"])[-1] == ("notice", one["InstanceId"], "terminate")
    asking.lab.advance(120)
    assert told(asking, one["InstanceId"])[-1] == ("shut down", one["InstanceId"], "interrupted")


def test_a_machine_whose_host_fails_is_cut_off(asking: Asking) -> None:
    [one] = asking.run()
    asking.lab.kill(one["InstanceId"])
    assert told(asking, one["InstanceId"])[-1] == ("cut", one["InstanceId"])


def test_a_stopped_instance_boots_again(asking: Asking) -> None:
    [one] = asking.run()
    asking.lab.running(one["InstanceId"])
    asking.ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    asking.lab.ended(one["InstanceId"], Ending.API)
    asking.ec2.start_instances(InstanceIds=[one["InstanceId"]])
    assert [what[0] for what in told(asking, one["InstanceId"])] == ["boot", "shut down", "boot"]


def test_the_console_shows_what_the_machine_wrote(asking: Asking) -> None:
    [one] = asking.run()
    output = asking.ec2.get_console_output(InstanceId=one["InstanceId"])["Output"]
    assert output == f"spored: {one['InstanceId']}"


def test_machines_are_closed_with_the_laboratory() -> None:
    with Lab(clock=ManualClock(), machines=Slow) as lab:
        asking = Asking(lab)
        assert told(asking) == []
    assert told(asking) == [("close",)]


class Broken(Slow):
    """Machines that do not come up."""

    def boot(self, machine: Machine) -> None:
        raise OSError("no room")


def test_a_machine_that_cannot_be_had_is_told_of_and_hinders_nothing() -> None:
    with Lab(clock=ManualClock(), machines=Broken) as lab:
        [one] = Asking(lab).run()
        lab.kill(one["InstanceId"])
        assert [str(error) for error in lab.failures] == ["no room"]
        assert lab.lives()[0].state == "terminated"


def test_credentials_are_for_roles_that_there_are(asking: Asking) -> None:
    with pytest.raises(KeyError):
        asking.lab.credentials("nobody")
    asking.profile("worker")
    assert set(asking.lab.credentials("worker")) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}


class Diligent(Slow):
    """Machines that come up ten seconds after they were told to boot, by the clock of the laboratory."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        super().__init__(hypervisor)
        self.hypervisor = hypervisor
        self.waiting = dict[str, float]()
        self.ticks = list[float]()

    def boot(self, machine: Machine) -> None:
        assert isinstance(self.hypervisor, Lab)
        self.waiting[machine.instance_id] = self.hypervisor.clock.now() / 1000 + 10

    def due(self) -> float | None:
        return min(self.waiting.values(), default=None)

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        for instance_id in [each for each, at in self.waiting.items() if at <= now]:
            del self.waiting[instance_id]
            self.hypervisor.running(instance_id)


def test_machines_that_follow_the_clock_are_moved_with_it() -> None:
    with Lab(clock=ManualClock(), machines=Diligent) as lab:
        asking = Asking(lab)
        asking.run()
        lab.advance(3)
        asking.run()
        lab.advance(8)
        assert [life.state for life in lab.lives()] == ["running", "pending"]
        lab.advance(3600)
        first, second = lab.lives()
        assert [round(life.charges[0].since - life.launched_at) for life in (first, second)] == [10, 10]
        machines = lab._machines
        assert isinstance(machines, Diligent)
        assert len(machines.ticks) == 2


def test_machines_that_cannot_be_made_leave_the_port_free() -> None:
    def none(hypervisor: Hypervisor) -> Slow:
        raise ValueError("no machines here")

    lab = Lab(clock=ManualClock(), machines=none)
    with pytest.raises(ValueError, match="no machines here"):
        lab.start()
    lab.close()
