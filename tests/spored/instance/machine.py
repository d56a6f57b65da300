"""An instance for tests: a directory that stands for /, a launch, and the agent as a process of its own."""

from __future__ import annotations

import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.spored.conftest import survivors
from tests.spored.driver import PROGRAM
from tests.spored.instance.cloud import BUCKET, Cloud
from tests.spored.test_cli import find_python

KEY = "a1b2c3d4e5"
ARRAY = "11111111-2222-4333-8444-555555555555"
PREFIX = f"arrays/{ARRAY}/"
PATIENCE = 40.0
_SHUTDOWN = """#!/bin/sh
echo "$*" >> "$0.log"
if [ "$2" = now ]; then kill -TERM "$(cat "$0.pid")"; fi
"""


@functools.cache
def oldest_python() -> str:
    """The oldest Python that is promised, where there is one, as on Amazon Linux 2023."""
    try:
        return find_python("3.9")
    except pytest.skip.Exception:
        return sys.executable


def wait(condition: Callable[[], Any], what: Callable[[], object] = lambda: "") -> Any:
    """What `condition` gives as soon as it is true."""
    until = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"that did not come about: {what()}"
        select.select([], [], [], 0.01)


class Instance:
    """One instance. `shutdown -h now` in it tells the agent to end, as the system does."""

    def __init__(self, cloud: Cloud, root: Path, instance_id: str = "i-1", *, python: str | None = None, program: Path = PROGRAM, **metadata: str) -> None:
        self.cloud = cloud
        self.root = root
        self.id = instance_id
        self.python = python or oldest_python()
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self._metadata = cloud.add_instance(instance_id, **metadata)
        for name in ("etc/spored", "var/lib", "var/log", "run", "bin"):
            (root / name).mkdir(parents=True)
        self.shutdown = root / "bin" / "shutdown"
        self.shutdown.write_text(_SHUTDOWN)
        self.shutdown.chmod(0o755)

    def launch(self, script: str, *, count: int = 1, spec: dict[str, Any] | None = None, every: dict[str, float] | None = None, **members: Any) -> None:
        """Write launch.json: `count` children that run `script`."""
        base = {
            "wire": 1,
            "array": ARRAY,
            "key": KEY,
            "token": "token",
            "members": [[[0, 0, 1, count, 1]]],
            "pool": None,
            "slots": 1,
            "spec": self._spec(script, count, spec or {}),
            "bucket": BUCKET,
            "region": "eu-central-1",
            "prefix": PREFIX,
            "endpoints": {name: f"{self.cloud.url}/{name}" for name in ("s3", "sqs", "ec2")},
            "ttl_s": 600,
            "idle_s": None,
            "on_complete": "terminate",
            "spot": False,
            "every": {"upload_s": 0.05, "control_s": 0.05, "beat_s": 60, "notice_s": 0.05, **(every or {})},
        }
        (self.root / "etc/spored/launch.json").write_text(json.dumps({**base, **members}))

    def _spec(self, script: str, count: int, changed: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": ARRAY,
            "name": "test",
            "size": count,
            "is_array": True,
            "first": 0,
            "last": count - 1,
            "argv": None,
            "script": f"#!/bin/sh\n{script}\n",
            "environment": {"GREETING": "hello"},
            "workdir": None,
            "directory": str(self.root / "var/lib/spored/array"),
            "private_tmp": False,
            "visible": [],
            "cpus": 8000,
            "memory": 0,
            "memory_limit": False,
            "timeout_s": None,
            "ttl_s": None,
            "grace_s": 1,
            "keep": False,
            "max_concurrent": None,
            "compat_env": True,
            "queue": "default",
            "compute_environment": "ec2",
            "umask": 0o022,
            "container": None,
            **changed,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Of the agent."""
        return {"PATH": f"{self.root}/bin:/usr/local/bin:/usr/bin:/bin", "AWS_EC2_METADATA_SERVICE_ENDPOINT": self._metadata}

    def start(self) -> None:
        """Start the agent."""
        command = [self.python, "-IS", str(self.program), "instance", "run", "--root", str(self.root)]
        self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        (self.root / "bin/shutdown.pid").write_text(str(self.process.pid))

    def ended(self) -> str:
        """Wait for the agent's end, which must be a good one; what it said on the console."""
        assert self.process is not None
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, f"{said.decode()} {self.log()}"
        return said.decode()

    def terminate(self) -> None:
        """Tell the agent to end, as the system does, and wait for it."""
        assert self.process is not None
        self.process.terminate()
        self.ended()

    def ended_after_kill(self, condition: Callable[[], Any]) -> str:
        """Cut it off as soon as a condition is true; what it had said on the console."""
        assert self.process is not None
        wait(condition, self.log)
        self.process.kill()
        return self.process.communicate()[1].decode()

    def cut(self) -> None:
        """Cut the power, and power it on again: nothing runs any more, and /run is empty."""
        self.close()
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()

    def kill(self) -> None:
        """As by kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def close(self) -> None:
        """End whatever is left of it."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in [*self.runners(), *survivors(self.root / "var/lib/spored/runner")]:
            os.kill(pid, signal.SIGKILL)

    def runners(self) -> list[int]:
        """The pid of its runner, if that lives."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"\0run\0--directory\0{self.root}/".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What somebody types on it."""
        command = [self.python, "-IS", str(self.program), words[0], "--root", str(self.root), *words[1:]]
        return subprocess.run(command, env={**self.environment, **environment}, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def shutdowns(self) -> list[str]:
        """The words of every call of `shutdown`."""
        log = self.root / "bin/shutdown.log"
        return log.read_text().splitlines() if log.exists() else []

    def log(self) -> str:
        """What the agent wrote down."""
        path = self.root / "var/log/spored.log"
        return path.read_text() if path.exists() else ""

    # --- what is in the bucket

    def get(self, name: str) -> Any:
        """A JSON object of the array, as soon as it is there."""
        return wait(lambda: self.cloud.json(PREFIX + name), lambda: f"{name}; there are {sorted(self.cloud.objects)}; {self.log()}")

    def outcome(self, index: int = 0, attempt: int = 1) -> dict[str, Any]:
        """The record of an attempt."""
        return self.get(f"{index}/{attempt}/outcome.json")

    def output(self, index: int = 0, attempt: int = 1) -> str:
        """Its log, as it is in the bucket."""
        return self.cloud.log(f"{PREFIX}{index}/{attempt}/").decode()

    def presence(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """What the instance says of itself, once it fulfils a condition."""
        key = f"{PREFIX}instances/{self.id}.json"
        return wait(lambda: (said := self.cloud.json(key)) and condition(said) and said, lambda: f"{self.cloud.objects.get(key)!r} {self.log()}")
