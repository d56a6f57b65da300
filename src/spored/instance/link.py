"""The instance's own runner: started when it is not there, greeted, and spoken to as an engine does (docs/wire.md)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any, Callable, NamedTuple

from spored import WIRE
from spored.address import socket_address
from spored.home import this_program
from spored.loop import Loop, now

_LOOK_AGAIN_S = 0.05
_ANSWER_WITHIN_S = 15.0
_STARTED_AGAIN_AFTER_S = 1.0


class Heard(NamedTuple):
    """What the link tells."""

    ready: Callable[[dict[str, Any]], None]  #: a runner said welcome, with these words: everything it is to know has to be said (again)
    grew: Callable[[], None]  #: there may be something new in the journal
    said: Callable[[str], None]  #: something for whoever looks into the log


class RunnerLink:
    """One connection to the runner of a directory, made again whenever it breaks. Nothing here waits."""

    def __init__(self, loop: Loop, directory: str, capacity: dict[str, int], heard: Heard) -> None:
        self._loop = loop
        self._directory = directory
        self._capacity = capacity
        self._heard = heard
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = float("-inf")
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._greeted = False
        self._given_up = False
        self._ended_with: int | None = None

    def open(self) -> None:
        """See that there is a runner that listens. Again, while there is one: nothing."""
        if self._socket is not None or self._given_up:
            return
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(_ANSWER_WITHIN_S)
        fd = -1
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            address, fd = socket_address(self._directory)
            peer.connect(address)
        except OSError:
            peer.close()
            self._start()
            self._loop.after(_LOOK_AGAIN_S, self.open)
            return
        finally:
            if fd >= 0:
                os.close(fd)
        self._socket, self._buffer, self._greeted = peer, b"", False
        self._loop.watch(peer.fileno(), self._readable)
        self._write({"op": "hello", "wire": WIRE, "engine": os.getpid(), **self._capacity})

    def _start(self) -> None:
        """Start a runner, unless one was started and lives, or one was a moment ago."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            if code != self._ended_with:
                self._ended_with = code
                self._heard.said(f"the runner ended with {code} (see {self._directory}/runner.log) and is started again")
        if now() - self._started_at < _STARTED_AGAIN_AFTER_S:
            return
        self._started_at = now()
        with open(os.open(os.path.join(self._directory, "runner.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-IS", this_program(), "run", "--directory", self._directory],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )

    def send(self, message: dict[str, Any]) -> None:
        """Send one line to a runner that said welcome; to none: nothing. When that fails the connection is made anew, and `ready` follows."""
        if self._greeted:
            self._write(message)

    def _write(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps(message).encode("ascii") + b"\n")
        except OSError as error:
            self._broken(f"the runner does not listen: {error}")

    def _readable(self, _events: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._broken("the runner hung up")
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["op"] == "welcome":
            self._greeted = True
            self._heard.ready(message)
        elif message["op"] == "error":
            self._heard.said(f"the runner did not understand: {str(message.get('message'))[:500]}")
            if not self._greeted:
                self._broken("the runner said no welcome")
                return
        self._heard.grew()

    def _broken(self, why: str) -> None:
        if self._socket is None:
            return
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._socket, self._greeted = None, False
        if not self._given_up:
            self._heard.said(why)
            self._loop.after(_LOOK_AGAIN_S, self.open)
        self._heard.grew()

    def shut_down(self) -> None:
        """Let the runner end, with what it keeps, and start none again."""
        self.send({"op": "shutdown", "grace_s": 0})
        self._given_up = True
        if not self._greeted:
            self._broken("no runner to end")

    @property
    def is_shut(self) -> bool:
        """Whether it was told to end."""
        return self._given_up

    @property
    def is_gone(self) -> bool:
        """Whether the runner that was told to end has hung up."""
        return self._socket is None

    def reap(self) -> None:
        """Take note of a runner that has ended."""
        if self._process is not None:
            self._process.poll()
