"""A laboratory's side of the seam, that machines can be tried with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from spawn.testing.ec2lab.boot.plan import BootPlan
from spawn.testing.ec2lab.boot.sandboxes import CannotBoot, RealMachines
from spawn.testing.ec2lab.machines import Ending, Machine

PATIENCE_S = 60.0


class Recorder:
    """A hypervisor that remembers what machines told."""

    def __init__(self, endpoint: str = "http://127.0.0.1:9") -> None:
        self.endpoint = endpoint
        self.events: list[tuple[str, Ending | None]] = []
        self.at_running: Callable[[str], None] = lambda _: None
        self._changed = threading.Condition()

    def running(self, instance_id: str) -> None:
        self.at_running(instance_id)
        with self._changed:
            self.events.append((instance_id, None))
            self._changed.notify_all()

    def ended(self, instance_id: str, ending: Ending) -> None:
        with self._changed:
            self.events.append((instance_id, ending))
            self._changed.notify_all()

    def credentials(self, role: str) -> Mapping[str, str]:
        if role != "role-of-spored":
            raise KeyError(role)
        return {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "a/secret", "Token": "a token", "Expiration": "2099-01-01T00:00:00Z"}

    def ends(self, instance_id: str) -> list[Ending]:
        return [ending for name, ending in self.events if name == instance_id and ending is not None]

    def wait(self, done: Callable[[], bool]) -> None:
        """Until something is so, looked at whenever a machine tells something."""
        with self._changed:
            assert self._changed.wait_for(done, PATIENCE_S), f"never came: so far {self.events}"

    def wait_for_end(self, machine: Machine, times: int = 1) -> Ending:
        self.wait(lambda: len(self.ends(machine.instance_id)) >= times)
        return self.ends(machine.instance_id)[-1]

    def wait_for_start(self, machine: Machine, times: int = 1) -> None:
        self.wait(lambda: self.events.count((machine.instance_id, None)) >= times)


_numbers = iter(range(1, 10_000))


def a_machine(user_data: str | bytes = b"", **changes: object) -> Machine:
    """A machine like no other before it."""
    number = next(_numbers)
    facts: dict[str, object] = {
        "instance_id": f"i-{number:017x}",
        "launch_index": 0,
        "token": "a-client-token",
        "region": "us-east-1",
        "zone": "us-east-1b",
        "type": "c7i.large",
        "architecture": "x86_64",
        "vcpus": 2,
        "image": "ami-al2023",
        "user_data": user_data.encode() if isinstance(user_data, str) else user_data,
        "spot": False,
        "shutdown_behavior": "terminate",
        "profile": "profile-of-spored",
        "role": "role-of-spored",
        "key_name": None,
        "private_ip": f"10.0.{number // 250}.{number % 250 + 4}",
    }
    return Machine(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def boots(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RealMachines]]:
    """Makes hosts of machines, one for each plan; all that they had is gone afterwards."""
    made: dict[str, RealMachines] = {}

    def make(**plan: object) -> RealMachines:
        settings: dict[str, object] = {"minute_s": 0.3, "shutdown_s": 10.0, **plan}
        if repr(settings) not in made:
            directory = tmp_path_factory.mktemp("boots") / "lab"
            try:
                made[repr(settings)] = RealMachines(recorder, plan=BootPlan(**settings), directory=directory)  # type: ignore[arg-type]
            except CannotBoot as error:
                pytest.skip(str(error))
        return made[repr(settings)]

    yield make
    for machines in made.values():
        machines.close()


def processes_with(mark: str) -> list[int]:
    """The processes of this whole system that have this in their environment."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found


def python(code: str, *prefix: str) -> subprocess.Popen[str]:
    """Another Python with this project."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    return subprocess.Popen([*prefix, sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
