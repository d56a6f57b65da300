"""A user of their own for every test: a home, a state directory, a working directory, and the real commands."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spawn.client.client import Client

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Types commands as a user would."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = home / "work"
        self.cwd.mkdir()
        self.state = home / "state"
        bin_dir = Path(sys.executable).parent
        self.environment = {
            "HOME": str(home),
            "PATH": f"{bin_dir}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "SPAWN_STATE_DIR": str(self.state),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }

    def __call__(self, *words: str, code: int | None = 0, stdin: str = "", timeout_s: float = PATIENCE_S, **environment: str) -> Done:
        """Run `spawn WORDS`; the exit code must be `code` unless that is None."""
        done = subprocess.run(
            ["spawn", *words], cwd=self.cwd, env=self.environment | environment, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        result = Done(done.returncode, done.stdout, done.stderr)
        assert code is None or result.code == code, f"spawn {' '.join(words)}: {result}"
        return result

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run `spawn WORDS` without waiting for it."""
        return subprocess.Popen(["spawn", *words], cwd=self.cwd, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def launch(self, *words: str, **environment: str) -> str:
        """Launch and return the array's id."""
        return self("launch", "-q", *words, **environment).out.strip()

    def engine(self) -> dict[str, Any]:
        """What the engine says of itself; it is started when it does not run."""
        self("engine", "start")
        answer: dict[str, Any] = self("engine", "status", "-o", "json").json
        return answer

    def array(self, ref: str) -> dict[str, Any]:
        """The array as JSON."""
        answer: dict[str, Any] = self("status", ref, "-o", "json", code=None).json
        return answer

    def counts(self, array: str) -> dict[str, int]:
        """How many members have which status, by the engine that runs: without a command, for looking again and again."""
        return Client(self.state).array(array).counts

    def members(self, ref: str) -> list[dict[str, Any]]:
        """Its members as JSON."""
        return [json.loads(line) for line in self("list", "--array", ref, "-o", "jsonl").lines]

    def kill(self, pid: int) -> None:
        """kill -9, and wait until the process is gone."""
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], object], *, within_s: float = PATIENCE_S, every_s: float = 0.005) -> None:
    """Look until it holds: for what other processes do there is nothing to be woken by."""
    until = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        pause.wait(every_s)


def found_under(directory: Path) -> dict[Path, os.stat_result]:
    """Everything below a directory that others may be removing meanwhile: what goes while one looks is left out.

    (`Path.rglob` raises when a directory it is about to enter has gone.)
    """
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            with contextlib.suppress(FileNotFoundError):
                found[Path(parent, name)] = Path(parent, name).stat()
    return found


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A fresh user; whatever their engine and runner still run is ended afterwards."""
    home = Path(tempfile.mkdtemp(prefix="spawn-test-"))
    shell = Shell(home)
    try:
        yield shell
    finally:
        if any(holder(lock) for lock in (shell.state / "engine.lock", shell.state / "runner" / "runner.lock")):
            # only an engine can tell a runner to end what it runs
            shell("engine", "start", code=None)
            shell("engine", "stop", "--terminate", "--yes", code=None)
        for lock in (shell.state / "engine.lock", shell.state / "runner" / "runner.lock"):
            end_holder(lock)
        shutil.rmtree(home, ignore_errors=True)


def holder(lock: Path) -> int | None:
    """The engine or runner that holds a lock and lives."""
    try:
        pid = int(lock.read_text().strip() or 0)
        program = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if pid and alive(pid) and (b"spawn" in program or b"spored" in program) else None


def end_holder(lock: Path) -> None:
    """End the engine or runner that a test left behind."""
    pid = holder(lock)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
