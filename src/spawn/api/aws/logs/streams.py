"""Log streams: one for each attempt that has begun (spec 2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from spawn.api.aws.batch.standing import LAUNCHED
from spawn.api.aws.logs.lines import LogFile
from spawn.api.aws.logs.times import LATE_MS, Marks, Times
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.engine.ports import AttemptFiles, Clock, Records

GROUP: Final = "/aws/batch/job"
"""The one log group there is."""

_LONGEST_NAME: Final = 200
_CHUNK: Final = 1000
_STREAM = re.compile(r"(.+/default/)([0-9a-f]{32})")


def stream_name(job: Job, task_id: str) -> str:
    """The name of the log stream of a task of a job."""
    return stream_prefix(job.batch.definition if job.batch is not None else LAUNCHED) + task_id


def stream_prefix(definition: str) -> str:
    """How the names of all streams of a definition (NAME:REVISION) begin, whatever the revision: its name's first 200 characters, and the container's."""
    return f"{definition.rpartition(':')[0][:_LONGEST_NAME]}/default/"


class Stream(NamedTuple):
    """The log of an attempt."""

    job: Job
    attempt: AttemptId
    started_at: Instant
    stopped_at: Instant | None  #: None: it runs

    @property
    def name(self) -> str:
        """As clients write it."""
        return stream_name(self.job, self.attempt.task_id)

    @property
    def place(self) -> tuple[int, int, int]:
        """What streams of one time are in order by."""
        return int(self.attempt.key, 16), self.attempt.position, self.attempt.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Finds and opens the streams of the store's attempts."""

    records: Records
    files: AttemptFiles
    clock: Clock
    times: Times

    def named(self, name: str) -> Stream | None:
        """The stream of a name; None when there is none, or its attempt has not begun."""
        match = _STREAM.fullmatch(name)
        attempt = AttemptId.of_task(match[2]) if match is not None else None
        job = self.job(attempt.key) if attempt is not None else None
        if match is None or attempt is None or job is None or attempt.position >= job.size or stream_name(job, match[2]) != name:
            return None
        place: dict[str, object] = {"key": int(attempt.key, 16), "position": attempt.position, "attempt": attempt.attempt}
        found = self.records.read("begun_attempt", place)
        return Stream(job, attempt, found[0][0], found[0][1]) if found else None

    def job(self, key: ArrayKey) -> Job | None:
        """The job of a key."""
        rows = self.records.jobs("job_by_key", (int(key, 16),))
        return rows[0].job if rows else None

    def by_start(self, job: Job, *, since: int) -> Iterator[Stream]:
        """The streams of a job that may have events of a time or later, in the order in which their attempts began; read a thousand at a time."""
        after = {"started_at": -1, "position": -1, "attempt": -1}
        while True:
            rows = self.records.read("begun_attempts_by_start", {"key": int(job.key, 16), "since": since - LATE_MS, "most": _CHUNK, **after})
            for row in rows:
                yield Stream(job, AttemptId(job.key, row[0], row[1]), row[2], row[3])
            if len(rows) < _CHUNK:
                return
            after = {"started_at": rows[-1][2], "position": rows[-1][0], "attempt": rows[-1][1]}

    def is_over(self, stream: Stream, time: int) -> bool:
        """Whether all events of a stream are known to be before a time, without a look at its file."""
        if stream.stopped_at is None or stream.stopped_at >= time:
            return False
        last = self.times.last(stream.attempt)
        return last < time if last is not None else self.clock.now() - stream.stopped_at >= LATE_MS

    def open(self, stream: Stream) -> tuple[LogFile, Marks]:
        """The file of a stream as it is now, and when its events happened."""
        attempt = stream.attempt
        file = LogFile(self.files.log(stream.job, attempt.position, attempt.attempt), ended=stream.stopped_at is not None)
        changed, now = Instant(file.changed_ms), self.clock.now()
        marks = self.times.look(attempt, size=file.end(), changed=changed, now=now, started=stream.started_at, stopped=stream.stopped_at)
        return file, marks
