"""`spawn` as a program, with pipes or on a terminal, against an engine that is a fake on a real socket."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawn.cli.main import main

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from fake_engine import FakeEngine  # noqa: E402 - their place is known only now
from running import Result, Run, command, read_all, without_escapes  # noqa: E402


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """An empty state directory."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without settings."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def fake(state_dir: Path) -> Iterator[FakeEngine]:
    """An engine that answers at the state directory's socket."""
    engine = FakeEngine(state_dir)
    yield engine
    engine.close()


@pytest.fixture
def environment(state_dir: Path, home: Path) -> dict[str, str]:
    """What every run sees: nothing of this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")}
    source = str(HERE.parents[1] / "src")
    return kept | {"SPAWN_STATE_DIR": str(state_dir), "HOME": str(home), "PYTHONPATH": source, "TERM": "xterm", "COLUMNS": "120"}


@pytest.fixture
def spawn(environment: dict[str, str], home: Path) -> Run:
    """Run `spawn` with pipes."""

    def run(*arguments: str, stdin: str = "", cwd: Path = home, **variables: str) -> Result:
        done = subprocess.run(command(*arguments), input=stdin, capture_output=True, text=True, env=environment | variables, cwd=cwd, timeout=60)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def on_terminal(environment: dict[str, str], home: Path) -> Run:
    """Run `spawn` on a terminal; what it shows is `out`, without escape sequences unless `raw`."""

    def run(*arguments: str, typed: str = "", raw: bool = False, cwd: Path = home, **variables: str) -> Result:
        master, slave = pty.openpty()
        process = subprocess.Popen(command(*arguments), stdin=slave, stdout=slave, stderr=slave, env=environment | variables, cwd=cwd, start_new_session=True)
        os.close(slave)
        if typed:
            os.write(master, typed.encode())
        shown = read_all(master)
        code = process.wait(timeout=60)
        text = shown.decode().replace("\r\n", "\n")
        return Result(code, text if raw else without_escapes(text), "")

    return run


@pytest.fixture
def in_process(environment: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Call `main` here: for the many cases that end before an engine is asked."""

    def run(*arguments: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(home)
        code = main(list(arguments))
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run
