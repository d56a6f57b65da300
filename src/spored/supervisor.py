"""`spored container`: the process of an attempt that runs in a container. It creates, watches and removes the container, and tells the runner how it ended.

SIGTERM is passed on to the container; SIGUSR1 kills it. Being killed itself leaves a note behind, by which the runner, or the next one, removes the container.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from spored import libc
from spored.address import socket_address
from spored.engines import Cli, Done, Interrupted, end, find, why_not_started
from spored.environment import ATTEMPT_MARK, RUNNER_MARK, TOLD
from spored.errors import USAGE, SporedError
from spored.keepers import end_keepers
from spored.messages import ENGINES
from spored.notes import Note, all_places, container_name, forget, place_of, remove_left, write_note
from spored.options import parse
from spored.passing import Passing, Signals
from spored.plans import Named, Plan, create_words, read_plan, volume_names

_NOT_STARTED = "0001-01-01"
_TOLD_TAIL = 4096
"""Bytes of the last output kept, which explain a container that did not start."""
_LOOK = 0.02
_REFUSED = 125
_PATIENCE = 5.0
"""Seconds for a killed container to be gone, and for what kept it to end."""


def container(words: list[str]) -> int:
    """Run the container of this attempt, or remove what is left of one (0: nothing is)."""
    options, rest = parse(words, {"--engine": True, "--plan": True, "--runner": True, "--remove": True})
    if rest:
        raise SporedError(f"container takes no word {rest[0]!r}", USAGE)
    if "--remove" in options:
        runner = options.get("--runner", "")
        places = [place for place in all_places(runner) if place == place_of(runner, options["--remove"])]
        return 0 if remove_left(places) else 1
    if options.get("--engine") not in ENGINES or "--plan" not in options or ATTEMPT_MARK not in os.environ:
        raise SporedError("container is what the runner calls for an attempt: it needs --engine and --plan", USAGE)
    return Supervisor(options["--engine"], read_plan(options["--plan"]), os.environ).run()


class _CannotRun(Exception):
    """There will be no container; the message is what AWS Batch would give as the container's reason."""


