"""The command line of a container engine, `docker` or `podman`: one call at a time, none of which may hang for ever or outlive its caller."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

_PATIENCE = 60.0
"""Seconds for a call that only asks or removes."""
_AGAIN = (0.0, 0.1, 0.3, 1.0, 2.0)
"""Seconds to wait before each try to remove: podman may first have to find out that the container's own keeper is gone."""
_LOCALE = {"LC_ALL": "C.UTF-8"}
"""podman's keeper takes no path with a letter beyond ASCII where no locale says how to read it."""
_LONGEST = 227
"""AWS Batch's reasons have at most 255 characters, of which the kind of the error takes 28."""
_LINES = 4
_PREFIXES = ("Error response from daemon: ", "Error: ")
_WITHOUT_A_CAUSE = "failed to start containers: "


class Done(NamedTuple):
    """What a call came to."""

    code: int
    out: str
    complaint: str  #: the last thing it said on stderr


class Interrupted(Exception):
    """The caller no longer wants what it asked for; the call was ended."""


class Cli:
    """Calls `program` in `directory`, with `environment` and nothing else."""

    def __init__(self, program: str, environment: Mapping[str, str], directory: str) -> None:
        self.program = program
        # podman says on stderr, where the container's words go, what it finds remarkable about this machine
        self._flags = ("--log-level", "error") if os.path.basename(program) == "podman" else ()
        self.environment = {**environment, **_LOCALE, **({"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"} if self._flags else {})}
        self.directory = directory

    def begin(self, *words: str, stderr: int) -> subprocess.Popen[bytes]:
        """Begin a call whose stdout is a pipe."""
        command = [self.program, *self._flags, *words]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=self.directory, env=self.environment, stdout=subprocess.PIPE, stderr=stderr)

    def call(self, *words: str, patience: float | None = _PATIENCE, unwanted: Callable[[], bool] | None = None) -> Done:
        """Make a call, for at most `patience` seconds (None: as long as it takes). Interrupted within 0.1 s of being `unwanted`."""
        process = self.begin(*words, stderr=subprocess.PIPE)
        until = None if patience is None else time.monotonic() + patience
        while True:
            try:
                out, err = process.communicate(timeout=0.1)
                return Done(process.returncode, out.decode("utf-8", "replace"), _last_words(err))
            except subprocess.TimeoutExpired:
                late = until is not None and time.monotonic() > until
                if not late and not (unwanted is not None and unwanted()):
                    continue
            end(process)
            if late:
                return Done(-1, "", f"`{os.path.basename(self.program)} {words[0]}` did not answer within {patience:g} s")
            raise Interrupted

    def remove_stopped(self, container: str, volumes: Sequence[str]) -> str | None:
        """Remove a container that does not run, and the volumes made for it. Why something is left, or None."""
        if self.call("rm", "--force", "--volumes", container).code != 0:
            return self.remove([container], volumes)
        return self._remove_volumes(volumes)

    def remove(self, containers: Sequence[str], volumes: Sequence[str]) -> str | None:
        """Kill and remove those containers that are there, and the volumes made for them. Why something is left, or None."""
        # asked for one that is not there, podman may leave the others alone and yet report success: only the list tells
        remaining = self._still_there(list(containers))
        complaint = ""
        for wait in _AGAIN:
            if not remaining:
                return self._remove_volumes(volumes)
            time.sleep(wait)
            self._kill(remaining)
            complaint = self.call("rm", "--force", "--volumes", *remaining).complaint
            remaining = self._still_there(remaining)
        return complaint if remaining else self._remove_volumes(volumes)

    def _kill(self, containers: list[str]) -> None:
        """podman's forced removal asks a container to stop first, and waits for that; so it is killed before."""
        if self.call("kill", "--signal", "KILL", *containers).code != 0 and len(containers) > 1:
            for container in containers:
                self.call("kill", "--signal", "KILL", container)

    def _remove_volumes(self, volumes: Sequence[str]) -> str | None:
        left = None
        for volume in volumes:
            done = self.call("volume", "rm", "--force", volume)
            if done.code != 0 and "no such volume" not in done.complaint.lower():
                left = done.complaint
        return left

    def _still_there(self, containers: list[str]) -> list[str]:
        listed = self.call("ps", "--all", "--format", "{{.Names}}")
        return [name for name in containers if name in listed.out.split()] if listed.code == 0 else containers


def find(engine: str, environment: Mapping[str, str]) -> str | None:
    """The program of an engine, where PATH has one."""
    return shutil.which(engine, path=environment.get("PATH") or os.defpath)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a call that is under way."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def why_not_started(said: bytes, error: str) -> str:
    """Why a container did not start: what the engine and those who work for it said last, and the `error` that it keeps with the container."""
    lines = [line for line in _lines(said) if not line.startswith(_WITHOUT_A_CAUSE)][-_LINES:]
    if error and not any(error in line for line in lines):
        lines.append(error)
    return _shortened("; ".join(dict.fromkeys(lines)) or "the engine did not say why")


def _last_words(said: bytes) -> str:
    """The last line that complains, without what engines put before it."""
    plain = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    line = next((line for line in reversed(plain) if line.lower().startswith("error")), plain[-1] if plain else "it did not say why")
    return _shortened(_without_prefix(line))


def _lines(said: bytes) -> list[str]:
    return [_without_prefix(line.strip()) for line in said.decode("utf-8", "replace").splitlines() if line.strip()]


def _without_prefix(line: str) -> str:
    for prefix in _PREFIXES:
        line = line.removeprefix(prefix)
    return line


def _shortened(text: str) -> str:
    """At most so long: container ids as engines list them, and the beginning left out, because the cause is told last."""
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", text)
    if len(text) <= _LONGEST:
        return text
    end = text[1 - _LONGEST :]
    return "…" + (end.partition(" ")[2] or end)
