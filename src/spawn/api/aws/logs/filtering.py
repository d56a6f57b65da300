"""FilterLogEvents: the events of many streams as one, in the order of time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Final, NamedTuple

from spawn.api.aws.logs.lines import Line
from spawn.api.aws.logs.patterns import Pattern
from spawn.api.aws.logs.streams import Stream, Streams, stream_prefix
from spawn.api.aws.logs.times import LATE_MS
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant

MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 1 << 20
"""Most events and bytes of one answer; each event counts 26 bytes more than its message has, as CloudWatch counts."""

OVERHEAD: Final = 26
_MOST_OPENED: Final = 2000
_MOST_SCANNED: Final = 8 << 20


class Place(NamedTuple):
    """A place in the order of all events: a time, then key, position and attempt of the stream, then the offset."""

    time: int
    key: int
    position: int
    attempt: int
    offset: int


class Event(NamedTuple):
    """An event of a stream, where it stands among all, and when it happened."""

    place: Place
    stream: Stream
    line: Line


class _Reading(NamedTuple):
    """The next event of an open stream, and those that follow it."""

    event: Event
    rest: Iterator[Event]


class _Following(NamedTuple):
    """The next stream of a job, not opened yet, and those that follow it."""

    stream: Stream
    rest: Iterator[Stream]


@dataclass(slots=True)
class Search:
    """One call: which streams, which span of time (both ends belong to it), which events, after which place, and how many."""

    streams: Streams
    names: Iterable[Stream] | None  #: None: all whose names begin with `prefix`
    prefix: str
    start: int
    end: int
    pattern: Pattern
    limit: int
    after: Place | None
    _heap: list[tuple[Place, int, _Reading | _Following | Stream | ArrayKey]] = field(default_factory=list)
    _ticket: Iterator[int] = field(default_factory=count)
    _opened: int = 0

    def run(self) -> tuple[list[Event], Place | None]:
        """One page, and the place that the next one begins after; None at the end. A page may be short, even empty, with more behind it:
        a call looks into no more than 2,000 files, and through no more than 8 MiB."""
        self._begin()
        found: list[Event] = []
        size = scanned = 0
        place = self.after
        for event in self._events():
            if isinstance(event, Place):
                return found, event
            weight = len(event.line.message.encode()) + OVERHEAD
            passes = self.pattern.matches(event.line.message)
            if passes and (len(found) == self.limit or (found and size + weight > MOST_BYTES)):
                return found, place
            if scanned > _MOST_SCANNED:
                return found, place
            place = event.place
            scanned += weight
            if passes:
                found.append(event)
                size += weight
        return found, None

    def _begin(self) -> None:
        since = max(self.start, self.after.time) if self.after is not None else self.start
        self.start = since
        if self.names is not None:
            for stream in self.names:
                self._push(stream.started_at, stream)
            return
        for key, started_at, _, definition in self.streams.records.read("jobs_begun", {"since": since - LATE_MS}):
            prefix = stream_prefix(definition)
            if prefix.startswith(self.prefix) or self.prefix.startswith(prefix):
                self._push(started_at, ArrayKey(f"{key:010x}"))

    def _push(self, time: int, what: Stream | _Following | ArrayKey) -> None:
        # what may hold events comes before the events of its time
        heapq.heappush(self._heap, (Place(time, -1, -1, -1, -1), next(self._ticket), what))

    def _events(self) -> Iterator[Event | Place]:
        """The events in order; a Place when so many files were opened that the next call has to go on there."""
        while self._heap and self._heap[0][0].time <= self.end:
            place, _, what = heapq.heappop(self._heap)
            if isinstance(what, _Reading):
                yield what.event
                self._push_event(what.rest)
            elif self._opened > _MOST_OPENED and place.time > self.start:
                yield place
                return
            elif isinstance(what, Stream):
                self._open(what)
            elif isinstance(what, _Following):
                self._open(what.stream)
                self._push_stream(what.rest)
            elif (job := self.streams.job(what)) is not None:
                self._push_stream(self.streams.by_start(job, since=self.start))

    def _push_stream(self, streams: Iterator[Stream]) -> None:
        stream = next((one for one in streams if one.name.startswith(self.prefix)), None)
        if stream is not None:
            self._push(stream.started_at, _Following(stream, streams))

    def _open(self, stream: Stream) -> None:
        if self.streams.is_over(stream, self.start):
            return
        self._opened += 1
        file, marks = self.streams.open(stream)
        until = marks.offset_at(self.end + 1)
        lines = takewhile(lambda line: line.end <= until, file.forward(marks.offset_at(self.start)))
        self._push_event(Event(Place(marks.time_of(line.end), *stream.place, line.start), stream, line) for line in lines)

    def _push_event(self, events: Iterator[Event]) -> None:
        event = next((one for one in events if self.after is None or one.place > self.after), None)
        if event is not None:
            heapq.heappush(self._heap, (event.place, next(self._ticket), _Reading(event, events)))


def latest(events: list[Event]) -> Instant:
    """The time of the last of these events."""
    return Instant(max((event.place.time for event in events), default=0))
