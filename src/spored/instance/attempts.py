"""The attempts of this instance: claimed, handed to the runner, followed, and recorded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

from spored.files import stem_of
from spored.instance.claims import claim
from spored.instance.config import Assignment, Launch
from spored.instance.course import Course, Paths
from spored.instance.errands import Office
from spored.instance.ledger import Ledger
from spored.instance.s3 import Bucket
from spored.specs import text_bytes


class Stop(NamedTuple):
    """What somebody asked to end, and how long it may take."""

    why: str  #: as the runner is told: stopped or ttl
    grace_s: float


@dataclass(frozen=True)
class Setting:
    """What the attempts of an instance have in common."""

    launch: Launch
    instance_id: str
    bucket: Bucket
    ledger: Ledger
    office: Office
    clock: Callable[[], float]
    is_late: Callable[[], bool]
    interrupted_at: Callable[[], float | None]
    send: Callable[[dict[str, Any]], None] = field(repr=False)  #: a line to the runner; to one that is not there: nothing
    settled: Callable[[Course], None] = field(repr=False)  #: an attempt is recorded, or was never this instance's


class Attempts:
    """At most `slots` at a time, one after another in the order they are given."""

    def __init__(self, setting: Setting, slots: int) -> None:
        self._setting = setting
        self.slots = slots
        self.waiting: deque[Assignment] = deque()
        self.active: dict[str, Course] = {}
        self.closed = False  #: nothing is begun any more
        self._stopped: dict[str, Stop] = {}

    # --- taking on

    def restore(self, assignments: Iterable[Assignment]) -> None:
        """Go on with what this instance had claimed before, and then with what it has to do besides."""
        entries = self._setting.ledger.entries
        for entry in entries.values():
            if not entry.recorded:
                self._course(entry.assignment, is_new=False)
        self.waiting.extend(assignment for assignment in assignments if assignment not in entries)

    def knows(self, assignment: Assignment) -> bool:
        """Whether this instance has taken it on, now or before."""
        return assignment in self._setting.ledger.entries or self._id(assignment) in self.active

    def _id(self, assignment: Assignment) -> str:
        return assignment.id(self._setting.launch.key)

    @property
    def free(self) -> int:
        """How many more may be taken on now."""
        return 0 if self.closed else max(self.slots - len(self.active), 0)

    def fill(self) -> None:
        """Take on as many of the waiting ones as there are free slots."""
        while self.waiting and self.free:
            self.take(self.waiting.popleft())

    def take(self, assignment: Assignment) -> Course:
        """Claim an attempt; it starts when the claim is this instance's."""
        course = self._course(assignment, is_new=True)
        course.errands.add(f"claim {course.id}", lambda: self._claim(course), lambda mine: self._claimed(course, mine))
        return course

    def _claim(self, course: Course) -> bool:
        setting = self._setting
        mine = claim(setting.bucket, f"{course.paths.prefix}claim.json", setting.instance_id, setting.clock())
        if mine:
            setting.ledger.claimed(course.assignment)
        else:
            setting.ledger.recorded(course.assignment)
        return mine

    def _course(self, assignment: Assignment, *, is_new: bool) -> Course:
        launch = self._setting.launch
        stem = os.fsdecode(stem_of(text_bytes(launch.checked.directory), *assignment.child))
        identity = self._id(assignment)
        paths = Paths(f"{launch.prefix}{assignment.index}/{assignment.attempt}/", f"{launch.prefix}news/{assignment.position}-{assignment.attempt}-", stem)
        course = self.active[identity] = Course(self._setting, assignment, identity, paths, is_new=is_new)
        return course

    def _claimed(self, course: Course, mine: bool) -> None:
        setting = self._setting
        if not mine:
            self._settle(course)
            return
        course.tell("claimed")
        if self.closed or course.id in self._stopped:
            self._finish(course, "dropped", {"t": setting.clock()})
            return
        course.handed = True
        self._hand_over(course)

    def _hand_over(self, course: Course) -> None:
        self._setting.send({"op": "start", "key": self._setting.launch.key, "children": [list(course.assignment.child)]})

    # --- following

    def greeted(self) -> None:
        """There is a runner, perhaps a new one: tell it what it does not know."""
        for course in self.active.values():
            if course.handed and not course.is_over:
                if not course.events:
                    self._hand_over(course)
                if course.stop is not None:
                    self._send_stop([course.id], course.stop)

    def forgotten(self) -> None:
        """The runner's journal is another one than before: nobody knows how those ended that had been handed over."""
        for course in list(self.active.values()):
            if course.handed and not course.is_over:
                self._finish(course, "lost", {"t": self._setting.clock()})

    def heard(self, event: dict[str, Any]) -> None:
        """Something is in the journal."""
        course = self.active.get(str(event.get("a")))
        if course is None or course.is_over:
            return
        if event["e"] in ("ended", "refused", "lost", "dropped"):
            self._finish(course, event["e"], event)
        else:
            course.heard(event)

    def _finish(self, course: Course, kind: str, event: dict[str, Any]) -> None:
        course.finish(kind, event, lambda: self._settle(course))

    def _settle(self, course: Course) -> None:
        del self.active[course.id]
        self._stopped.pop(course.id, None)
        self._setting.settled(course)

    # --- stopping

    def stop(self, wanted: dict[str, Stop]) -> None:
        """End these: what runs is asked to, what waits is recorded as dropped, also when this instance comes to it only later. Again: nothing."""
        for identity, stop in wanted.items():
            course = self.active.get(identity)
            if course is None:
                self._stopped.setdefault(identity, stop)
            elif course.stop is None:
                self._stop(course, stop)

    def stop_all(self, stop: Stop) -> None:
        """Begin nothing any more, and end what runs. Again: the shorter grace counts."""
        self.closed = True
        for course in list(self.active.values()):
            self._stop(course, stop)

    def _stop(self, course: Course, stop: Stop) -> None:
        self._stopped[course.id] = course.stop = stop
        if course.handed and not course.is_over:
            self._send_stop([course.id], stop)

    def _send_stop(self, attempts: Collection[str], stop: Stop) -> None:
        self._setting.send({"op": "stop", "attempts": list(attempts), "why": stop.why, "grace_s": stop.grace_s})

    # --- what is in the bucket

    def upload(self) -> None:
        """Send what logs have grown."""
        for course in self.active.values():
            course.upload_log()

    def hurry(self) -> None:
        """Time is short: try everything again at once."""
        for course in self.active.values():
            course.errands.hurry()

    def trouble(self) -> str | None:
        """Why something could not be uploaded."""
        return next((course.errands.trouble for course in self.active.values() if course.errands.trouble is not None), None)
