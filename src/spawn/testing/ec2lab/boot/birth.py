"""From a fork of the host to the first process of a machine."""

from __future__ import annotations

import base64
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from spawn.testing.ec2lab.boot import disks, kernel, views
from spawn.testing.ec2lab.boot.disks import Disk
from spawn.testing.ec2lab.boot.first import Facts, First
from spawn.testing.ec2lab.boot.plan import EVERY_IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is the same for all machines of a host."""

    setting: Mapping[str, Any]
    places: Mapping[str, str]  #: visible places, and where the host has them
    overlaid: bool
    owned: bool
    stand_ins: frozenset[str]

    @property
    def directory(self) -> Path:
        """The laboratory's."""
        return Path(self.setting["directory"])


def become_machine(world: World, order: Mapping[str, Any], line: socket.socket, tell: int) -> NoReturn:
    """Make the machine's first process and end; its number, or why there is none, goes to `tell`."""
    try:
        signal.set_wakeup_fd(-1)
        kernel.unshare(kernel.NEW_NS | kernel.NEW_PID | kernel.NEW_UTS | kernel.NEW_IPC)
        pid = os.fork()
        if pid != 0:
            os.write(tell, b"%d" % pid)
            os._exit(0)
    except OSError as error:
        os.write(tell, str(error).encode())
        os._exit(1)
    os.close(tell)
    console = os.open(world.directory / "machines" / order["id"] / "console", os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _live(world, order, line, console)
    except BaseException as error:
        os.write(console, f"the machine broke down: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(1)


def _live(world: World, order: Mapping[str, Any], line: socket.socket, console: int) -> None:
    first, last = sorted((line.fileno(), console))
    for start, stop in ((3, first), (first + 1, last), (last + 1, 1 << 20)):
        os.closerange(start, stop)  # what the host has open, of other machines too
    line.recv(3)  # go: from here on the host is the parent
    kernel.die_with_parent()
    disk = _disk(world, order)
    if not disk.is_made():
        disks.make(disk, _files(world, order["image"]), world.stand_ins, overlaid=world.overlaid, owned=world.owned)
    disks.clear_what_is_memory(disk)
    views.enter(str(world.directory / "base"), disk.path, disk.local, world.places)
    kernel.set_hostname(disk.hostname)
    kernel.drop_what_reaches_beyond()
    for fd in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), fd)
    facts = Facts(
        hostname=disk.hostname,
        user_data=base64.b64decode(order["user_data"]),
        environment=order["environment"],
        minute_s=world.setting["minute_s"],
        shutdown_s=world.setting["shutdown_s"],
    )
    First(facts, line, console).run()


def _disk(world: World, order: Mapping[str, Any]) -> Disk:
    place = world.directory / "machines" / order["id"]
    (place / "disk").mkdir(exist_ok=True)
    (place / "local").mkdir(exist_ok=True)
    return Disk(
        path=str(place / "disk"),
        local=str(place / "local"),
        instance_id=order["id"],
        hostname="ip-" + order["private_ip"].replace(".", "-"),
        private_ip=order["private_ip"],
        environment=order["environment"],
    )


def _files(world: World, image: str) -> dict[str, tuple[bytes, int]]:
    """What the image adds to a new disk."""
    files = {**world.setting["files"].get(EVERY_IMAGE, {}), **world.setting["files"].get(image, {})}
    return {path: (Path(source).read_bytes(), mode) for path, (source, mode) in files.items()}
