"""`spawn launch --rehearse`: an engine of its own before a laboratory of its own, for as long as one launch is tried out."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from spawn.client.client import Client
from spawn.client.lock import holder
from spawn.client.start import ensure_engine
from spawn.domain.errors import ConfigurationError

MOST_BOOTED: Final = 50
"""So many machines at most really boot here; more are acted, since each takes a second or two of a processor."""

_END_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.05
_EMPTY: Final = "the S3 of the rehearsal is empty: scripts do not find there what they read from your buckets"

if find_spec("moto") is None:
    raise ModuleNotFoundError("the laboratory needs moto", name="moto")


class Rehearsal:
    """What a launch is tried out on, and what is known of it afterwards."""

    def __init__(self, client: Client, access: Mapping[str, str], notes: tuple[str, ...]) -> None:
        self.client = client
        self.access = access
        self.notes = notes  #: sentences on how it differs from EC2
        self.calls: Mapping[str, int] = {}  #: the API calls that were made, by action; known when it is over


@contextmanager
def laboratory(machines: int) -> Iterator[Rehearsal]:
    """A laboratory for so many machines. They really boot, unless they are more than fifty or namespaces cannot be had here: then they are acted.

    When the block is left everything ends that ran there, and nothing stays on this machine. ConfigurationError when it cannot be had.
    """
    place = Path(tempfile.mkdtemp(prefix="spawn-rehearsal-"))
    try:
        process, told, notes = _open(place / "lab", machines)
        try:
            rehearsal = None
            try:
                rehearsal = Rehearsal(ensure_engine(place / "state"), told["environment"], notes)
                yield rehearsal
            finally:
                with _uninterrupted():
                    _end_engine(place / "state")
                    process.terminate()
                    calls = _calls_in(process.communicate(timeout=_END_WITHIN_S)[0])
            rehearsal.calls = calls
        finally:
            _kill(process)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let nobody who presses Ctrl-C twice leave an engine and machines behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end_engine(state_dir: Path) -> None:
    """End what runs there and the engine, also one whose start was interrupted."""
    if state_dir.exists():
        ensure_engine(state_dir).stop_engine(terminate=True)
        _wait_for_the_end_of(state_dir)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


def _wait_for_the_end_of(state_dir: Path) -> None:
    """Until its engine has ended, or a minute has passed."""
    until = time.monotonic() + _END_WITHIN_S
    while holder(state_dir) is not None and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)


def _open(directory: Path, machines: int) -> tuple[subprocess.Popen[str], dict[str, Any], tuple[str, ...]]:
    """Start it: the process, the line in which it says where it is, and notes."""
    refusal = ""
    if machines <= MOST_BOOTED:
        process = _start(directory, "real")
        line = _first_line(process)
        if line:
            return process, json.loads(line), (_EMPTY,)
        refusal = _refusal_of(process)
    why = f"{machines} machines are more than the {MOST_BOOTED} that boot here" if machines > MOST_BOOTED else refusal
    process = _start(directory, "fake")
    line = _first_line(process)
    if not line:
        raise ConfigurationError(f"the laboratory did not start: {_refusal_of(process)}")
    return process, json.loads(line), (f"machines are acted, and scripts do not run: {why}",)


def _start(directory: Path, boot: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "spawn.testing.ec2lab", "--directory", str(directory), "--boot", boot]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    try:
        return process.stdout.readline()
    except KeyboardInterrupt:
        _kill(process)
        raise


def _refusal_of(process: subprocess.Popen[str]) -> str:
    """Its last words."""
    lines = [line.strip() for line in process.communicate()[1].splitlines() if line.strip()]
    return lines[-1].removeprefix("python -m spawn.testing.ec2lab: ") if lines else f"it ended with exit code {process.returncode}"


def _calls_in(said: str) -> Mapping[str, int]:
    lines = said.splitlines()
    calls: Mapping[str, int] = json.loads(lines[-1])["calls"] if lines else {}
    return calls
