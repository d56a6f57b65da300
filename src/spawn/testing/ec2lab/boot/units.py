"""A service of a machine while it runs: started, watched, started again, and stopped."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Protocol

from spawn.testing.ec2lab.boot import processes, services
from spawn.testing.ec2lab.boot.loop import Loop, Timer
from spawn.testing.ec2lab.boot.services import Service

_LOOK_S = 0.05


class Surroundings(Protocol):
    """What a service needs of its machine."""

    loop: Loop
    environment: Mapping[str, str]

    def output(self, name: str, *, on_console: bool) -> int:
        """A file to write what a service says, to be closed after use."""

    def note(self, name: str, text: str) -> None:
        """Write a line of the manager's own into a service's journal."""


class Unit:
    """One service. Its `state` is a word of systemd's: inactive, activating, active, deactivating, failed."""

    def __init__(self, service: Service, machine: Surroundings) -> None:
        self.service = service
        self.state = "inactive"
        self.main: int | None = None
        self.result = "success"
        self.since = time.time()
        self.restarts = 0
        self._machine = machine
        self._mark = ""
        self._wanted = False
        self._restarts_after = False
        self._starts: list[float] = []
        self._timer: Timer | None = None
        self._commands: list[str] = []
        self._when_up: list[Callable[[str | None], None]] = []
        self._when_down: list[Callable[[], None]] = []

    @property
    def is_up(self) -> bool:
        """Whether it runs or is about to."""
        return self.state in {"active", "activating"}

    @property
    def is_down(self) -> bool:
        """Whether nothing of it runs or will."""
        return self.state in {"inactive", "failed"}

    def start(self, done: Callable[[str | None], None]) -> None:
        """Start it, and call `done` with why not, or None. Running already: nothing."""
        self._wanted = True
        if self.state == "active":
            done(None)
            return
        self._when_up.append(done)
        if self.state == "deactivating":
            self._when_down.append(self._begin)
        elif self.state != "activating" or self._timer is not None:
            self._begin()

    def stop(self, done: Callable[[], None], *, within_s: float | None = None) -> None:
        """Stop it, and call `done` when nothing of it runs any more. Not running: nothing."""
        self._wanted = False
        self._cancel_timer()
        if self.is_down:
            done()
            return
        self._when_down.append(done)
        if self.state != "deactivating":
            limit = self.service.stop_s if within_s is None else min(within_s, self.service.stop_s)
            self._take_down(limit, "success", signal_main=True)

    def members(self) -> set[int]:
        """The processes that belong to it now."""
        return processes.family(self.main, self._mark) if self._mark else set()

    def _set(self, state: str) -> None:
        self.state = state
        self.since = time.time()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._cancel_timer()
        if not self._wanted:
            return
        now = time.monotonic()
        self._starts = [at for at in self._starts if now - at < self.service.interval_s]
        if self.service.burst and len(self._starts) >= self.service.burst:
            self._fail("start-limit-hit", "Start request repeated too quickly.")
            return
        self._starts.append(now)
        self._set("activating")
        self._mark = uuid.uuid4().hex
        for path in self.service.directories:
            os.makedirs(path, exist_ok=True)
        self._commands = [*self.service.before, *self.service.start]
        self._next_command()

    def _next_command(self) -> None:
        text = self._commands.pop(0)
        try:
            environment = {**self._machine.environment, **services.environment_of(self.service), processes.MARK: self._mark}
            argv, counts = services.command(text, environment)
            output = self._machine.output(self.service.name, on_console=self.service.on_console)
            program = processes.Program(argv=argv, environment=environment, directory=self.service.directory, umask=self.service.umask)
            pid = processes.start(program, output)
            os.close(output)
        except (OSError, ValueError) as error:
            self._fail("resources", f"Failed to start: {error}")
            return
        self.main = pid
        self._machine.loop.on_end(pid, lambda status: self._ended(pid, status, counts))
        if self.service.type != "oneshot" and not self._commands:
            self._set("active")
            self._machine.note(self.service.name, f"Started {self.service.name} - {self.service.description}.")
            self._tell_up(None)

    def _tell_up(self, why_not: str | None) -> None:
        waiting, self._when_up = self._when_up, []
        for done in waiting:
            done(why_not)

    def _ended(self, pid: int, status: int, counts: bool) -> None:
        if pid != self.main:
            return
        self.main = None
        code = os.waitstatus_to_exitcode(status)
        clean = code in {0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE} if self.service.type != "oneshot" else code == 0
        failed = counts and not clean and code not in self.service.success
        if self.state == "deactivating":
            return  # whoever takes it down is watching
        if self._commands and not failed:
            self._next_command()
            return
        self._commands = []
        said = f"Main process exited, code={'killed' if code < 0 else 'exited'}, status={abs(code)}"
        if failed:
            self._machine.note(self.service.name, said)
        if self.service.remains and not failed:
            self._set("active")
            self._tell_up(None)
            return
        self._restarts_after = self._is_restarted(code, failed)
        result = "success" if not failed else ("signal" if code < 0 else "exit-code")
        self._take_down(self.service.stop_s, result, signal_main=False)

    def _is_restarted(self, code: int, failed: bool) -> bool:
        policy = self.service.restart
        if not self._wanted or code in self.service.never_restarts:
            return False
        return policy == "always" or (policy == "on-failure" and failed) or (policy == "on-success" and not failed) or (policy == "on-abnormal" and code < 0)

    def _take_down(self, limit_s: float, result: str, *, signal_main: bool) -> None:
        """End what is left of it: asked first, killed after `limit_s`."""
        was_starting = self.state == "activating"
        self._set("deactivating")
        self.result = result
        number = getattr(signal, self.service.kill_signal, signal.SIGTERM)
        if self.service.kill_mode == "control-group":
            processes.send(self.members(), number)
        elif signal_main and self.main is not None and self.service.kill_mode != "none":
            processes.send([self.main], number)
        self._look(time.monotonic() + limit_s, was_starting)

    def _look(self, until: float, was_starting: bool) -> None:
        """See whether everything that has to go is gone."""
        everything = self.service.kill_mode in {"control-group", "mixed"}
        left = self.members() if everything else {self.main} if self.main is not None and self.service.kill_mode != "none" else set[int]()
        if not left and (self.main is None or self.service.kill_mode == "none"):
            self._timer = None
            self._run_after(list(self.service.after_stop), was_starting)
            return
        if time.monotonic() >= until or (self.service.kill_mode == "mixed" and self.main is None):
            processes.send(left, signal.SIGKILL)
        self._timer = self._machine.loop.later(_LOOK_S, lambda: self._look(until, was_starting))

    def _run_after(self, commands: list[str], was_starting: bool) -> None:
        """What is to be run when it has stopped, one after the other; then it is down."""
        if not commands:
            self._is_down(was_starting)
            return
        environment = {**self._machine.environment, **self.service.environment}
        argv, _ = services.command(commands.pop(0), environment)
        output = self._machine.output(self.service.name, on_console=False)
        pid = processes.start(processes.Program(argv=argv, environment=environment), output)
        os.close(output)
        self._machine.loop.on_end(pid, lambda _: self._run_after(commands, was_starting))

    def _is_down(self, was_starting: bool) -> None:
        again, self._restarts_after = self._restarts_after and self._wanted, False
        self._set("failed" if self.result != "success" else "inactive")
        if was_starting:
            self._tell_up(None if self.result == "success" else f"Job for {self.service.name} failed ({self.result}).")
        waiting, self._when_down = self._when_down, []
        for done in waiting:
            done()
        if again and self.is_down:
            self.restarts += 1
            self._set("activating")
            self._machine.note(self.service.name, f"Scheduled restart job, restart counter is at {self.restarts}.")
            self._timer = self._machine.loop.later(self.service.restart_s, self._begin)

    def _fail(self, result: str, text: str) -> None:
        self._machine.note(self.service.name, text)
        self.result = result
        self._set("failed")
        self._tell_up(f"Job for {self.service.name} failed: {text}")
