"""Real runners in directories of their own; after each test every line that was spoken or written is held to the schema, and nothing may be left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.spored.driver import ROOT, Runner
from tests.spored.schema import hold


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory below /tmp that other users may enter, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="spored-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_runner(place: Path) -> Iterator[Callable[..., Runner]]:
    """Makes runners, each in a directory of its own, and ends them."""
    made: list[Runner] = []

    def make(name: str = "runner", **options: object) -> Runner:
        runner = Runner(place / name, **options)  # type: ignore[arg-type]
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.end()
    for runner in made:
        for message in runner.heard:
            hold("runner_line", message)
        for event in runner.events():
            hold("journal_line", event)
        left = survivors(runner.directory)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes are left: {left}"


@pytest.fixture
def runner(make_runner: Callable[..., Runner]) -> Runner:
    """A runner that has been greeted: two vCPUs, 1 GiB."""
    made = make_runner()
    made.start()
    return made


@pytest.fixture(params=["root", "user"])
def private_runner(request: pytest.FixtureRequest, make_runner: Callable[..., Runner], place: Path) -> Runner:
    """A runner that can give a private /tmp, once as root and once as an ordinary user."""
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("needs root")
        made = make_runner()
    elif os.geteuid() == 0:
        made = as_nobody(make_runner, place)
    else:
        made = make_runner()
    made.start()
    if made.welcome["features"]["private_tmp"] is not None:
        pytest.skip(made.welcome["features"]["private_tmp"])
    return made


def as_nobody(make_runner: Callable[..., Runner], place: Path) -> Runner:
    """A runner of the user nobody."""
    python = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(path, os.X_OK)), None)
    if python is None:
        pytest.skip("needs a Python that every user may run")
    source = place / "source" / "spored"
    shutil.copytree(ROOT / "src" / "spored", source, ignore=shutil.ignore_patterns("__pycache__"))
    made = make_runner("nobody", python=python, user=65534, group=65534, extra_groups=[])
    made.program = source / "__main__.py"
    for directory in (made.directory, made.files):
        directory.mkdir(mode=0o700)
        os.chown(directory, 65534, 65534)
    return made


def survivors(directory: Path) -> list[int]:
    """Processes that carry the mark of this runner, other than this test."""
    mark = f"SPAWN_RUNNER={os.path.realpath(directory)}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                marked = mark in (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marked and state not in "ZX":
                found.append(int(entry.name))
    return found


def read_json(path: Path) -> object:
    """The JSON in a file."""
    return json.loads(path.read_text())
