"""The agent of an instance: joins the parts and turns the loop. Everything that waits on the network waits in a worker; this thread never does."""

from __future__ import annotations

import json
import os
import signal
from typing import Any, Callable

from spored.instance.attempts import Attempts, Setting, Stop
from spored.instance.course import Course
from spored.instance.desk import Desk
from spored.instance.ending import Ending, World, suspended_for
from spored.instance.errands import Office
from spored.instance.following import Follower
from spored.instance.lateness import Lateness
from spored.instance.ledger import Ledger, write_privately
from spored.instance.link import Heard, RunnerLink
from spored.instance.mirror import Mirror
from spored.instance.outside import Outside
from spored.instance.pool import Pool
from spored.instance.presence import Presence
from spored.instance.running import capacity, runner_spec, slots_of
from spored.instance.settings import settings_of
from spored.instance.surroundings import Surroundings
from spored.instance.workers import Workers
from spored.loop import Loop, Timer

_LOOK_S = 1.0
_AFTER_TERM_S = 90.0
"""How long after SIGTERM more than records is still written: the unit gives the agent three minutes."""
_LAST_S = 10.0
_GUARD_EVERY_S = 600.0
_LONGEST_GRACE_S = 60.0


class Agent:
    """One life of the agent."""

    def __init__(self, world: Surroundings, *, is_terminated: Callable[[], bool]) -> None:
        """`is_terminated`: whether SIGTERM has come before the loop could be told."""
        self._world = world
        self._launch = launch = world.launch
        assignments = [] if launch.pool is not None else launch.assignments(world.identity.launch_index)
        slots = slots_of(launch, None if launch.pool is not None else len(assignments))
        self._loop = Loop({signal.SIGTERM: self._terminated, signal.SIGINT: self._terminated, signal.SIGHUP: _nothing, signal.SIGCHLD: self._reap})
        self._workers = Workers(self._loop, {"io": 1, "upload": min(slots, 4), "machine": 1, "watch": 1, "pool": 1, "hold": 1})
        self._office = Office(self._loop, self._workers, world.random, self._changed)
        self._lateness = Lateness(self._loop, world.clock, self._hurry)
        self._terminating: float | None = None
        self._over = False
        self._look_is_due = False
        self._unsent: str | None = None
        self._uploading: Timer | None = None
        self._uploaded_at: float | None = None
        self._spec = runner_spec(launch, world.identity.region, world.places.interruption, os.environ)
        self._follower = Follower(os.path.join(world.places.runner, "journal"))
        self._link = RunnerLink(self._loop, world.places.runner, capacity(launch, slots), Heard(self._greeted, self._read_journal, world.talk.note))
        self.attempts = Attempts(self._setting(), slots)
        self._pool = None if world.queue is None else Pool(world.queue, self.attempts, launch.checked.size, self._office, world.talk.note)
        self._mirror = Mirror(world.places.cloud_init_log, os.path.join(world.places.home, "mirror"))
        self._presence = Presence(launch, world.identity, world.bucket, self._office, world.clock)
        self.ending = self._make_ending()
        self._outside = Outside(world, self._office, self.attempts, self.ending, self._lateness)
        self.attempts.restore(assignments)
        self._read_journal()
        Desk(self._loop, world.places.home, self)
        # after a crash following a notice, which is about to be read again
        self.attempts.closed = world.memory.values.get("interrupted_at") is not None
        if is_terminated():
            self._terminated()

    def _setting(self) -> Setting:
        world = self._world
        return Setting(
            launch=self._launch,
            instance_id=world.identity.instance_id,
            bucket=world.bucket,
            ledger=Ledger(os.path.join(world.places.home, "ledger.jsonl")),
            office=self._office,
            clock=world.clock,
            is_late=self._lateness.is_late,
            interrupted_at=lambda: world.memory.values.get("interrupted_at"),
            send=self._link.send,
            settled=self._settled,
        )

    def _make_ending(self) -> Ending:
        world = self._world
        place = World(
            loop=self._loop,
            workers=self._workers,
            machine=world.machine,
            memory=world.memory,
            clock=world.clock,
            random=world.random,
            tell=world.talk.tell,
            changed=self._changed,
            said=lambda: self._presence.is_settled,
            suspended=suspended_for,
        )
        settings = settings_of(self._launch, world.memory.values.get("settings"))
        return Ending(place, self.attempts, world.boot.lifetime, settings, self._launch.ttl_s, self._launch.checked.grace_s)

    def run(self) -> int:
        """Turn until the machine is about to go."""
        world = self._world
        try:
            write_privately(os.path.join(world.places.home, "spec.json"), json.dumps({"key": self._launch.key, "spec": self._spec}))
        except OSError as error:
            world.talk.note(f"spored shell will not work: {error}")
        world.talk.note(f"instance {world.identity.instance_id}, launch index {world.identity.launch_index}, has {len(self.attempts.waiting)} attempts waiting")
        self.ending.begin(is_new_boot=world.boot.is_new, is_visited=world.boot.is_woken and not self.attempts.waiting)
        self._link.open()
        every = self._launch.every
        self._repeat(_LOOK_S, self._look)
        self._repeat(every.control_s, self._outside.ask_control)
        if self._launch.spot:
            self._repeat(every.notice_s, self._outside.ask_notice)
        self._loop.after(_GUARD_EVERY_S, lambda: self._repeat(_GUARD_EVERY_S, self.ending.renew_guard))
        self._begin_uploads()
        while not self._over:
            self._loop.turn()
        world.talk.note("the agent ends")
        return 0

    def _repeat(self, every_s: float, call: Callable[[], None]) -> None:
        """Call now, and again and again."""
        call()
        self._loop.after(every_s, lambda: self._repeat(every_s, call))

    # --- the runner

    def _greeted(self, welcome: dict[str, Any]) -> None:
        memory = self._world.memory
        self._read_journal()
        if memory.values.get("journal") not in (None, welcome["journal"]):
            self.attempts.forgotten()
        memory.set(journal=welcome["journal"])
        self._link.send({"op": "array", "key": self._launch.key, "spec": self._spec})
        self.attempts.greeted()

    def _read_journal(self) -> None:
        for event in self._follower.read():
            self.attempts.heard(event)
        self._changed()

    def _reap(self) -> None:
        self._link.reap()

    # --- what has changed

    def _changed(self) -> None:
        """Look soon; asked for several times, once."""
        if not self._look_is_due:
            self._look_is_due = True
            self._loop.soon(self._look_now)

    def _look_now(self) -> None:
        self._look_is_due = False
        self._look()

    def _look(self) -> None:
        if self._terminating is not None:
            self._close_down()
        else:
            self.attempts.fill()
            if self._pool is not None:
                self._pool.ask()
            self.ending.look(is_done=self.is_done)
        self._lateness.set("ttl", self.ending.late_at)
        self._mirror.follow((course.id, course.paths.log) for course in self.attempts.active.values())
        self._tell_unsent()
        self._presence.say(self.facts())

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to run or to record."""
        attempts = self.attempts
        if attempts.active:
            return False
        return attempts.closed or (not attempts.waiting and (self._pool is None or self._pool.is_drained))

    def _settled(self, course: Course) -> None:
        self._mirror.follow([(course.id, course.paths.log)])
        self._mirror.forget(course.id)
        self._uploaded_at = course.uploaded_at or self._uploaded_at
        if self._pool is not None:
            self._pool.settled(course)
        self._changed()

    def facts(self) -> dict[str, Any]:
        """What there is to say of this instance."""
        memory, lifetime = self._world.memory.values, self.ending.lifetime
        return {
            "booted_at": lifetime.booted_at,
            "ends_at": lifetime.ends_at,
            "control_seq": self._outside.control_seq,
            "running": [course.id for course in self.attempts.active.values() if course.state == "running"],
            "unsent": self._unsent,
            "interrupted_at": memory.get("interrupted_at"),
            "ending": self.ending.why or ("the machine is being shut down" if self._terminating is not None else None),
        }

    def report(self) -> dict[str, Any]:
        """What `spored status` shows."""
        world, ends_at, now = self._world, self.ending.lifetime.ends_at, self._world.clock()
        uploads = [course.uploaded_at for course in self.attempts.active.values() if course.uploaded_at is not None]
        return {
            "array": self._launch.array,
            "name": self._launch.checked.name,
            "instance": world.identity.instance_id,
            "deadline": None if ends_at is None else round(ends_at, 3),
            "ttl_left_s": None if ends_at is None else round(max(ends_at - now, 0.0), 3),
            "last_upload": max(uploads, default=self._uploaded_at),
            "unsent": self._unsent,
            "waiting": len(self.attempts.waiting),
            "attempts": [_shown(course) for course in self.attempts.active.values()],
            **{key.replace("-", "_"): value for key, value in self.ending.settings.shown().items()},
        }

    def configure(self, key: str, value: str) -> None:
        """Change a setting, now and for later lives of this agent. SporedError when it cannot be so."""
        self.ending.settings = self.ending.settings.changed(key, value)
        known = self._world.memory.values.get("settings") or {}
        name = {"on-complete": "on_complete", "idle-timeout": "idle_s", "upload-interval": "upload_s"}[key]
        self._world.memory.set(settings={**known, name: getattr(self.ending.settings, name)})
        if name == "upload_s":
            self._begin_uploads()
        self._changed()

    def _tell_unsent(self) -> None:
        trouble = self.attempts.trouble() or (self._pool.trouble if self._pool is not None else None) or self._presence.trouble
        if trouble != self._unsent:
            self._unsent = trouble
            self._world.talk.tell(f"cannot upload, and will try until this instance ends: {trouble}" if trouble else "everything can be uploaded again")

    # --- uploads

    def _begin_uploads(self) -> None:
        """Upload now, and then as often as is set."""
        if self._uploading is not None:
            self._uploading.cancel()
        self._uploading = self._loop.after(self.ending.settings.upload_s, self._begin_uploads)
        self.attempts.upload()

    def _hurry(self) -> None:
        self.attempts.hurry()

    def _terminated(self) -> None:
        """The machine is being shut down: end what runs, record it, and go."""
        if self._terminating is None:
            self._terminating = self._world.clock()
            self._world.talk.note("asked to end")
            self._lateness.set("term", self._terminating + _AFTER_TERM_S)
            grace = min(self._launch.checked.grace_s, _LONGEST_GRACE_S)
            if not self.ending.is_interrupted:
                self.attempts.stop_all(Stop("stopped", grace))
        self._changed()

    def _close_down(self) -> None:
        """All is recorded: end the runner, with what it kept, and then this process."""
        if self.attempts.active:
            return
        if not self._link.is_shut:
            self._link.shut_down()
            self._presence.hurry()
            self._loop.after(_LAST_S, self._end)
        if self._link.is_gone and self._presence.is_settled:
            self._end()

    def _end(self) -> None:
        self._over = True


def _shown(course: Course) -> dict[str, Any]:
    assignment = course.assignment
    return {
        "index": assignment.index,
        "attempt": assignment.attempt,
        "state": course.state,
        "last_upload": course.uploaded_at,
        "unsent": course.errands.trouble,
    }


def _nothing() -> None:
    pass
