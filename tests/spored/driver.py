"""An engine for tests: speaks the wire to a real runner, and reads its journal."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spored import WIRE

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "src" / "spored" / "__main__.py"
PATIENCE = 20.0
"""Seconds within which everything in these tests has to happen."""


class Runner:
    """A runner process in `directory` and this test's connection to it. Leaving the context ends the runner and all it runs."""

    def __init__(self, directory: Path, *, python: str = sys.executable, flags: tuple[str, ...] = ("-IS",), **options: Any) -> None:
        self.directory = directory
        self.files = directory.parent / f"{directory.name}-arrays"
        self.python = python
        self.flags = flags
        self.options = options
        self.program = PROGRAM
        self.idle_exit = 60.0
        self.cpus = 2000
        self.memory = 1024
        self.process: subprocess.Popen[bytes] | None = None
        self.socket: socket.socket | None = None
        self.welcome: dict[str, Any] = {}
        self.said: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self._buffer = b""

    def __enter__(self) -> Runner:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # --- the process

    def start(self, *, hello: bool = True) -> None:
        """Start the runner, and say hello."""
        self.process = subprocess.Popen(
            [self.python, *self.flags, str(self.program), "run", "--directory", str(self.directory), "--idle-exit", str(self.idle_exit)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **self.options,
        )
        if hello:
            self.hello()

    def connect(self) -> socket.socket:
        """A new connection, as soon as the runner listens."""
        address = str(self.directory / "runner.sock")
        fd = -1
        until = time.monotonic() + PATIENCE
        while True:
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(PATIENCE)
            try:
                if len(address) > 107 and fd < 0 and self.directory.is_dir():
                    fd = os.open(self.directory, os.O_PATH)
                    address = f"/proc/self/fd/{fd}/runner.sock"
                peer.connect(address)
                if fd >= 0:
                    os.close(fd)
                return peer
            except OSError:
                peer.close()
                assert self.process is not None
                assert self.process.poll() is None, f"the runner ended with {self.process.returncode}: {self.log()}"
                assert time.monotonic() < until, "the runner does not listen"
                select.select([], [], [], 0.005)

    def hello(self, **members: Any) -> dict[str, Any]:
        """Connect and be the engine; the answer is `welcome`."""
        if self.socket is not None:
            self.socket.close()
        self._buffer = b""
        self.socket = self.connect()
        hello = {"op": "hello", "wire": WIRE, "engine": os.getpid(), "cpus": self.cpus, "memory": self.memory, **members}
        try:
            self.send(hello)
            self.welcome = self.receive()
        except (ConnectionError, EOFError):
            # A runner that was killed while it made a process listens until that has executed its program.
            self.socket.close()
            self.socket = self.connect()
            self.send(hello)
            self.welcome = self.receive()
        return self.welcome

    def kill(self) -> None:
        """As by kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Shut the runner down without mercy for its children, and wait for it."""
        if self.process is not None and self.process.poll() is None:
            try:
                if self.socket is None:
                    self.socket = self.connect()
                self.send({"op": "shutdown", "grace_s": 0})
                self.process.wait(PATIENCE)
            except (OSError, subprocess.TimeoutExpired, AssertionError):
                self.kill()
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def log(self) -> str:
        """What the runner wrote for whoever looks."""
        try:
            return (self.directory / "runner.log").read_text()
        except OSError:
            return ""

    # --- the socket

    def send(self, message: dict[str, Any]) -> None:
        """Send one line."""
        assert self.socket is not None
        self.said.append(message)
        self.socket.settimeout(PATIENCE)
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next line."""
        assert self.socket is not None
        self.socket.settimeout(timeout)
        while b"\n" not in self._buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError(f"the runner hung up: {self.log()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        self.heard.append(message)
        return message

    def error(self) -> str:
        """The text of the next `error`."""
        while True:
            message = self.receive()
            if message["op"] == "error":
                return str(message["message"])

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """One question on a connection of its own, as scripts do."""
        with self.connect() as peer:
            peer.sendall(json.dumps(message).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                answer += peer.recv(1 << 16)
        return json.loads(answer)

    # --- arrays

    def spec(self, **members: Any) -> dict[str, Any]:
        """A spec for /bin/true, changed by `members`."""
        size = members.get("size", 1)
        base = {
            "id": "11111111-2222-4333-8444-555555555555",
            "name": "test",
            "size": size,
            "is_array": True,
            "first": 0,
            "last": size - 1,
            "argv": ["/bin/true"],
            "script": None,
            "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.files)},
            "workdir": "/",
            "directory": str(self.files / "a"),
            "private_tmp": False,
            "visible": [],
            "cpus": 1000,
            "memory": 0,
            "memory_limit": False,
            "timeout_s": None,
            "ttl_s": None,
            "grace_s": 5,
            "keep": False,
            "max_concurrent": None,
            "compat_env": True,
            "queue": "default",
            "compute_environment": "local",
            "umask": 0o022,
        }
        return {**base, **members}

    def array(self, key: str | None = None, **members: Any) -> str:
        """Describe an array; its key."""
        key = key or secrets.token_hex(5)
        self.send({"op": "array", "key": key, "spec": self.spec(**members)})
        return key

    def begin(self, key: str, *positions: int, attempt: int = 1, **members: Any) -> list[str]:
        """Ask for children whose index is their position; their attempt ids."""
        self.send({"op": "start", "key": key, "children": [[position, position, attempt] for position in positions], **members})
        return [f"{key}:{position}:{attempt}" for position in positions]

    def one(self, **members: Any) -> str:
        """Describe an array of one child and start it; its attempt id."""
        return self.begin(self.array(**members), 0)[0]

    def sh(self, script: str, **members: Any) -> str:
        """Start one child that runs `script`; its attempt id."""
        return self.one(argv=["/bin/sh", "-c", script], **members)

    # --- the journal

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event in the journal until now."""
        for segment in sorted((self.directory / "journal").glob("*.jsonl")):
            for line in segment.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def of(self, attempt: str) -> dict[str, dict[str, Any]]:
        """The events of one attempt, by kind."""
        return {event["e"]: event for event in self.events() if event.get("a") == attempt}

    def wait(self, condition: Callable[[], Any], what: str = "the condition") -> Any:
        """What `condition` gives as soon as it is true; looked at again whenever the journal grows, and every few milliseconds."""
        until = time.monotonic() + PATIENCE
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < until, f"{what} did not come about: {list(self.events())} {self.log()}"
            if self.socket is not None:
                select.select([self.socket], [], [], 0.01)
                try:
                    self.receive(0.001)
                except (TimeoutError, EOFError, OSError):
                    select.select([], [], [], 0.005)

    def event(self, attempt: str, kind: str) -> dict[str, Any]:
        """The event of this kind, once it is there."""
        return self.wait(lambda: self.of(attempt).get(kind), f"{kind} of {attempt}")

    def ended(self, attempt: str) -> dict[str, Any]:
        """The `ended` of an attempt, once it is there."""
        return self.event(attempt, "ended")

    def output(self, attempt: str, array: str = "a", index: int | None = None) -> str:
        """What the attempt has written to stdout and stderr; nothing before it starts."""
        _, position, number = attempt.split(":")
        index = int(position) if index is None else index
        log = self.files / array / str(int(position) // 1000) / f"{index}-{number}.log"
        return log.read_text() if log.exists() else ""


def alive(pid: int) -> bool:
    """Whether a process with this pid exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def end_process(pid: int) -> None:
    """Make sure that a process a test knows of is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
