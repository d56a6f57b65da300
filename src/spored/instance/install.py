"""`spored instance install`: the launch where it is staged, the systemd unit that keeps the agent running, and a `spored` for those who log in."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from spored.errors import UNAVAILABLE, SporedError
from spored.home import this_program
from spored.instance.config import read_launch
from spored.instance.places import Places
from spored.instance.staged import Staged, Waiting, fetched

_UNIT = """\
[Unit]
Description=spored: runs this instance's part of a job array, records it, and ends the instance
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=always
RestartSec=2
# the agent alone is told to end, and ends what it runs; after a crash of the agent what runs goes on, and the next agent finds it
KillMode=process
TimeoutStopSec=180
# one attempt that runs out of memory must not end the others
OOMPolicy=continue
Delegate=yes
TasksMax=infinity
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


def install(places: Places, staged: Staged | None = None) -> int:
    """Write the unit and start it. Again: the same, with what is there now. SporedError when the launch is not understood or systemd does not obey.

    `staged`: the launch is there, and is written down first; SporedError when it cannot be read for long. None: it is here.
    """
    if staged is not None:
        _write(places.launch, fetched(staged, os.environ, Waiting(_tell)), 0o600)
    read_launch(places.launch)
    words = [sys.executable, "-IS", this_program()]
    flags = [] if places.root == "/" else ["--root", places.root]
    command = " ".join(_unit_word(word) for word in [*words, "instance", "run", *flags])
    _write(places.unit, _UNIT.format(command=command).encode(), 0o644)
    _write(places.command, f'#!/bin/sh\nexec {" ".join(map(shlex.quote, words))} "$@"\n'.encode(), 0o755)
    _write(places.profile, f'PATH="$PATH:{os.path.dirname(places.command)}"\n'.encode(), 0o644)
    for call in (["daemon-reload"], ["enable", "spored.service"], ["start", "--no-block", "spored.service"]):
        _systemctl(call)
    return 0


def _unit_word(word: str) -> str:
    """A word as a unit file has it."""
    return (
        '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'
        if not word.isascii() or set(word) & set(' "\\%$')
        else word
    )


def _tell(text: str) -> None:
    print(f"spored: {text}", file=sys.stderr, flush=True)


def _write(path: str, content: bytes, mode: int) -> None:
    """All of it or nothing."""
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        os.rename(path + ".new", path)
    except OSError as error:
        raise SporedError(f"{path} cannot be written: {error.strerror}", UNAVAILABLE) from error


def _systemctl(words: list[str]) -> None:
    try:
        done = subprocess.run(["systemctl", *words], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise SporedError(f"systemctl cannot be run: {error.strerror}", UNAVAILABLE) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise SporedError(f"systemctl {' '.join(words)} failed with exit code {done.returncode}: {said}", UNAVAILABLE)
