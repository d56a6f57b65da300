"""The first process of a machine: boots it, answers its stand-ins, and ends it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from spawn.testing.ec2lab.boot import answers, client, processes, requests, services
from spawn.testing.ec2lab.boot.disks import PATH
from spawn.testing.ec2lab.boot.loop import Loop, Timer
from spawn.testing.ec2lab.boot.shutdowns import OFF, REBOOT, Request
from spawn.testing.ec2lab.boot.units import Unit

_BOOT_IS_OVER_S = 30.0  #: user data that goes on for longer holds up no other machine's boot
_CONSOLE_BYTES = 1 << 20
_KEPT_BYTES = 1 << 16
_LOOK_S = 0.05
_PART = "/var/lib/cloud/instance/scripts/part-001"
_SCHEDULED = "/run/systemd/shutdown/scheduled"
_LOG = "/var/log/cloud-init-output.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the first process knows of its machine."""

    hostname: str
    user_data: bytes
    environment: Mapping[str, str]
    minute_s: float
    shutdown_s: float


class First:
    """PID 1. What it has open: a line to the host, the console's file, and what its stand-ins ask on."""

    def __init__(self, facts: Facts, host: socket.socket, console: int) -> None:
        self.loop = Loop()
        self.environment: Mapping[str, str] = {"PATH": PATH, "LANG": "C.UTF-8", **facts.environment}
        self.units: dict[str, Unit] = {}
        self.minute_s = facts.minute_s
        self.scheduled: tuple[Request, float] | None = None
        self._facts = facts
        self._host = host
        self._console = console
        self._timer: Timer | None = None
        self._ending: str | None = None
        self._told_ready = False
        self._until = 0.0

    def run(self) -> NoReturn:
        """Boot, and go on until the machine ends."""
        self._host.setblocking(False)
        self.loop.watch(self._host.fileno(), self._told)
        os.makedirs("/run/systemd/system", exist_ok=True)
        os.makedirs("/run/lock", exist_ok=True)
        self._open_console()
        self._listen()
        self._tell({"e": "up"})
        self.loop.later(_BOOT_IS_OVER_S, self._ready)
        for name in sorted(os.listdir(services.WANTS)) if os.path.isdir(services.WANTS) else []:
            self._start_wanted(name)
        if os.path.exists(_PART + ".ran") or not self._facts.user_data:
            self._ready()
        else:
            self._run_user_data()
        while True:
            self.loop.turn()

    # What the host says

    def _told(self) -> None:
        try:
            text = self._host.recv(4096)
        except BlockingIOError:
            return
        if not text:
            os._exit(1)  # the host is gone, so the power is
        if b"press" in text:
            self.end(OFF)

    def _tell(self, event: Mapping[str, object]) -> None:
        try:
            self._host.send(json.dumps(event).encode() + b"\n")
        except OSError:
            pass  # it will be seen from the end of this process

    def _ready(self) -> None:
        if not self._told_ready:
            self._told_ready = True
            self._tell({"e": "ready"})

    # The console and the journal

    def say(self, text: bytes) -> None:
        """Write on the console; of much that was written the last part stays."""
        os.write(self._console, text)
        if os.fstat(self._console).st_size > _CONSOLE_BYTES:
            kept = os.pread(self._console, _KEPT_BYTES, os.fstat(self._console).st_size - _KEPT_BYTES)
            os.ftruncate(self._console, 0)
            os.write(self._console, kept)

    def _open_console(self) -> None:
        fifo = os.open("/dev/console", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._pump(fifo, None)

    def _pump(self, source: int, log: int | None) -> None:
        """Copy what comes from `source` to the console, and to `log`."""

        def copy() -> None:
            try:
                text = os.read(source, 1 << 16)
            except BlockingIOError:
                return
            if not text:
                self.loop.forget(source)
                os.close(source)
                if log is not None:
                    os.close(log)
                return
            if log is not None:
                os.write(log, text)
            self.say(text)

        self.loop.watch(source, copy)

    def output(self, name: str, *, on_console: bool) -> int:
        """A file to write what a service says, to be closed after use."""
        log = os.open(answers.journal_of(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._teed(log) if on_console else log

    def _teed(self, log: int) -> int:
        source, sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(source, False)
        self._pump(source, log)
        return sink

    def note(self, name: str, text: str) -> None:
        """Write a line of the manager's own into a service's journal."""
        with open(answers.journal_of(name), "a", encoding="utf-8") as file:
            file.write(f"systemd[1]: {name}: {text}\n")

    # Boot

    def _start_wanted(self, name: str) -> None:
        try:
            self.unit(name).start(lambda why_not: None if why_not is None else self.say(f"[FAILED] {why_not}\n".encode()))
        except (ValueError, OSError) as error:
            self.say(f"[FAILED] {error}\n".encode())

    def unit(self, name: str) -> Unit:
        """A service by its name, as its unit file is now, unless it is up. BadUnit when there is none."""
        known = self.units.get(name)
        if known is not None and not known.is_down:
            return known
        service = services.find(name)
        if service is None:
            raise services.BadUnit(f"Unit {name} not found.")
        if service.not_understood:
            self.note(name, f"The laboratory does not act on {', '.join(service.not_understood)}.")
        if known is None:
            known = self.units[name] = Unit(service, self)
        known.service = service
        return known

    def _run_user_data(self) -> None:
        script, why_not = _script_of(self._facts.user_data)
        with open(_PART + ".ran", "wb"):
            pass
        if script is None:
            self.say(f"cloud-init: {why_not}\n".encode())
            self._ready()
            return
        with open(_PART, "wb", opener=lambda name, flags: os.open(name, flags, 0o700)) as file:
            file.write(script)
        sink = self._teed(os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640))
        pid = processes.start(processes.Program(argv=[_PART], environment=self.environment), sink)
        os.close(sink)
        self.loop.on_end(pid, self._user_data_ended)

    def _user_data_ended(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and self._ending is None:
            self.say(f"cloud-init: part-001 of the user data ended with {code}\n".encode())
        self._ready()

    # The stand-ins

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(client.SOCKET)
        listener.listen(64)
        self.loop.watch(listener.fileno(), lambda: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        asking, _ = listener.accept()
        asking.setblocking(False)
        text = bytearray()

        def read() -> None:
            try:
                part = asking.recv(1 << 16)
            except BlockingIOError:
                return
            text.extend(part)
            if not part or text.endswith(b"\n"):
                self.loop.forget(asking.fileno())
                self._answer(asking, bytes(text))

        self.loop.watch(asking.fileno(), read)

    def _answer(self, asking: socket.socket, text: bytes) -> None:
        def reply(answer: answers.Answer) -> None:
            asking.setblocking(True)
            asking.settimeout(5)
            try:
                asking.sendall(json.dumps({"code": answer.code, "out": answer.out, "err": answer.err}).encode() + b"\n")
            except OSError:
                pass  # it did not wait
            asking.close()

        try:
            asked = json.loads(text)
            requests.handle(self, asked["program"], asked["words"], asked["input"], reply)
        except (ValueError, KeyError, OSError) as error:
            reply(answers.Answer(code=1, err=f"{error}\n"))

    # The end

    def schedule(self, request: Request) -> float:
        """End the machine at the request's time, instead of at any earlier one; when that is, in seconds since the epoch."""
        self.cancel()
        wait = request.minutes * self.minute_s
        at = time.time() + wait
        self.scheduled = request, at
        os.makedirs(os.path.dirname(_SCHEDULED), exist_ok=True)
        with open(_SCHEDULED, "w", encoding="ascii") as file:
            file.write(f"USEC={round(at * 1e6)}\nWARN_WALL=1\nMODE={request.how}\n")
        self._timer = self.loop.later(wait, lambda: self.end(request.how))
        return at

    def cancel(self) -> None:
        """Forget the scheduled end."""
        self.scheduled = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            os.unlink(_SCHEDULED)

    def end(self, how: str) -> None:
        """Tell everything to end, and turn the machine off when it has, or when its time is over. Again: nothing."""
        if self._ending is not None:
            return
        self._ending = how
        self.say(b"[  OK  ] Reached target reboot.target.\n" if how == REBOOT else b"[  OK  ] Reached target poweroff.target.\n")
        self._until = time.monotonic() + self._facts.shutdown_s
        for unit in self.units.values():
            unit.stop(_nothing, within_s=self._facts.shutdown_s)
        of_units = {pid for unit in self.units.values() if not unit.is_down for pid in unit.members()}
        processes.send(processes.everybody().keys() - of_units, signal.SIGTERM)
        self._look(units_are_down=False)

    def _look(self, *, units_are_down: bool) -> None:
        left = processes.everybody().keys()
        if not units_are_down and all(unit.is_down for unit in self.units.values()):
            units_are_down = True
            processes.send(left, signal.SIGTERM)  # what services left behind
        if (units_are_down and not left) or time.monotonic() >= self._until:
            self._tell({"e": "off", "how": self._ending})
            os._exit(0)  # and with it everything that is left
        self.loop.later(_LOOK_S, lambda: self._look(units_are_down=units_are_down))


def _nothing() -> None:
    pass


def _script_of(user_data: bytes) -> tuple[bytes | None, str]:
    """The script that user data are, or why they are none."""
    if user_data[:2] == b"\x1f\x8b":
        try:
            user_data = gzip.decompress(user_data)
        except (OSError, EOFError, zlib.error) as error:
            return None, f"the user data cannot be decompressed: {error}"
    if user_data[:2] == b"#!":
        return user_data, ""
    return None, f"Unhandled non-multipart (text/x-not-multipart) userdata: {user_data[:24]!r}... (the laboratory runs scripts only)"