class Supervisor:
    """One container, from before its creation until it is removed."""

    def __init__(self, engine: str, plan: Plan, environment: Mapping[str, str]) -> None:
        self._signals = Signals()
        libc.become_subreaper()
        self._engine = engine
        self._plan = plan
        self._attempt = environment[ATTEMPT_MARK]
        self._runner = environment[RUNNER_MARK]
        self._told = {name: environment[name] for name in sorted(TOLD) if name in environment}
        name = container_name(self._attempt)
        self._place = place_of(self._runner, self._attempt)
        self._who = Named(name, environment["TASK_OUTPUT_DIR"], os.path.join(self._place, "pid"))
        self._marks = {ATTEMPT_MARK: self._attempt, RUNNER_MARK: self._runner}
        self._running = False  #: the runner knows that it runs
        self._cli: Cli | None = None  #: as long as there may be a container
        self._tail = b""

    def run(self) -> int:
        """All of it. The exit code is the container's, 125 when it could not be had, 143 or 137 when it was ended before it ran; what was told counts."""
        state: dict[str, Any] = {}
        refused = None
        try:
            state = self._watch(self._create())
        except _CannotRun as error:
            refused = str(error)
        except Interrupted:
            pass
        oom = self._was_out_of_memory(state)
        removed = self._remove(stopped=state.get("Running") is False)
        code = None if not state or state.get("Running") else int(state.get("ExitCode", 0)) & 0xFF
        self._tell({"op": "contained", "refused": refused, "code": code, "oom": oom, "removed": removed})
        if code is None:
            asked = self._signals.stop and not self._signals.kill
            return _REFUSED if refused is not None else 128 + (signal.SIGTERM if asked else signal.SIGKILL)
        return code

    def _remove(self, *, stopped: bool) -> bool:
        """Leave nothing of the container, nor of what was made for it. False: it could not be had, the runner sees to it."""
        if self._cli is not None:
            name, volumes = self._who.name, volume_names(self._plan, self._who.name)
            left = self._cli.remove_stopped(name, volumes) if stopped else self._cli.remove([name], volumes)
            if left is not None:
                print(f"spored: the container {self._who.name} could not be removed: {left}", flush=True)
                return False
            if not self._keepers_end():
                end_keepers([self._place])
            forget(self._place)
        return True

    # --- create

    def _create(self) -> Cli:
        """Create the container, pulling its image where it is missing."""
        if self._plan.refusal is not None:
            raise _CannotRun(f"CannotCreateContainerError: {self._plan.refusal}")
        program = find(self._engine, self._plan.cli_environment)
        if program is None:
            raise _CannotRun(f"CannotStartContainerError: {self._engine} is not installed: there is none in {self._plan.cli_environment.get('PATH')}")
        words, carried = create_words(self._engine, self._plan, self._who, self._told)
        self._make_places()
        write_note(self._place, Note(self._who.name, program, {**self._plan.cli_environment}, volume_names(self._plan, self._who.name)))
        environment = {**self._plan.cli_environment, **self._marks}
        creator = Cli(program, {**carried, **environment}, self._place)
        cli = self._cli = Cli(program, environment, self._place)
        done = self._call(creator, "create", *words)
        if done.code != 0 and self._is_missing(cli):
            self._pull(cli)
            done = self._call(creator, "create", *words)
        if done.code != 0:
            self._created_nothing()
            raise _CannotRun(f"CannotCreateContainerError: {done.complaint}")
        return cli

    def _is_missing(self, cli: Cli) -> bool:
        """Whether the image is not there, as far as an engine that answers says."""
        if self._call(cli, "image", "inspect", self._plan.image).code == 0:
            return False
        answer = self._call(cli, "info")
        if answer.code != 0:
            self._created_nothing()
            raise _CannotRun(f"CannotStartContainerError: {self._engine} does not answer: {answer.complaint}")
        return True

    def _pull(self, cli: Cli) -> None:
        print(f"spored: pulling {self._plan.image}", flush=True)
        done = self._call(cli, "pull", self._plan.image)
        if done.code != 0:
            self._created_nothing()
            raise _CannotRun(f"CannotPullContainerError: {done.complaint}")

    def _created_nothing(self) -> None:
        self._cli = None
        forget(self._place)

    def _call(self, cli: Cli, *words: str) -> Done:
        return cli.call(*words, patience=None, unwanted=self._signals.wanted)

    def _make_places(self) -> None:
        """The directories of the host that the container sees: missing ones are made, as in AWS Batch; the output is open to any user of the image."""
        for volume in self._plan.volumes:
            if volume.source is not None:
                try:
                    if not os.path.lexists(volume.source):
                        os.makedirs(volume.source, exist_ok=True)
                except OSError as error:
                    raise _CannotRun(f"CannotCreateContainerError: the volume's host path {volume.source} cannot be made: {error.strerror}") from error
        os.chmod(self._who.output, 0o777)

    # --- watch

    def _watch(self, cli: Cli) -> dict[str, Any]:
        """Start the container, copy its output to the log until it has ended, and say what the engine says of its end."""
        attached = cli.begin("start", "--attach", "--sig-proxy=false", self._who.name, stderr=subprocess.STDOUT)
        assert attached.stdout is not None
        passed = Passing(cli, self._who.name, self._signals)
        look, wait = time.monotonic(), _LOOK
        while self._copy(attached.stdout.fileno(), self._pause(passed, wait)):
            if not self._running and time.monotonic() >= look:
                self._look_whether_it_runs(cli)
                wait = _LOOK if self._engine == "podman" else min(wait * 2, 1.0)
                look = time.monotonic() + wait
            if passed.is_overdue(_PATIENCE):
                end(attached)
                break
        attached.stdout.close()
        attached.wait()
        state = self._state(cli)
        while state.get("Running") and not self._signals.kill:
            # the engine's client has ended, not the container: its further output is lost, its end is not
            print("spored: the output of the container is cut off: its engine hung up", flush=True)
            self._call(cli, "wait", self._who.name)
            state = self._state(cli)
        if str(state.get("StartedAt", _NOT_STARTED)).startswith(_NOT_STARTED) and not self._running:
            raise _CannotRun(f"CannotStartContainerError: {why_not_started(self._tail, str(state.get('Error') or ''))}")
        self._tell_running()
        return state

    def _pause(self, passed: Passing, wait: float) -> float | None:
        passed.on()
        if not self._running or passed.waits:
            return wait if not passed.waits else 0.1
        return None

    def _copy(self, fd: int, wait: float | None) -> bool:
        """Copy what the container says, after waiting for it at most so long. False: it will say no more."""
        ready, _, _ = select.select([fd, self._signals.fd], [], [], wait)
        self._signals.clear()
        if fd not in ready:
            return True
        data = os.read(fd, 1 << 16)
        self._tail = (self._tail + data)[-_TOLD_TAIL:]
        _write_all(1, data)
        return bool(data)

    def _look_whether_it_runs(self, cli: Cli) -> None:
        if self._engine == "podman":
            runs = os.path.exists(self._who.pid_file) and os.path.getsize(self._who.pid_file) > 0
        else:
            runs = bool(self._state(cli).get("Running"))
        if runs:
            self._tell_running()

    def _state(self, cli: Cli) -> dict[str, Any]:
        done = cli.call("container", "inspect", "--format", "{{json .State}}", self._who.name)
        try:
            state = json.loads(done.out)
        except ValueError:
            return {}
        return state if isinstance(state, dict) else {}

    def _was_out_of_memory(self, state: Mapping[str, Any]) -> bool:
        """podman's keeper leaves a file `oom` where it was started; some versions of podman look for it elsewhere."""
        return bool(state.get("OOMKilled")) or os.path.exists(os.path.join(self._place, "oom"))

    def _keepers_end(self) -> bool:
        """Wait for podman's processes around the container, which become children of this one and end soon after it. False: they do not."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(_LOOK)
            except ChildProcessError:
                return True
        return False

    # --- tell

    def _tell_running(self) -> None:
        if not self._running:
            self._running = True
            self._tell({"op": "running"})

    def _tell(self, message: dict[str, Any]) -> None:
        """Tell the runner; if it is gone, the next one says that this attempt is lost."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_PATIENCE)
            try:
                address, fd = socket_address(self._runner)
                peer.connect(address)
                if fd >= 0:
                    os.close(fd)
                peer.sendall(json.dumps({**message, "a": self._attempt}).encode("ascii") + b"\n")
                peer.recv(4096)
            except OSError:
                pass


def _write_all(fd: int, data: bytes) -> None:
    """Write to the log; what does not fit on the disk is lost, as it is for processes."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass
