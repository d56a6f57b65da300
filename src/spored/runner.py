"""`spored run`: one process that starts attempts, waits for them, and writes down what happened."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Callable

from spored import __version__, cgroups, events, libc, recovery, sandbox
from spored.attempts import Begun
from spored.containers import Containers
from spored.control import Control, Identity
from spored.environment import ATTEMPT_MARK, DETACHED_MARK, RUNNER_MARK
from spored.family import Family
from spored.home import Home, boot_id, log
from spored.journal import Journal
from spored.launching import InProcess, Launcher
from spored.lifecycle import Lifecycle
from spored.limits import Visits, find_limits
from spored.loop import Loop, Timer, now
from spored.notes import all_places, remove_left
from spored.preparing import Preparation
from spored.replay import Past, read_journal
from spored.server import Server
from spored.spawner import Spawner
from spored.specs import text_bytes
from spored.sweeper import Sweeper

_NUDGE = 0.05
"""Seconds for which news may wait while there is more to start."""
_RETRY = 0.5
_LOOK_HOME = 2.0
"""Seconds between attempts to write to a full disk."""
_TERM_GRACE = 10.0
_LAST_PATIENCE = 60.0
"""Seconds that a shutdown waits for a full disk; what is not written then is told as lost by the next runner."""


def run(directory: str, idle_exit: float) -> int:
    """Be the runner of `directory` until told to end, or until `idle_exit` seconds have passed with nothing to do and no engine."""
    _shed_marks()
    home = Home(directory)
    home.lock()
    try:
        os.setsid()
    except PermissionError:
        pass  # it leads a process group already, as when typed into a shell
    home.take_output()
    Runner(home, idle_exit).run()
    return 0


def _shed_marks() -> None:
    """Started from within an attempt, a runner would be taken for a part of it: execute this program anew, without the marks."""
    if ATTEMPT_MARK in os.environ or RUNNER_MARK in os.environ:
        kept = {name: value for name, value in os.environ.items() if name not in (ATTEMPT_MARK, RUNNER_MARK)}
        kept[DETACHED_MARK] = "1"
        with open("/proc/self/cmdline", "rb") as file:
            command = file.read().split(b"\0")[:-1]
        os.execve(sys.executable, command, kept)


class Runner:
    """Joins the parts, and turns the loop."""

    def __init__(self, home: Home, idle_exit: float) -> None:
        self._home = home
        self._idle_exit = idle_exit
        self._idle_since: float | None = None
        self._told = (0, 0)
        self._nudge: Timer | None = None
        self._closing: float | None = None
        self._in_trouble = False
        self._retry: Timer | None = None
        self._done = False
        try:
            libc.become_subreaper()
        except OSError as error:
            log(f"orphans will not be noticed: {error}")
        boot = boot_id()
        past = read_journal(home.journal)
        if past.open and past.boot in (None, boot):
            recovery.end_remains(home, past)
        remove_left(all_places(home.path))
        self._family = Family(text_bytes(home.path))
        self._journal = Journal(home.journal, identity=past.identity, segment=past.segment)
        self._loop = Loop(self._signals())
        limits, unlimited = find_limits(home.path)
        launchers, features, spawner = make_launchers(home, self._loop, self._family, None if limits is None else limits.visits)
        features["memory_limit"] = unlimited
        self._sweeper = Sweeper(self._family)
        for group in cgroups.former(home.path).values():
            cgroups.remove(group)
        preparation = Preparation(home.path, self._sweeper, private=True in launchers, limits=limits)
        self._lifecycle = Lifecycle(self._loop, self._family, self._journal, launchers, preparation, Containers(home, self._family))
        if spawner is not None:
            spawner.listener = self._lifecycle.listener()
        self._write_past(past, boot)
        self._control = Control(home, Identity(boot, features), self._journal, self._lifecycle, _begun(past))
        self._control.shutdown = self._shut_down
        for tmp in recovery.abandoned_tmps(home, past):
            self._sweeper.remove(tmp)
        home.write_command()
        self._server = Server(self._loop, home.path, self._control.hear)
        self._control.server = self._server
        self._housekeep()
        self._watch_home()

    def _signals(self) -> dict[int, Callable[[], None]]:
        return {
            signal.SIGCHLD: self._reap,
            signal.SIGTERM: lambda: self._shut_down(_TERM_GRACE),
            signal.SIGINT: _ignore,
            signal.SIGHUP: _ignore,
            signal.SIGPIPE: _ignore,
            signal.SIGXFSZ: _ignore,
        }

    def _reap(self) -> None:
        self._lifecycle.reap()

    def _write_past(self, past: Past, boot: str) -> None:
        self._journal.write(events.runner(os.getpid(), boot))
        for identity in past.open:
            self._journal.write(events.lost(identity))
        if past.open:
            log(f"{len(past.open)} attempts of the former runner are lost")

    def run(self) -> None:
        """Turn until there is an end."""
        log(f"runner {__version__} has begun, pid {os.getpid()}")
        gc.collect()
        gc.freeze()
        self._publish()
        while not self._done:
            self._loop.turn()
            if not self._closing:
                self._lifecycle.begin_waiting()
            self._publish()
            if self._closing:
                self._check_closed()
        self._server.close()
        self._lifecycle.preparation.close()
        log("runner has ended")

    def _publish(self) -> None:
        """Put what has happened into the journal and tell the engine; what is not pressing, together with what follows."""
        waiting = len(self._lifecycle.waiting)
        if self._journal.urgent or not waiting:
            self._journal.flush()
        if self._in_trouble or self._journal.trouble or self._lifecycle.trouble:
            self._heed_trouble()
        place = (self._journal.segment, self._journal.offset)
        if place == self._told and not self._journal.pending:
            return
        if not waiting:
            self._tell(place)
        elif self._nudge is None:
            self._nudge = self._loop.after(_NUDGE, self._nudged)

    def _nudged(self) -> None:
        self._nudge = None
        self._journal.flush()
        self._tell((self._journal.segment, self._journal.offset))

    def _tell(self, place: tuple[int, int]) -> None:
        if place != self._told:
            self._told = place
            if self._server.engine is not None:
                self._server.engine.send({"op": "grew", "segment": place[0], "offset": place[1]})

    def _heed_trouble(self) -> None:
        """While the disk takes nothing, look again in a while; every turn tries to begin what waits."""
        trouble = self._journal.trouble or self._lifecycle.trouble
        self._lifecycle.trouble = None
        if trouble is not None and self._retry is None:
            self._retry = self._loop.after(_RETRY, self._try_again)
        if (trouble is not None) != self._in_trouble:
            self._in_trouble = trouble is not None
            log(f"nothing new starts: {trouble}" if trouble else "the disk takes writes again")

    def _try_again(self) -> None:
        self._retry = None
        self._journal.flush()

    def _housekeep(self) -> None:
        """From time to time: end when there is nothing to do any more."""
        self._loop.after(min(max(self._idle_exit / 4, 0.05), 30.0), self._housekeep)
        lifecycle = self._lifecycle
        busy = bool(lifecycle.running or lifecycle.waiting or lifecycle.kept) or not (self._sweeper.idle and lifecycle.undertaker.idle)
        if not busy:
            os.chdir("/")
        if busy or self._server.engine is not None:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now()
        elif now() - self._idle_since >= self._idle_exit:
            log("nothing to do")
            self._done = True

    def _watch_home(self) -> None:
        """End, with everything that runs, when what is written down here can be read by no one any more."""
        self._loop.after(_LOOK_HOME, self._watch_home)
        if self._closing is None and not (self._home.is_mine and self._journal.is_there()):
            log("the directory or the journal of this runner was removed")
            self._shut_down(0.0)

    def _shut_down(self, grace: float) -> None:
        """Stop everything, write it down, and end. Again: the shorter grace counts."""
        if self._closing is None:
            log("shutting down")
            self._closing = now()
            self._loop.after(_LAST_PATIENCE, lambda: None)
        self._control.closing = True
        self._lifecycle.stop_all(grace)

    def _check_closed(self) -> None:
        lifecycle = self._lifecycle
        if lifecycle.running or not (lifecycle.undertaker.idle and self._sweeper.idle):
            return
        assert self._closing is not None
        self._done = not self._journal.pending or now() - self._closing > _LAST_PATIENCE


def _ignore() -> None:
    pass


def make_launchers(home: Home, loop: Loop, family: Family, visits: Visits | None) -> tuple[dict[bool, Launcher], dict[str, str | None], Spawner | None]:
    """The ways to make processes here (by whether with a private /tmp), what can't be had and why, and the spawner if it is one of the ways."""
    direct = os.geteuid() == 0 and sandbox.probe(home.path, user_namespace=False) is None
    launchers: dict[bool, Launcher] = {False: InProcess(namespaces=direct, visits=visits)}
    features: dict[str, str | None] = {"private_tmp": None}
    if direct:
        launchers[True] = launchers[False]
        return launchers, features, None
    features["private_tmp"] = sandbox.probe(home.path, user_namespace=True)
    if features["private_tmp"] is not None:
        return launchers, features, None
    spawner = Spawner(loop, family, home.lock_fd)
    launchers[True] = spawner
    return launchers, features, spawner


def _begun(past: Past) -> Begun:
    begun = Begun()
    for identity in past.begun:
        key, position, attempt = identity.split(":")
        begun.add(key, int(position), int(attempt))
    return begun
