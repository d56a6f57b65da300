"""Taking attempts from a queue, for an instance of a pool."""

from __future__ import annotations

import json
from typing import Callable

from spored.errors import BadMessage
from spored.instance.attempts import Attempts
from spored.instance.config import Assignment, assignment_of
from spored.instance.course import Course
from spored.instance.errands import Office
from spored.instance.pauses import Pauses
from spored.instance.queue import Message, Queue

HELD_EVERY_S = 20.0
_EMPTY_TWICE = 2


class Pool:
    """Receives as many messages as there are free slots, holds them while their attempts run, and deletes each after its attempt's record."""

    def __init__(self, queue: Queue, attempts: Attempts, size: int, office: Office, say: Callable[[str], None]) -> None:
        """`size`: of the array, whose positions are below it."""
        self._queue = queue
        self._attempts = attempts
        self._size = size
        self._office = office
        self._say = say
        self._asking = False
        self._pauses = Pauses(office.random)
        self._receipts: dict[Assignment, str] = {}
        self._empty = 0
        self.trouble: str | None = None  #: why the queue cannot be asked
        office.loop.after(HELD_EVERY_S, self._hold)

    @property
    def is_drained(self) -> bool:
        """Whether the queue gave nothing twice in a row and nothing runs."""
        return self._empty >= _EMPTY_TWICE and not self._attempts.active

    def ask(self) -> None:
        """See that the queue is asked while there is a free slot and it was not found empty twice. Never waits."""
        free = self._attempts.free
        if self._asking or not free or self.is_drained:
            return
        self._asking = True
        self._office.workers.do("pool", lambda: self._queue.receive(free), self._received, self._failed)

    def _received(self, messages: list[Message]) -> None:
        self._asking, self.trouble = False, None
        self._pauses.reset()
        self._empty = 0 if messages else self._empty + 1
        for message in messages:
            self._take(message)
        self._office.changed()

    def _failed(self, error: Exception) -> None:
        self.trouble = str(error)
        self._office.loop.after(self._pauses.next(), self._ask_again)
        self._office.changed()

    def _ask_again(self) -> None:
        self._asking = False
        self.ask()

    def _take(self, message: Message) -> None:
        try:
            assignment = assignment_of(_object(message.body))
            if assignment.position >= self._size:
                raise BadMessage(f"position {assignment.position} is not in an array of {self._size}")
        except BadMessage as error:
            self._say(f"a message of the queue names no attempt and is deleted ({error}): {message.body[:200]}")
            self._delete(message.receipt)
            return
        if not self._attempts.knows(assignment):
            if self._attempts.closed:
                return
            self._receipts[assignment] = message.receipt
            self._attempts.take(assignment)
        elif any(course.assignment == assignment for course in self._attempts.active.values()):
            # after a restart: the message of what still runs here is visible again
            self._receipts[assignment] = message.receipt
        else:
            self._delete(message.receipt)

    def settled(self, course: Course) -> None:
        """An attempt is recorded, or is another instance's: its message is done with."""
        receipt = self._receipts.pop(course.assignment, None)
        if receipt is not None:
            self._delete(receipt)

    def _delete(self, receipt: str) -> None:
        # Failing is no harm: the message comes again, and its claim tells whoever gets it that it is done.
        self._office.workers.do("hold", lambda: self._queue.delete(receipt), lambda _: None, lambda error: self._say(str(error)))

    def _hold(self) -> None:
        self._office.loop.after(HELD_EVERY_S, self._hold)
        for receipt in list(self._receipts.values()):
            self._office.workers.do("hold", _holding(self._queue, receipt), lambda _: None, lambda error: self._say(str(error)))


def _holding(queue: Queue, receipt: str) -> Callable[[], None]:
    return lambda: queue.hold(receipt)


def _object(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise BadMessage("it is not JSON") from None
