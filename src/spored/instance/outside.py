"""What others say to this instance while it runs: the engine by `control.json`, EC2 by interruption notices."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable

from spored.errors import BadMessage
from spored.instance.attempts import Attempts, Stop
from spored.instance.deadlines import BEFORE_LOST_S, grace_after_notice
from spored.instance.ending import Ending
from spored.instance.errands import Office
from spored.instance.lateness import Lateness
from spored.instance.ledger import write_privately
from spored.instance.metadata import Notice
from spored.instance.steering import parse_control
from spored.instance.surroundings import Surroundings


class Outside:
    """Asks, and does what is said."""

    def __init__(self, world: Surroundings, office: Office, attempts: Attempts, ending: Ending, lateness: Lateness) -> None:
        self._world = world
        self._office = office
        self._attempts = attempts
        self._ending = ending
        self._lateness = lateness
        self._asking: set[str] = set()
        self.control_seq: int | None = None  #: of what the engine said last

    def _ask(self, lane: str, what: str, call: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Ask in a worker, unless the same question is still open; failing is noted, and the next time may do better."""
        if what in self._asking:
            return
        self._asking.add(what)

        def done(value: Any) -> None:
            self._asking.discard(what)
            then(value)

        def failed(error: Exception) -> None:
            self._asking.discard(what)
            self._world.talk.note(f"{what} could not be read: {error}")

        self._office.workers.do(lane, call, done, failed)

    def ask_control(self) -> None:
        """Read what the engine says. Never waits."""
        key = f"{self._world.launch.prefix}control.json"
        self._ask("io", "control.json", lambda: self._world.bucket.get(key), self._steer)

    def _steer(self, body: bytes | None) -> None:
        if body is None:
            return
        try:
            control = parse_control(body, self._world.identity.instance_id)
        except BadMessage as error:
            self._world.talk.note(str(error))
            return
        self.control_seq = control.seq
        self._ending.move(self._ending.lifetime.steered(control.ends_at))
        self._attempts.stop(control.stop)
        self._office.changed()

    def ask_notice(self) -> None:
        """Look for an interruption notice. Never waits."""
        self._ask("watch", "interruption notices", self._world.metadata.notice, self._noticed)

    def _noticed(self, notice: Notice | None) -> None:
        if notice is None or self._ending.is_interrupted:
            return
        world, now = self._world, self._world.clock()
        self._ending.is_interrupted = True
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(notice.at))
        world.talk.tell(f"EC2 takes this instance back ({notice.action}) at {stamp}")
        if world.memory.values.get("interrupted_at") is None:
            world.memory.set(interrupted_at=round(now, 3))
        self._mark(json.dumps({"action": notice.action, "time": stamp}))
        self._lateness.set("notice", max(notice.at - BEFORE_LOST_S, (now + notice.at) / 2))
        self._attempts.stop_all(Stop("stopped", grace_after_notice(now, notice.at)))
        self._office.changed()

    def _mark(self, text: str) -> None:
        """Let scripts know, before they are asked to end."""
        path = self._world.places.interruption
        try:
            write_privately(path, text)
            os.chmod(path, 0o644)
        except OSError as error:
            self._world.talk.note(f"{path} could not be written: {error}")
