"""The process that all machines are children of. It has one thread, asks and answers on its standard input, and takes its machines with it."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from spawn.testing.ec2lab.boot import birth, kernel, views
from spawn.testing.ec2lab.boot.birth import World
from spawn.testing.ec2lab.boot.loop import Loop, Timer
from spawn.testing.ec2lab.boot.shutdowns import REBOOT

_CUT_OFF_S = 2.0  #: a machine that has not ended so long after its time is cut off


@dataclass(slots=True)
class Powered:
    """A machine that is on."""

    order: dict[str, Any]
    pid: int
    line: socket.socket
    text: bytearray = field(default_factory=bytearray)
    booting: bool = True
    pressed: bool = False
    cut: bool = False
    off: str | None = None
    timer: Timer | None = None


class Host:
    """Boots machines, at most `at_once` at the same time, and says when they are up and when they are off."""

    def __init__(self, lab: socket.socket, setting: dict[str, Any]) -> None:
        self.loop = Loop()
        self._lab = lab
        self._directory = Path(setting["directory"])
        self._setting = setting
        self._machines: dict[str, Powered] = {}
        self._again: dict[str, dict[str, Any]] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._delays: dict[str, tuple[Timer, dict[str, Any]]] = {}
        self._text = bytearray()
        owned = _leave_the_system()
        kernel.keep_mounts_to_ourselves()
        kernel.adopt_orphans()
        base, tools = str(self._directory / "base"), str(self._directory / "tools")
        places, overlaid = views.make_base(base, tools, setting["visible"])
        self._world = World(setting=setting, places=places, overlaid=overlaid, owned=owned, stand_ins=frozenset(os.listdir(tools)))

    def run(self) -> NoReturn:
        """Go on until the laboratory is gone."""
        self.loop.watch(self._lab.fileno(), self._asked)
        self._tell({"e": "up"})
        gc.collect()
        gc.freeze()  # so that machines share what they do not change
        while True:
            self.loop.turn()

    def _tell(self, event: dict[str, object]) -> None:
        try:
            self._lab.sendall(json.dumps(event).encode() + b"\n")
        except OSError:
            self._leave()

    def _tell_ended(self, order: dict[str, Any], how: str) -> None:
        self._tell({"e": "ended", "id": order["id"], "how": how, "generation": order["generation"]})

    def _asked(self) -> None:
        part = self._lab.recv(1 << 20)
        if not part:
            self._leave()
        self._text += part
        *lines, rest = self._text.split(b"\n")
        self._text = bytearray(rest)
        for line in lines:
            order = json.loads(line)
            acts: dict[str, Callable[[dict[str, Any]], None]] = {"boot": self._order, "press": self._press, "cut": self._cut}
            acts[order["op"]](order)

    def _leave(self) -> NoReturn:
        """Cut every machine off, and go when nothing of them runs."""
        for machine in self._machines.values():
            os.kill(machine.pid, signal.SIGKILL)
        for machine in self._machines.values():
            try:
                os.waitpid(machine.pid, 0)
            except ChildProcessError:
                pass
        os._exit(0)

    # Orders

    def _order(self, order: dict[str, Any]) -> None:
        name = order["id"]
        if name in self._machines:
            machine = self._machines[name]
            if machine.pressed or machine.cut or machine.off is not None:
                self._again[name] = order
        elif name not in self._delays and all(other["id"] != name for other in self._waiting):
            self._delays[name] = self.loop.later(self._setting["boot_s"], lambda: self._due(order)), order

    def _due(self, order: dict[str, Any]) -> None:
        self._delays.pop(order["id"], None)
        self._waiting.append(order)
        self._boot_waiting()

    def _boot_waiting(self) -> None:
        while self._waiting and sum(machine.booting for machine in self._machines.values()) < self._setting["at_once"]:
            self._power_on(self._waiting.popleft())

    def _take_back(self, name: str) -> None:
        """Forget an order to boot that waits: that machine has ended."""
        orders = [self._again.pop(name, None)]
        timer, order = self._delays.pop(name, (None, None))
        if timer is not None:
            timer.cancel()
        orders += [order, *(waiting for waiting in self._waiting if waiting["id"] == name)]
        self._waiting = deque(waiting for waiting in self._waiting if waiting["id"] != name)
        for order in filter(None, orders):
            self._tell_ended(order, "pressed")

    def _press(self, order: dict[str, Any]) -> None:
        name = order["id"]
        self._take_back(name)
        machine = self._machines.get(name)
        if machine is None or machine.pressed:
            return
        machine.pressed = True
        try:
            machine.line.send(b"press\n")
        except OSError:
            pass  # it is ending already
        machine.timer = self.loop.later(self._setting["shutdown_s"] + _CUT_OFF_S, lambda: os.kill(machine.pid, signal.SIGKILL))

    def _cut(self, order: dict[str, Any]) -> None:
        name = order["id"]
        self._take_back(name)
        machine = self._machines.get(name)
        if machine is not None:
            machine.cut = True
            os.kill(machine.pid, signal.SIGKILL)

    # Power

    def _power_on(self, order: dict[str, Any]) -> None:
        name = order["id"]
        try:
            pid, ours = self._make(order)
        except OSError as error:
            with open(self._directory / "machines" / name / "console", "a", encoding="utf-8") as file:
                file.write(f"the machine could not be made: {error}\n")
            self._tell_ended(order, "failed")
            return
        machine = self._machines[name] = Powered(order=order, pid=pid, line=ours)
        self.loop.watch(ours.fileno(), lambda: self._heard(machine))
        self.loop.on_end(machine.pid, lambda _status: self._off(name, machine))
        ours.send(b"go\n")

    def _make(self, order: dict[str, Any]) -> tuple[int, socket.socket]:
        """The first process of a new machine, and the line to it."""
        ours, its = socket.socketpair()
        told, tell = os.pipe2(os.O_CLOEXEC)
        with its, open(told, encoding="utf-8") as file:
            try:
                between = os.fork()
                if between == 0:
                    birth.become_machine(self._world, order, its, tell)
            finally:
                os.close(tell)
            answer = file.read()
            os.waitpid(between, 0)
        ours.setblocking(False)
        if not answer.isdigit():
            ours.close()
            raise OSError(answer or "it ended before it began")
        return int(answer), ours

    def _register(self, order: dict[str, Any], pid: int) -> None:
        """Say to `ssh` where the machine with these addresses is."""
        for path in self._addresses(order):
            new = path.with_name(path.name + ".new")
            new.write_text(json.dumps({"instance_id": order["id"], "pid": pid, "user_namespace": not self._world.owned}), encoding="ascii")
            new.rename(path)

    def _addresses(self, order: dict[str, Any]) -> list[Path]:
        return [self._directory / "addresses" / address for address in (order["private_ip"], order["public_ip"]) if address is not None]

    def _heard(self, machine: Powered) -> None:
        try:
            part = machine.line.recv(4096)
        except OSError:
            part = b""
        if not part:
            self.loop.forget(machine.line.fileno())
            machine.line.close()
            return
        machine.text += part
        *lines, rest = machine.text.split(b"\n")
        machine.text = bytearray(rest)
        for line in lines:
            event = json.loads(line)
            if event["e"] == "up":
                self._is_up(machine)
            else:
                machine.off = event.get("how")
                machine.booting = False
                self._boot_waiting()

    def _is_up(self, machine: Powered) -> None:
        self._register(machine.order, machine.pid)
        if not machine.order.get("reboot"):
            self._tell({"e": "running", "id": machine.order["id"]})

    def _off(self, name: str, machine: Powered) -> None:
        while machine.line.fileno() >= 0:
            self._heard(machine)
        del self._machines[name]
        for path in self._addresses(machine.order):
            path.unlink(missing_ok=True)
        if machine.timer is not None:
            machine.timer.cancel()
        if machine.off == REBOOT and not machine.pressed and not machine.cut:
            self._due({**machine.order, "reboot": True})
            return
        how = "pressed" if machine.pressed else "off" if machine.off is not None else "cut" if machine.cut else "died"
        self._tell_ended(machine.order, how)
        again = self._again.pop(name, None)
        if again is not None:
            self._order(again)
        self._boot_waiting()


def _leave_the_system() -> bool:
    """Enter namespaces in which this process may do what machines need; whether users other than root exist there."""
    if os.geteuid() == 0:
        try:
            kernel.unshare(kernel.NEW_NS)
            return True
        except PermissionError:
            pass  # root of a container may do no more than other users
    kernel.become_root_of_ones_own(uid=os.geteuid(), gid=os.getegid())
    return False


def main() -> NoReturn:
    """Read the setting from the first line of standard input, a socket, and be the host."""
    lab = socket.socket(fileno=os.dup(0))
    text = bytearray()
    while not text.endswith(b"\n"):
        part = lab.recv(1)
        if not part:
            os._exit(1)
        text += part
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a line to each machine
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the laboratory, which closes its machines
    try:
        host = Host(lab, json.loads(text))
    except OSError as error:
        lab.sendall(json.dumps({"e": "refused", "why": error.strerror or str(error)}).encode() + b"\n")
        sys.exit(1)
    host.run()


if __name__ == "__main__":
    main()
