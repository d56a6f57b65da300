"""The life of an attempt: begun, run, ended, kept, gone; every step in the journal before it counts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace

from spored import events
from spored.attempts import Attempt, Entry, Exit
from spored.containers import Containers
from spored.endings import exit_of_attempt, why
from spored.errors import NoRoom, Refused
from spored.family import Family
from spored.journal import Journal
from spored.launching import Launcher, Request
from spored.loop import Loop, Timer, now
from spored.preparing import Preparation
from spored.spawner import Listener
from spored.undertaker import LEFTOVER_GRACE, Undertaker
from spored.usage import exit_of
from spored.waiting import Room, Waiting

_COMPLETED_GRACE = 10.0
"""Seconds a script may still run after `spored complete`, when its instance ends with it."""
_TIDY = 0.5
"""Seconds after which directories that no attempt needed go."""


class Lifecycle:
    """All attempts of one runner."""

    def __init__(self, loop: Loop, family: Family, journal: Journal, launchers: dict[bool, Launcher], preparation: Preparation, containers: Containers) -> None:
        """`launchers`: by whether the child gets a private /tmp; True is missing where that can't be had."""
        self._loop = loop
        self._family = family
        self._journal = journal
        self._launchers = launchers
        self.room = Room()
        self.waiting = Waiting(self.room)
        self.running: dict[str, Attempt] = {}
        self.kept: dict[str, Attempt] = {}
        self.deadlines: dict[str, float] = {}
        self.undertaker = Undertaker(loop, family, self._live)
        self.preparation = preparation
        self._containers = containers
        self._tidying: Timer | None = None
        self._unsure = True  #: there may be processes whose attempt is not known
        self.trouble: OSError | None = None

    def _live(self) -> Iterable[Attempt]:
        return [*self.running.values(), *self.kept.values()]

    def listener(self) -> Listener:
        """For a launcher that tells later."""
        running = self.running
        return Listener(
            started=lambda identity, pid: self.started(running[identity], pid),
            refused=lambda identity, reason: self._refuse(running[identity], reason),
            exited=lambda identity, how: self.exited(running[identity], how),
            lost=lambda identities: self.lost([running[identity] for identity in identities]),
        )

    # --- begin

    def begin_waiting(self) -> None:
        """Start attempts as long as there is room for the next. Where the disk is full, none; call again later."""
        while True:
            entry = self.waiting.first()
            if entry is None:
                return
            try:
                self._begin(entry)
            except NoRoom as error:
                self.trouble = error.__cause__ if isinstance(error.__cause__, OSError) else None
                return

    def _begin(self, entry: Entry) -> None:
        attempt = Attempt(entry, now())
        try:
            if not self.room.could_fit(attempt.spec):
                raise Refused(self.room.too_large(attempt.spec))
            request, log = self.preparation.make(attempt)
        except Refused as error:
            self._write_starting(entry, attempt)
            self._refuse(attempt, str(error))
            return
        try:
            self._write_starting(entry, attempt)
            self._launch(attempt, request, log)
        finally:
            os.close(log)

    def _write_starting(self, entry: Entry, attempt: Attempt) -> None:
        """From here on this attempt id never starts again."""
        self._journal.write(events.starting(attempt.id))
        if not self._journal.flush():
            self._journal.retract()
            raise NoRoom from self._journal.trouble
        attempt.segment = self._journal.opened()
        self.waiting.drop(entry.id)
        self.running[attempt.id] = attempt
        attempt.array.running += 1
        self.room.take(attempt.spec)

    def _launch(self, attempt: Attempt, request: Request, log: int) -> None:
        try:
            pid = self._launchers[request.tmp is not None].launch(request, log)
        except Refused as error:
            self._refuse(attempt, str(error))
            return
        if pid:
            self._family.add(pid, attempt)
            self.started(attempt, pid)

    def started(self, attempt: Attempt, pid: int) -> None:
        """Its process runs, which may be the one that is to run its container."""
        attempt.pid = pid
        self._family.leaders[pid] = attempt
        if attempt.placement.engine is None:
            self.runs(attempt)
        if attempt.doomed:
            self.undertaker.changed(attempt)

    def runs(self, attempt: Attempt) -> None:
        """What it is there for runs. Again: nothing."""
        if attempt.runs:
            return
        attempt.runs = True
        self._journal.write(events.started(attempt.id, attempt.pid), urgent=False)
        spec = attempt.spec
        if spec.timeout_s is not None or spec.ttl_s is not None or self.deadlines:
            self._set_limits(attempt)

    def _set_limits(self, attempt: Attempt) -> None:
        spec = attempt.spec
        if spec.timeout_s is not None:
            attempt.limits = [self._loop.after(spec.timeout_s, lambda: self.stop(attempt, "timeout", spec.grace_s))]
        at = self.deadlines.pop(attempt.id, None)
        if at is not None:
            self.set_deadline(attempt, at)
        elif spec.ttl_s is not None:
            attempt.expiry = self._loop.after(spec.ttl_s, lambda: self._expire(attempt))

    def set_deadline(self, attempt: Attempt, at: float) -> None:
        """The instance's end becomes `at`, seconds since the epoch. Again: the later call counts."""
        if attempt.expiry is not None:
            attempt.expiry.cancel()
        attempt.expiry = self._loop.after(max(at - time.time(), 0.0), lambda: self._expire(attempt))

    def _expire(self, attempt: Attempt) -> None:
        if attempt.kept:
            # Its outcome stands and its files stay until the release; but nothing of it may run on.
            self.undertaker.doom(attempt, attempt.spec.grace_s, lambda _: None)
        else:
            self.stop(attempt, "ttl", attempt.spec.grace_s)

    def _refuse(self, attempt: Attempt, reason: str, error: str = "CannotStartContainerError: ") -> None:
        self._journal.write(events.refused(attempt.id, error + reason))
        attempt.over = True
        self._close(attempt)
        self._discard(attempt)

    # --- end

    def reap(self) -> None:
        """Take note of every process that has ended."""
        for attempt, status, usage in self._family.reap():
            self.exited(attempt, exit_of(status, usage))
        if not self.undertaker.idle:
            self.undertaker.orphans_changed()

    def exited(self, attempt: Attempt, how: Exit) -> None:
        """The first process of an attempt has ended. What it left behind ends too, unless the instance is kept."""
        attempt.over = True
        attempt.exit = how
        if attempt.limits:
            for timer in attempt.limits:
                timer.cancel()
        if attempt.doomed:
            self.undertaker.changed(attempt)
        elif attempt.placement.engine is None and not attempt.spec.keep and self._has_leftovers(attempt):
            self.undertaker.doom(attempt, LEFTOVER_GRACE, self._settle)
        else:
            self._settle(attempt)

    def _has_leftovers(self, attempt: Attempt) -> bool:
        """What a glance shows; where it may miss something, a sweep comes later."""
        orphans, known = self._family.has_orphans(), self._family.orphans
        self._unsure = orphans is not False or (bool(known) and None in known.values())
        if orphans is not None:
            return orphans or (bool(known) and attempt.id in known.values())
        try:
            os.killpg(attempt.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def lost(self, attempts: Iterable[Attempt]) -> None:
        """Whoever was to say how these end is gone: kill them, and say that they are lost."""
        for attempt in attempts:
            attempt.over = True
            self.undertaker.doom(attempt, 0.0, self._settle)

    def _settle(self, attempt: Attempt) -> None:
        """Nothing of it is left, or it may stay: its end goes into the journal."""
        if attempt.placement.engine is not None and not self._containers.are_gone(attempt, self._settle):
            return
        if attempt.verdict is not None and attempt.verdict.refused is not None:
            self._refuse(attempt, attempt.verdict.refused, "")
            return
        how = None if attempt.exit is None else exit_of_attempt(attempt, attempt.exit)
        self._journal.write(events.lost(attempt.id) if how is None else events.ended(attempt.id, how, why(attempt, how)))
        self._close(attempt)
        if attempt.spec.keep and how is not None:
            attempt.kept = True
            self.kept[attempt.id] = attempt
        else:
            self._discard(attempt, keep_files=attempt.keep_files, alone=not self._unsure and attempt.placement.engine is None)
            if self._unsure:
                self.undertaker.sweep(attempt)

    def _close(self, attempt: Attempt) -> None:
        self._journal.closed(attempt.segment)
        del self.running[attempt.id]
        attempt.array.running -= 1
        self.room.give(attempt.spec)

    def _discard(self, attempt: Attempt, *, keep_files: bool = False, alone: bool = True) -> None:
        """Its instance is gone: remove what only it needed. `alone`: certainly no process of it is left."""
        if attempt.expiry is not None:
            attempt.expiry.cancel()
        if self._family.leaders.get(attempt.pid) is attempt:
            del self._family.leaders[attempt.pid]
        self.preparation.discard(attempt, keep_files=keep_files, alone=alone)
        if self._tidying is None:
            self._tidying = self._loop.after(_TIDY, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        if not self.preparation.tidy(lazily=True):
            self._tidying = self._loop.after(_TIDY, self._tidy)
        elif not self.running:
            for launcher in self._launchers.values():
                launcher.tidy()

    # --- what the engine and the scripts ask for

    def stop(self, attempt: Attempt, why: str, grace: float) -> None:
        """End a running attempt. Again: the first reason stands, and the shorter grace."""
        if attempt.why is None and not attempt.over:
            attempt.why = why
        if attempt.id in self.running:
            self.undertaker.doom(attempt, grace, self._settle)

    def drop(self, identity: str) -> bool:
        """Take a waiting attempt out and write that down. False: it does not wait."""
        if not self.waiting.drop(identity):
            return False
        self.deadlines.pop(identity, None)
        self._journal.write(events.dropped(identity))
        return True

    def stop_all(self, grace: float) -> None:
        """Start nothing more, and end everything, kept instances too."""
        for identity in self.waiting.ids():
            self.drop(identity)
        for attempt in list(self.running.values()):
            self.stop(attempt, "stopped", grace)
        for attempt in self.kept.values():
            self.undertaker.doom(attempt, grace, lambda _: None)

    def complete(self, attempt: Attempt, status: str, message: str | None) -> None:
        """The script said how it went. It must not have said so before."""
        attempt.completed = status
        self._journal.write(events.completed(attempt.id, status, message))
        if not attempt.spec.keep:
            grace = attempt.spec.grace_s
            timer = self._loop.after(_COMPLETED_GRACE, lambda: self.stop(attempt, "completed", grace))
            attempt.limits = [*(attempt.limits or ()), timer]

    def give_up(self, attempt: Attempt, keep_files: bool) -> None:
        """The instance of a running attempt ends, and nothing of it is kept but, with `keep_files`, its files."""
        attempt.spec = replace(attempt.spec, keep=False)
        attempt.keep_files = keep_files
        self.stop(attempt, "stopped", LEFTOVER_GRACE)

    def release(self, attempt: Attempt, keep_files: bool) -> None:
        """The instance of an attempt that has ended, or of one that this runner never knew, ends."""

        def gone(released: Attempt) -> None:
            self.kept.pop(released.id, None)
            self._discard(released, keep_files=keep_files, alone=False)

        self.undertaker.doom(attempt, LEFTOVER_GRACE, gone)
