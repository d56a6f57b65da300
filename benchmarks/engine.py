"""An engine of the benchmark's own, in a state directory that goes with it."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

SPAWN = str(Path(sys.executable).with_name("spawn"))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=600)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class PrivateEngine:
    """Starts an engine on entering, and on leaving ends it with all that runs and removes its files."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="spawn-bench."))
        self.env = {**os.environ, "SPAWN_STATE_DIR": str(self.directory / "state")}

    def __enter__(self) -> Self:
        self.run("engine", "start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        subprocess.run([SPAWN, "engine", "stop", "--terminate", "--yes"], env=self.env, capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run `spawn ARGUMENTS` and give its output; any other exit status ends the benchmark."""
        run = subprocess.run([SPAWN, *arguments], env=self.env, capture_output=True, text=True, cwd=self.directory, check=False)
        if run.returncode != expect:
            sys.exit(f"benchmark: spawn {' '.join(arguments)} ended with {run.returncode}: {run.stderr.strip()[-2000:]}")
        return run.stdout

    def serve(self) -> dict[str, str]:
        """Open the AWS endpoint, or find it open; the variables that `spawn serve` prints, the key pair of this endpoint among them."""
        env = {name: value for name, value in self.env.items() if not name.startswith("AWS_")} | {"HOME": str(self.directory)}
        run = subprocess.run([SPAWN, "serve", "--detach", "--port", "0"], env=env, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            run = subprocess.run([SPAWN, "serve", "--print-env"], env=env, capture_output=True, text=True, check=True)
        words = [word for line in run.stdout.splitlines() for word in shlex.split(line) if "=" in word]
        return dict(word.split("=", 1) for word in words)

    def status(self) -> dict[str, Any]:
        """What `spawn engine status -o json` says."""
        found: dict[str, Any] = json.loads(self.run("engine", "status", "-o", "json"))
        return found

    def resident_mib(self) -> float:
        """The engine's resident memory."""
        return psutil.Process(self.status()["pid"]).memory_info().rss / 2**20

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the native API; an error answer ends the benchmark."""
        return self.timed_call(method, path, body)[1]

    def timed_call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[float, dict[str, Any]]:
        """Seconds from sending to the whole answer on a connection that is open already, and the answer."""
        connection = _UnixConnection(str(Path(self.env["SPAWN_STATE_DIR"]) / "engine.sock"))
        connection.connect()
        began = time.perf_counter()
        connection.request(method, path, body=json.dumps(body) if body is not None else None, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - began
        connection.close()
        if answer.status >= 300:
            sys.exit(f"benchmark: {method} {path}: {answer.status} {content.decode(errors='replace')}")
        return took, json.loads(content)

    def array(self, reference: str) -> dict[str, Any]:
        """The array, as the native API describes it."""
        return self.call("GET", f"/v1/arrays/{reference}")

    def wait_until_settled(self, reference: str) -> None:
        """Return when no child of the array is under way or waits."""
        while self.call("GET", f"/v1/arrays/{reference}/settled?timeout_s=60")["status"] not in ("SUCCEEDED", "FAILED"):
            pass
