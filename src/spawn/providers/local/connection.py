"""The engine's end of the runner's socket: lines out, nudges in."""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from spawn.domain.errors import ProviderUnavailable

WIRE = 2
ELDER_WIRES = (1,)
"""Wires of earlier versions whose runners can still be asked what they have, told to stop it and told to end; nothing else is said to them."""
ANSWER_WITHIN_S = 15.0
SEND_WITHIN_S = 10

_log = logging.getLogger(__name__)
_ENCODER = msgspec.json.Encoder()
_PATH_LIMIT = 107


class RunnerHungUp(ProviderUnavailable):
    """It ended the connection before it had said anything."""


class RunnerConnection:
    """One connection to one life of the runner. When it breaks it stays broken: a new one is made."""

    def __init__(self, sock: socket.socket, *, hello: dict[str, object], wake: Callable[[], None]) -> None:
        """Say hello on a connected socket; raises ProviderUnavailable when no welcome comes within 15 s, or none of a wire that is spoken here."""
        self._socket = sock
        self._wake = wake
        self.alive = True
        self._incoming = sock.makefile("rb")
        sock.settimeout(ANSWER_WITHIN_S)
        try:
            self.welcome = self._greet(hello)
            if self.is_elder:
                # what had ended before the first welcome is in the journal before the second
                self.welcome = self._greet(hello)
        except BaseException:
            self._incoming.close()
            self.close()
            raise
        sock.settimeout(None)
        # a runner that is stopped must not stop the engine: writing gives up, reading waits on
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_WITHIN_S, 0))
        self._listener = threading.Thread(target=self._listen, name="runner-nudges", daemon=True)
        self._listener.start()

    def _greet(self, hello: dict[str, object]) -> dict[str, Any]:
        """The welcome of the newest wire that the runner speaks; a runner refuses any other and listens on."""
        refusals = []
        for wire in (WIRE, *ELDER_WIRES):
            self.send({"op": "hello", "wire": wire, "engine": os.getpid(), **hello})
            answer = self._answer()
            if answer.get("op") == "welcome":
                return answer
            refusals.append(answer.get("message", answer))
        raise ProviderUnavailable(f"the runner did not say welcome: {refusals[0]}")

    def _answer(self) -> dict[str, Any]:
        """The next line that is not only a nudge."""
        while True:
            try:
                line = self._incoming.readline()
            except OSError as error:
                kind = RunnerHungUp if isinstance(error, ConnectionError) else ProviderUnavailable
                raise kind(f"the runner did not answer: {error}") from error
            if not line:
                raise RunnerHungUp("the runner hung up before it said welcome: see its runner.log")
            answer: dict[str, Any] = msgspec.json.decode(line)
            if answer.get("op") != "grew":
                return answer

    @property
    def is_elder(self) -> bool:
        """Whether an earlier version left this runner, so that nothing new may be handed to it."""
        return bool(self.welcome["wire"] != WIRE)

    def send(self, message: dict[str, object]) -> None:
        """Send one line; RunnerHungUp when the other side is gone, or takes nothing for 10 s."""
        if self.alive:
            try:
                self._socket.sendall(_ENCODER.encode(message) + b"\n")
            except OSError:
                self.alive = False
        if not self.alive:
            raise RunnerHungUp("the runner does not take what it is told: see its runner.log")

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            for line in self._incoming:
                if b'"error"' in line[:20]:
                    _log.error("the runner did not understand the engine: %s", line[:500].decode(errors="replace"))
                self._wake()
        self.alive = False
        self._wake()

    def join(self, timeout_s: float) -> None:
        """Wait until the other side has hung up, at most so long."""
        self._listener.join(timeout_s)

    def kill_runner(self) -> None:
        """End a runner that has nothing to do, as a crash would: what it keeps for ended attempts lives on, and the next runner knows of it."""
        pid, _, _ = struct.unpack("iII", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.join(ANSWER_WITHIN_S)

    def close(self) -> None:
        """Hang up; the runner goes on by itself."""
        self.alive = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def connect(path: Path) -> socket.socket | None:
    """A socket connected to the runner's, None when nobody listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if len(os.fsencode(path)) <= _PATH_LIMIT:
            sock.connect(str(path))
        else:
            # a socket's address has room for 107 bytes; through the directory's descriptor any path fits
            directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                sock.connect(f"/proc/self/fd/{directory}/{path.name}")
            finally:
                os.close(directory)
    except OSError:
        sock.close()
        return None
    return sock


def start_runner(directory: Path) -> subprocess.Popen[bytes]:
    """Start `spored run` in a session of its own, with nothing but the standard library, so that it is small and quick."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "runner.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-IS", str(spored_path()), "run", "--directory", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8"), "SPAWN_DETACHED": "1"},
        )


def spored_path() -> Path:
    """The program of the agent, found without importing it."""
    from importlib.util import find_spec

    spec = find_spec("spored")
    if spec is None or not spec.submodule_search_locations:
        raise ProviderUnavailable("spored is not installed beside spawn: install spawn-arrays again")
    return Path(spec.submodule_search_locations[0]) / "__main__.py"
