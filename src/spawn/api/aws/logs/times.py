"""When the events of a log happened, which its file does not say.

A log is plain bytes. What is known of a line's time is: when somebody here first saw it there, and when the file was last written to. So every look at
a log leaves a mark: up to this size it was written by the earlier of the two. An event has the time of the first mark at or after its end. Within a stream
times never go back; they lie between the attempt's start and end. A log that is followed as it grows is accurate to the time between two looks; one
that is first looked at when its attempt has ended has, for all its events, the time of its last write. A stream's marks are forgotten when the engine
ends, or when thousands of other streams were looked at since; the next look then makes new ones.

Clients that follow a group ask for what has happened since the last event that they saw. Therefore nothing that is first seen while its attempt
runs, or in the ten seconds after, gets a time before the latest that was ever given to such a client, be it after the attempt's end.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from typing import Final

from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant

LATE_MS: Final = 10_000
"""For how long after its end an attempt's events may still be first seen by a client that follows."""

_MOST_STREAMS: Final = 8192
_MOST_MARKS: Final = 512


class Marks:
    """The marks of one stream: sizes and times, both ascending."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.times: list[Instant] = []

    def time_of(self, end: int) -> Instant:
        """When an event that ends at this offset happened; it has to have been seen."""
        at = bisect_left(self.sizes, end)
        return self.times[min(at, len(self.times) - 1)]

    def offset_at(self, time: int) -> int:
        """The offset after which all events are of this time or later, and before which none is."""
        at = bisect_left(self.times, time)
        return self.sizes[at - 1] if at else 0

    def add(self, size: int, time: Instant) -> None:
        """Note that the log had this size at a time."""
        self.sizes.append(size)
        self.times.append(time)
        if len(self.sizes) > _MOST_MARKS:
            # of the older half every two become one, with the earlier time: nobody who follows is told anything twice
            half = _MOST_MARKS // 2
            self.sizes[:half] = self.sizes[1:half:2]
            self.times[:half] = self.times[0:half:2]


class Times:
    """The marks of the streams that were looked at lately, at most 8,192. Any thread."""

    def __init__(self) -> None:
        self._streams: OrderedDict[AttemptId, Marks] = OrderedDict()
        self._told = Instant(0)
        self._guard = threading.Lock()

    def look(self, attempt: AttemptId, *, size: int, changed: Instant, now: Instant, started: Instant, stopped: Instant | None) -> Marks:
        """Mark that an attempt's log has this size, was last changed then, and return the stream's marks as they are now."""
        with self._guard:
            marks = self._streams.setdefault(attempt, Marks())
            self._streams.move_to_end(attempt)
            if len(self._streams) > _MOST_STREAMS:
                self._streams.popitem(last=False)
            if size > (marks.sizes[-1] if marks.sizes else 0):
                marks.add(size, self._time(marks, changed, now, started, stopped))
            copy = Marks()
            copy.sizes, copy.times = list(marks.sizes), list(marks.times)
            return copy

    def _time(self, marks: Marks, changed: Instant, now: Instant, started: Instant, stopped: Instant | None) -> Instant:
        time = max(started, min(now, changed, now if stopped is None else stopped))
        if stopped is None or now - stopped < LATE_MS:
            time = max(time, min(self._told, now))
        return max(time, marks.times[-1]) if marks.times else time

    def last(self, attempt: AttemptId) -> Instant | None:
        """The time of the last event of an attempt that was seen; None: nobody has looked, or there was none."""
        with self._guard:
            marks = self._streams.get(attempt)
            return marks.times[-1] if marks is not None and marks.times else None

    def tell(self, latest: Instant) -> None:
        """A client that may follow the group was given events up to this time."""
        with self._guard:
            self._told = max(self._told, latest)
