"""Machines that really run: each a process tree in a sandbox of its own on this machine."""

from __future__ import annotations

import base64
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from spawn.testing.ec2lab.boot import ssh, tools
from spawn.testing.ec2lab.boot.metadata import MetadataServer
from spawn.testing.ec2lab.boot.plan import BootPlan, find_interpreter
from spawn.testing.ec2lab.machines import Ending, Hypervisor, Machine

_CONSOLE_BYTES = 1 << 16
_REMOVED_AT_ONCE = 4
_UP_S = 30.0


class CannotBoot(Exception):
    """This system does not let anybody, or this user, have machines; the message says why."""


class RealMachines:
    """Machines whose user data really run.

    `directory` must not exist yet, or be empty; nothing of it is left after `close`. No process of a machine outlives the
    process that made this, however that ends. CannotBoot where namespaces cannot be had.
    """

    def __init__(self, hypervisor: Hypervisor, *, plan: BootPlan, directory: Path) -> None:
        self._hypervisor = hypervisor
        self._plan = plan
        self._directory = directory.absolute()
        self._lock = threading.Lock()
        self._machines: dict[str, Machine] = {}
        self._pressed: dict[str, Ending] = {}
        self._generation: dict[str, int] = {}
        self._closed = False
        self._check()
        interpreter = find_interpreter(plan.python)
        self.note = interpreter.note
        for name in ("", "base", "machines", "addresses", "files"):
            (self._directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.metadata = MetadataServer(hypervisor, lambda instance_id: self._machines[instance_id])
        try:
            places = tools.make(self._directory / "tools", plan, interpreter)
            self.ssh = ssh.make(self._directory)
            self._start_host(self._setting(places))
        except BaseException:
            self.metadata.close()
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        # Two, so that the host is heard also while the laboratory is busy with what it said before.
        self._said = queue.SimpleQueue[bytes]()
        self._threads = [threading.Thread(target=act, name="machines", daemon=True) for act in (self._listen, self._pass_on)]
        for thread in self._threads:
            thread.start()

    def _check(self) -> None:
        if self._directory.exists() and any(self._directory.iterdir()):
            raise ValueError(f"{self._directory} is not empty: machines need a directory of their own, which is removed in the end")
        for source in [file.source for files in self._plan.files.values() for file in files.values() if file.source is not None]:
            if not os.path.isfile(source):
                raise ValueError(f"{source!r}, of an image, is no file of this machine")

    def _setting(self, places: Iterable[str]) -> dict[str, Any]:
        """What the host is told once."""
        plan = self._plan
        return {
            "directory": str(self._directory),
            "visible": sorted({*places, *plan.visible}),
            "files": self._stage_files(),
            "boot_s": plan.boot_s,
            "shutdown_s": plan.shutdown_s,
            "minute_s": plan.minute_s,
            "at_once": plan.at_once,
        }

    def _stage_files(self) -> dict[str, dict[str, tuple[str, int]]]:
        """Files of images as files of this machine, so that the host reads them when it needs them."""
        staged: dict[str, dict[str, tuple[str, int]]] = {}
        number = 0
        for image, files in self._plan.files.items():
            staged[image] = {}
            for path, file in files.items():
                source = file.source
                if file.content is not None:
                    number += 1
                    source = str(self._directory / "files" / str(number))
                    Path(source).write_bytes(file.content)
                staged[image][path] = os.path.abspath(source or ""), file.mode
        return staged

    def _start_host(self, setting: dict[str, Any]) -> None:
        ours, its = socket.socketpair()
        package = str(Path(__file__).parents[4])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])}
        words = [sys.executable, "-m", "spawn.testing.ec2lab.boot.host"]
        self._host = subprocess.Popen(words, stdin=its.fileno(), env=environment, cwd="/", start_new_session=True)
        its.close()
        self._line = ours
        self._file = ours.makefile("rb")
        ours.sendall(json.dumps(setting).encode() + b"\n")
        ours.settimeout(_UP_S)
        try:
            answer = json.loads(self._file.readline() or b'{"e": "refused", "why": "the process that hosts machines ended"}')
        except TimeoutError:
            answer = {"e": "refused", "why": f"the process that hosts machines said nothing for {_UP_S:.0f} s"}
        ours.settimeout(None)
        if answer["e"] != "up":
            self._hang_up()
            raise CannotBoot(f"machines cannot boot here: {answer['why']}")

    def _hang_up(self) -> None:
        """Close the line: the host cuts every machine off and ends."""
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the host has gone first
        try:
            self._host.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._host.kill()
            self._host.wait()

    def _tell(self, order: dict[str, Any]) -> None:
        with self._lock:
            if not self._closed:
                self._line.sendall(json.dumps(order).encode() + b"\n")

    # Machines

    def boot(self, machine: Machine) -> None:
        """Power it on, the first time or after `stop`. Running already, or after `close`: nothing."""
        with self._lock:
            if self._closed:
                return
            (self._directory / "machines" / machine.instance_id).mkdir(mode=0o700, exist_ok=True)
            self._machines[machine.instance_id] = machine
            self._generation[machine.instance_id] = generation = self._generation.get(machine.instance_id, 0) + 1
        self.metadata.powered_on(machine.instance_id)
        user_data = base64.b64encode(machine.user_data).decode()
        addresses = {"private_ip": machine.private_ip, "public_ip": machine.public_ip}
        order = {"op": "boot", "id": machine.instance_id, "image": machine.image, "user_data": user_data, **addresses}
        self._tell({**order, "environment": self._environment(machine), "generation": generation})

    def _environment(self, machine: Machine) -> dict[str, str]:
        return {
            "AWS_DEFAULT_REGION": machine.region,
            "AWS_REGION": machine.region,
            "AWS_ENDPOINT_URL": self._hypervisor.endpoint,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.endpoint(machine.instance_id),
            # AWS's default, one attempt of one second, is not for a thousand machines that share two cores
            "AWS_METADATA_SERVICE_TIMEOUT": "20",
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5",
        }

    def shut_down(self, instance_id: str, ending: Ending) -> None:
        """Press its power button: it is told to end, has the plan's `shutdown_s` to do so, and is then cut off. Gone already: nothing."""
        with self._lock:
            self._pressed.setdefault(instance_id, ending)
        self._tell({"op": "press", "id": instance_id})

    def cut(self, instance_id: str) -> None:
        """Cut the power: nothing in it runs any further. Gone already: nothing."""
        self._tell({"op": "cut", "id": instance_id})

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """Tell it by its metadata that the spot market takes it back at a time (seconds since the epoch)."""
        self.metadata.notice(instance_id, action, at)

    def console(self, instance_id: str) -> bytes:
        """The last 64 KiB that it wrote on its console; empty before it boots. KeyError when there is no such machine."""
        if instance_id not in self._machines:
            raise KeyError(instance_id)
        try:
            with open(self._directory / "machines" / instance_id / "console", "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _CONSOLE_BYTES))
                return file.read()
        except FileNotFoundError:
            return b""

    def disk(self, instance_id: str) -> Path:
        """Where the root of its disk is on this machine; /usr/local is beside it, in `local`."""
        return self._directory / "machines" / instance_id / "disk"

    def discard(self, instance_id: str) -> None:
        """Remove the disk and the console of a machine that has ended for good. Again: nothing."""
        with self._lock:
            self._machines.pop(instance_id, None)
        shutil.rmtree(self._directory / "machines" / instance_id, ignore_errors=True)

    def close(self) -> None:
        """Cut every machine off and remove what they left. Again: nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._hang_up()
        for thread in self._threads:
            thread.join()
        self._file.close()
        self._line.close()
        self.metadata.close()
        _remove(self._directory)

    # What the host says

    def _listen(self) -> None:
        for line in self._file:
            self._said.put(line)
        self._said.put(b"")

    def _pass_on(self) -> None:
        acts: dict[str, Callable[[dict[str, Any]], None]] = {"running": self._is_running, "ended": self._has_ended}
        while line := self._said.get():
            event = json.loads(line)
            acts[event["e"]](event)

    def _is_running(self, event: dict[str, Any]) -> None:
        self._hypervisor.running(event["id"])

    def _has_ended(self, event: dict[str, Any]) -> None:
        with self._lock:
            pressed = self._pressed.pop(event["id"], None)
            again = self._generation.get(event["id"], 0) != event["generation"]
        if again:
            return  # it was powered on again before this was heard
        if event["how"] == "pressed" and pressed is not None:
            ending = pressed
        else:
            ending = Ending.SHUTDOWN if event["how"] == "off" else Ending.DIED
        self._hypervisor.ended(event["id"], ending)


def _remove(directory: Path) -> None:
    """Remove what machines left, those of several at a time: each has a system's worth of files."""
    machines = [os.fspath(path) for path in (directory / "machines").iterdir()]
    groups = [machines[first::_REMOVED_AT_ONCE] for first in range(min(_REMOVED_AT_ONCE, len(machines)))]
    for removal in [subprocess.Popen(["rm", "-rf", "--", *group], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for group in groups]:
        removal.wait()
    shutil.rmtree(directory)  # and what could not be removed is named by what this raises
