"""The engine's end of the runner's socket: lines out, nudges in."""

from __future__ import annotations

import logging
import os
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

WIRE = 1
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
        """Say hello on a connected socket; raises ProviderUnavailable when no welcome comes within 15 s or it is of another wire."""
        self._socket = sock
        self._wake = wake
        self.alive = True
        self._incoming = sock.makefile("rb")
        sock.settimeout(ANSWER_WITHIN_S)
        self.send({"op": "hello", "wire": WIRE, "engine": os.getpid(), **hello})
        self.welcome = self._welcome()
        sock.settimeout(None)
        # a runner that is stopped must not stop the engine: writing gives up, reading waits on
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_WITHIN_S, 0))
        self._listener = threading.Thread(target=self._listen, name="runner-nudges", daemon=True)
        self._listener.start()

    def _welcome(self) -> dict[str, Any]:
        try:
            line = self._incoming.readline()
        except OSError as error:
            kind = RunnerHungUp if isinstance(error, ConnectionError) else ProviderUnavailable
            raise kind(f"the runner did not answer: {error}") from error
        if not line:
            raise RunnerHungUp("the runner hung up before it said welcome: see its runner.log")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if answer.get("op") != "welcome":
            raise ProviderUnavailable(f"the runner did not say welcome: {answer.get('message', line[:200])}")
        if answer["wire"] != WIRE:
            raise ProviderUnavailable(f"the runner speaks wire {answer['wire']}, this engine {WIRE}: `spawn engine stop --terminate`, then again")
        return answer

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
