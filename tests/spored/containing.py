"""Container engines for tests: podman with an image that a test makes, and a script that stands in for an engine."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")
_PASSWD = "root:x:0:0::/:/bin/sh\nworker:x:1000:1000::/work:/bin/sh\n"
_CHANGES = ("-c", 'CMD ["/bin/echo","the image\'s own command"]', "-c", "WORKDIR /work", "-c", "ENV FROM_IMAGE=yes")
_APPLETS = ("sh", "cat", "echo", "sleep", "env", "id", "ls", "true", "touch", "seq", "sort", "grep")


IMAGE = f"localhost/spawn-test:{zlib.crc32(repr((_APPLETS, _PASSWD, _CHANGES)).encode()):08x}"
"""Made once on a machine, and kept: it is 2 MB."""


def need_podman() -> None:
    """Skip a test where podman can run no containers; where SPAWN_TEST_CONTAINERS is `required`, as in CI, that is a failure."""
    reason = _podman()
    if reason is not None:
        (pytest.fail if os.environ.get("SPAWN_TEST_CONTAINERS") == "required" else pytest.skip)(reason)


@cache
def _podman() -> str | None:
    """Why no container can be run with podman here; None: it can. What it takes to find out also makes the image."""
    if os.geteuid() != 0:
        return "podman is only tried as root"
    program, busybox = shutil.which("podman"), next((path for path in _BUSYBOX if os.path.exists(path)), None)
    if program is None or (shutil.which("runc") is None and not os.path.exists("/usr/sbin/runc")):
        return "podman and runc are not installed"
    if busybox is None or b"statically linked" not in _described(busybox):
        return "there is no statically linked busybox (Debian: busybox-static) to make an image of"
    with open("/tmp/spawn-test-image.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # for other tests at the same time
        if subprocess.run([program, "image", "exists", IMAGE], check=False).returncode != 0:
            _make_image(program, busybox)
    limits = ["--ulimit", "nofile=256:256", "--ulimit", "nproc=256:256"]
    tried = subprocess.run([program, "run", "--rm", "--network", "host", *limits, IMAGE, "/bin/true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"podman cannot run containers here: {tried.stderr.strip()[-300:]}"


def _described(program: str) -> bytes:
    # a dynamically linked program names its loader
    return b"" if b"/ld-linux" in Path(program).read_bytes()[:4096] else b"statically linked"


def _make_image(program: str, busybox: str) -> None:
    with tempfile.TemporaryDirectory(prefix="spawn-image-") as place:
        root = Path(place) / "root"
        for name in ("bin", "etc", "tmp", "work"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        shutil.copy(busybox, root / "bin/busybox")
        for name in _APPLETS:
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc/passwd").write_text(_PASSWD)
        (root / "etc/group").write_text("root:x:0:\nworker:x:1000:\n")
        with tarfile.open(Path(place) / "image.tar", "w") as archive:
            archive.add(root, arcname=".")
        subprocess.run([program, "import", *_CHANGES, f"{place}/image.tar", IMAGE], check=True, capture_output=True)


def left_of(keys: Iterable[str]) -> list[str]:
    """The names of podman's containers and volumes that were made for attempts of these arrays."""
    calls = (("ps", "--all", "--format", "{{.Names}}"), ("volume", "ls", "--format", "{{.Name}}"))
    names = [name for call in calls for name in subprocess.run(["podman", *call], capture_output=True, text=True, check=True).stdout.split()]
    return [name for name in names if any(name.startswith(f"spawn-{key}-") for key in keys)]


def container(**members: Any) -> dict[str, Any]:
    """The `container` of a spec."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith(("CONTAINERS_", "XDG_"))}
    plain: dict[str, Any] = {"image": IMAGE, "command": [], "environment": {}, "options": [], "volumes": [], "cli_environment": environment, "refusal": None}
    return {**plain, **members}


class StandIn:
    """A script called `docker` or `podman`: it notes every call, and answers as it is told."""

    def __init__(self, directory: Path, engine: str = "docker") -> None:
        self.directory = directory
        self.calls_file = directory / "calls"
        directory.mkdir()
        self._answers: dict[str, str] = {}
        self._program = directory / engine
        self.state: Mapping[str, Any] = {"Status": "exited", "Running": False, "ExitCode": 0, "OOMKilled": False, "StartedAt": "2026-01-01T00:00:00Z"}
        self.answer()

    def answer(self, **answers: str) -> None:
        """What to run for each verb; a verb that is not named succeeds and says nothing."""
        self._answers.update(answers)
        cases = "".join(f"{shlex.quote(verb)}) {script} ;;\n" for verb, script in self._answers.items())
        inspect = f"container) echo {shlex.quote(json.dumps(self.state))} ;;\n" if "container" not in self._answers else ""
        note = f'{{ for word; do printf "%s\\037" "$word"; done; echo; }} >> {shlex.quote(str(self.calls_file))}'
        text = f'#!/bin/sh\n{note}\nenv > {shlex.quote(str(self.directory))}/environment-$1\ncase "$1" in\n{cases}{inspect}esac\n'
        draft = self._program.with_suffix(".new")
        draft.write_text(text)
        draft.chmod(0o755)
        draft.rename(self._program)

    def end(self, **state: Any) -> None:
        """How containers end from now on."""
        self.state = {**self.state, **state}
        self.answer()

    def calls(self, verb: str | None = None) -> list[list[str]]:
        """The words of every call, in order, or of those with this verb."""
        lines = self.calls_file.read_text().split("\x1f\n") if self.calls_file.exists() else []
        calls = [line.split("\x1f") for line in lines if line]
        return [call for call in calls if verb is None or call[0] == verb]

    def environment(self, verb: str) -> dict[str, str]:
        """The variables of the last call with this verb."""
        lines = (self.directory / f"environment-{verb}").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def cli_environment(self) -> dict[str, str]:
        """By which it is found."""
        return {"PATH": f"{self.directory}:/usr/bin:/bin", "HOME": "/home/of/the/engine"}


def words_after(call: list[str], flag: str) -> Iterator[str]:
    """The values of a flag in a call."""
    for word, value in itertools.pairwise(call):
        if word == flag:
            yield value
