"""The course of one attempt over this instance, and everything of it that goes into the bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, TypeVar

from spored.instance.config import WIRE, Assignment
from spored.instance.errands import Errands
from spored.instance.records import Events, Left, Writer, outcome, write_record
from spored.instance.uploads import LogUpload, Outputs, Sent

if TYPE_CHECKING:
    from spored.instance.attempts import Setting, Stop

T = TypeVar("T")
_NOTHING_SENT = Sent(0, ())


class Paths(NamedTuple):
    """Where things of an attempt are."""

    prefix: str  #: of its objects
    news: str  #: of the hints about it
    stem: str  #: of its files here

    @property
    def log(self) -> str:
        """Its log."""
        return self.stem + ".log"

    @property
    def output(self) -> str:
        """Its TASK_OUTPUT_DIR."""
        return self.stem + ".out"


class Course:
    """One attempt. What it sends is sent in order, and again until it is there."""

    def __init__(self, setting: Setting, assignment: Assignment, identity: str, paths: Paths, *, is_new: bool) -> None:
        """`is_new`: it is being claimed; else a former agent had it."""
        self._setting = setting
        self.assignment = assignment
        self.id = identity
        self.paths = paths
        self.handed = not is_new  #: the runner has it, or may have
        self.stop: Stop | None = None
        self.events: Events = {}
        self.is_over = False
        self.errands = Errands(setting.office, "upload")
        self.uploaded_at: float | None = None
        self._log = LogUpload(setting.bucket, f"{paths.prefix}log/", paths.log, is_new=is_new)
        self._log_is_due = False
        self._whole_log = False
        self._outputs = _NOTHING_SENT

    @property
    def state(self) -> str:
        """For people."""
        if self.is_over:
            return "recording"
        if "started" in self.events or "starting" in self.events:
            return "running"
        return "starting" if self.handed else "claiming"

    def heard(self, event: dict[str, Any]) -> None:
        """The journal says that it goes on."""
        kind = str(event["e"])
        self.events[kind] = event
        if kind == "started":
            self._put("started", {"at": event["t"]})
        elif kind == "completed":
            self._put("completed", {"at": event["t"], "status": event["status"], "message": event["message"]})

    def _put(self, kind: str, members: dict[str, Any]) -> None:
        setting = self._setting
        body = json.dumps({"wire": WIRE, "attempt": self.id, "instance_id": setting.instance_id, **members}).encode()
        self.errands.add(f"{kind}.json of {self.id}", lambda: setting.bucket.put(f"{self.paths.prefix}{kind}.json", body))
        self.tell(kind)

    def tell(self, kind: str) -> None:
        """Leave a hint that there is something to read."""
        setting = self._setting
        self.errands.add(f"news of {self.id}", lambda: setting.bucket.put(f"{self.paths.news}{kind}", setting.instance_id.encode()))

    def upload_log(self) -> None:
        """Send what the log has grown. While that is already to be done: nothing."""
        if self.handed and not self.is_over and not self._log_is_due and self._log.has_news():
            self._log_is_due = True
            self.errands.add(f"log of {self.id}", lambda: self._log.send(self._setting.is_late), self._log_sent)

    def _log_sent(self, whole: bool) -> None:
        self._log_is_due = False
        self._whole_log = whole
        self.uploaded_at = self._setting.clock()

    def finish(self, kind: str, event: dict[str, Any], then: Callable[[], None]) -> None:
        """It is over: send the rest of its log, its outputs and its record, in this order, and call `then` when all that is there."""
        self.is_over = True
        self.events[kind] = event
        setting = self._setting
        outputs = Outputs(setting.bucket, f"{self.paths.prefix}output/", self.paths.output)
        if self.handed:
            self.errands.add(f"log of {self.id}", self._if_in_time(lambda: self._log.send(setting.is_late), lambda: False), self._log_sent)
            self.errands.add(f"outputs of {self.id}", self._if_in_time(lambda: outputs.send(setting.is_late), outputs.unsent), self._outputs_sent)
        else:
            self._whole_log = True
        self.errands.add(f"outcome of {self.id}", self._record)
        self.tell("dropped" if kind == "dropped" else "ended")
        self.errands.add(f"ledger of {self.id}", lambda: setting.ledger.recorded(self.assignment), lambda _: then())

    def _if_in_time(self, call: Callable[[], T], otherwise: Callable[[], T]) -> Callable[[], T]:
        """The record has to be written too: when it is late, what does not succeed is left."""

        def attempt() -> T:
            try:
                return call()
            except Exception:
                if not self._setting.is_late():
                    raise
                return otherwise()

        return attempt

    def _outputs_sent(self, sent: Sent) -> None:
        self._outputs = sent

    def _record(self) -> bool:
        setting = self._setting
        writer = Writer(setting.launch.array, setting.instance_id, setting.interrupted_at())
        left = Left(self._log.sent, self._whole_log, self._outputs)
        return write_record(setting.bucket, f"{self.paths.prefix}outcome.json", outcome(writer, self.assignment, self.id, self.events, left))
