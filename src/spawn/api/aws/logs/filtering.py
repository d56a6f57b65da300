"""FilterLogEvents: the events of many streams as one, in the order of time."""

from __future__ import annotations

import heapq
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from spawn.api.aws.logs.lines import Line, LogFile
from spawn.api.aws.logs.patterns import Pattern
from spawn.api.aws.logs.streams import Stream, Streams, stream_prefix
from spawn.api.aws.logs.times import LATE_MS, Marks
from spawn.domain.ids import ArrayKey
from spawn.domain.instants import Instant

MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 1 << 20
"""Most events and bytes of one answer; each event counts 26 bytes more than its message has, as CloudWatch counts."""

OVERHEAD: Final = 26
_MOST_OPENED: Final = 2000
_CHUNK: Final = 200
_MOST_SEARCHED: Final = 8 << 20
_LOOK: Final = 200  # a look at one event takes as long as a search through so many bytes


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


class _Run(NamedTuple):
    """Events of one time in an open stream: those that end after one offset, and at or before another. No event of another stream is among them."""

    stream: Stream
    file: LogFile
    marks: Marks
    mark: int  #: which of the marks has their time
    begin: int

    @property
    def until(self) -> int:
        """Where the last one ends."""
        return self.marks.sizes[self.mark]

    def place(self, offset: int) -> Place:
        """An offset among the events of all streams."""
        return Place(self.marks.times[self.mark], *self.stream.place, offset)


class _Following(NamedTuple):
    """The next stream of a job, not opened yet, and those that follow it."""

    stream: Stream
    rest: Iterator[Stream]


class _Coming(NamedTuple):
    """The next job that has begun, not looked at yet, and when those that follow it began."""

    job: ArrayKey
    rest: Iterator[tuple[int, ArrayKey]]


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
    _heap: list[tuple[Place, int, _Run | _Following | Stream | ArrayKey | _Coming]] = field(default_factory=list)
    _ticket: Iterator[int] = field(default_factory=count)
    _opened: int = 0
    _found: list[Event] = field(default_factory=list)
    _size: int = 0
    _left: int = _MOST_SEARCHED

    def run(self) -> tuple[list[Event], Place | None]:
        """One page, and the place that the next one begins after; None at the end. A page may be short, even empty, with more behind it:
        a call opens no more than 2,000 files and searches no more than 8 MiB, of which each event that it has to look at takes 200 bytes."""
        self._begin()
        trace = self.pattern.trace
        while self._heap and self._heap[0][0].time <= self.end:
            place, _, what = heapq.heappop(self._heap)
            if isinstance(what, _Run):
                rest = self._take(what, trace)
                if rest is not None:
                    return self._found, rest
            elif self._opened > _MOST_OPENED and place.time > self.start:
                return self._found, place
            else:
                self._go_into(what)
        return self._found, None

    def _take(self, run: _Run, trace: re.Pattern[bytes] | None) -> Place | None:
        """Add the events of a run that pass to the page; when it is full, or this call has searched enough: the place that the next one begins after."""
        until = min(run.until, run.begin + self._left)
        for line in run.file.forward(run.begin, until=until, holding=trace):
            self._left -= _LOOK
            if self.pattern.matches(line.message):
                weight = len(line.message.encode()) + OVERHEAD
                if len(self._found) == self.limit or (self._found and self._size + weight > MOST_BYTES):
                    return run.place(line.start - 1)
                self._found.append(Event(run.place(line.start), run.stream, line))
                self._size += weight
            if line.end - run.begin > self._left:
                return run.place(line.end - 1)
        self._left = max(0, self._left - (until - run.begin))
        run.file.let_go()
        if until < run.until:
            return run.place(until - 1)
        self._push_run(run._replace(mark=run.mark + 1, begin=run.until))
        return None

    def _begin(self) -> None:
        since = max(self.start, self.after.time) if self.after is not None else self.start
        self.start = since
        if self.names is not None:
            for stream in self.names:
                self._push(stream.started_at, stream)
            return
        for row in self.streams.records.read("jobs_under_way", {"at": since - LATE_MS}):
            job = ArrayKey(f"{row['key']:010x}")
            if self._may_hold(row["definition"], job):
                self._push(row["started_at"], job)
        self._push_job(self._jobs_begun_since(since - LATE_MS))

    def _may_hold(self, definition: str, job: ArrayKey) -> bool:
        """Whether names of streams of a job of this definition may begin with the prefix."""
        name = stream_prefix(definition) + job
        return name.startswith(self.prefix) or self.prefix.startswith(name)

    def _jobs_begun_since(self, time: int) -> Iterator[tuple[int, ArrayKey]]:
        """When jobs began that may hold streams, and their keys, in this order; read two hundred at a time."""
        after: dict[str, object] = {"started_at": time, "key": -1}
        while True:
            rows = self.streams.records.read("jobs_begun_since", {**after, "most": _CHUNK})
            for row in rows:
                job = ArrayKey(f"{row['key']:010x}")
                if self._may_hold(row["definition"], job):
                    yield row["started_at"], job
            if len(rows) < _CHUNK:
                return
            after = {"started_at": rows[-1]["started_at"], "key": rows[-1]["key"]}

    def _push(self, time: int, what: Stream | _Following | ArrayKey | _Coming) -> None:
        # what may hold events comes before the events of its time
        heapq.heappush(self._heap, (Place(time, -1, -1, -1, -1), next(self._ticket), what))

    def _push_run(self, run: _Run) -> None:
        if run.mark < len(run.marks.sizes):
            heapq.heappush(self._heap, (run.place(run.begin), next(self._ticket), run))

    def _go_into(self, what: Stream | _Following | ArrayKey | _Coming) -> None:
        if isinstance(what, Stream):
            self._open(what)
        elif isinstance(what, _Coming):
            self._go_into(what.job)
            self._push_job(what.rest)
        elif isinstance(what, _Following):
            self._open(what.stream)
            self._push_stream(what.rest)
        elif (job := self.streams.job(what)) is not None:
            self._push_stream(self.streams.by_start(job, since=self.start))

    def _push_job(self, jobs: Iterator[tuple[int, ArrayKey]]) -> None:
        begun = next(jobs, None)
        if begun is not None:
            self._push(begun[0], _Coming(begun[1], jobs))

    def _push_stream(self, streams: Iterator[Stream]) -> None:
        stream = next((one for one in streams if one.name.startswith(self.prefix)), None)
        if stream is not None:
            self._push(stream.started_at, _Following(stream, streams))

    def _open(self, stream: Stream) -> None:
        if self.streams.is_over(stream, self.start):
            return
        self._opened += 1
        file, marks = self.streams.open(stream)
        file.let_go()
        begin = marks.offset_at(self.start)
        if self.after is not None and self.after.time == self.start and stream.place <= self.after[1:4]:
            # what is of that time came before the place, but for the rest of its own stream
            begin = max(begin, self.after.offset + 1) if stream.place == self.after[1:4] else marks.offset_at(self.start + 1)
        self._push_run(_Run(stream, file, marks, bisect_right(marks.sizes, begin), begin))


def latest(events: list[Event]) -> Instant:
    """The time of the last of these events."""
    return Instant(max((event.place.time for event in events), default=0))
