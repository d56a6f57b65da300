"""Reading the runner's journal from where the store left off (docs/wire.md, "The journal")."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.engine.news import AllLost, Completed, Dropped, Ended, EndKind, Lost, News, ProviderEvent, Refused, Started, Usage

MOST_BYTES = 1 << 20
"""How much of the journal one turn takes: about 4,000 attempts."""


LONGEST_MESSAGE = 1000
"""Characters kept of what a script says with `spored complete --message`."""


class _Line(msgspec.Struct):
    e: str
    t: float
    a: str = ""
    id: str = ""
    code: int | None = None
    signal: int | None = None
    user: float | None = None
    system: float | None = None
    maxrss: int | None = None
    why: str | None = None
    status: str = ""
    message: str | None = None
    reason: str = ""


_DECODER = msgspec.json.Decoder(_Line)
_log = logging.getLogger(__name__)


class JournalReader:
    """Reads events in order. A place is `JOURNAL-ID SEGMENT OFFSET`; the same place always gives the same events."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, place: str | None, *, now: Instant) -> News:
        """The events after a place, as much as one turn takes. A place in another journal means that everything before is lost."""
        identity, segment, offset = _split(place)
        present = self._segments()
        if not present:
            return News([], place, False)
        if segment not in present or not self._is_of(identity, segment):
            segment, offset = min(present), 0
        data, more = self._bytes(segment, offset, more_segments=segment < max(present))
        events: list[ProviderEvent] = []
        for line in data.splitlines():
            entry = _read(line)
            if entry is None:
                continue
            if entry.e == "journal":
                if identity is not None and identity != entry.id:
                    events.append(AllLost(now))
                identity = entry.id
            elif (event := _event(entry)) is not None:
                events.append(event)
        offset += len(data)
        if not data and segment < max(present):
            segment, offset, more = min(number for number in present if number > segment), 0, True
        return News(events, None if identity is None else f"{identity} {segment} {offset}", more)

    def _is_of(self, identity: str | None, segment: int) -> bool:
        """Whether a segment belongs to this journal: an offset means nothing in another one that took its place.

        Looked at anew each time: a file that was removed may be followed by one of the same inode.
        """
        try:
            with (self._directory / f"{segment:06d}.jsonl").open("rb") as file:
                line = file.readline()
        except FileNotFoundError:
            return False
        first = _read(line) if line.endswith(b"\n") else None
        return first is not None and first.id == identity

    def _segments(self) -> set[int]:
        try:
            return {int(path.stem) for path in self._directory.iterdir() if path.suffix == ".jsonl"}
        except FileNotFoundError:
            return set()

    def _bytes(self, segment: int, offset: int, *, more_segments: bool) -> tuple[bytes, bool]:
        """Whole lines only: what has no newline yet is still being written, or torn."""
        try:
            with (self._directory / f"{segment:06d}.jsonl").open("rb") as file:
                file.seek(offset)
                data = file.read(MOST_BYTES)
                while len(data) >= MOST_BYTES and b"\n" not in data and (piece := file.read(MOST_BYTES)):
                    data += piece  # one line that is longer than a turn takes
        except FileNotFoundError:
            return b"", more_segments
        whole = data[: data.rfind(b"\n") + 1]
        return whole, bool(whole) and (len(data) >= MOST_BYTES or more_segments)


def _read(line: bytes) -> _Line | None:
    """One line; None, and a line in the log, for what is none: nothing that can be known may hang on it."""
    try:
        return _DECODER.decode(line)
    except msgspec.MsgspecError as error:
        _log.error("a line of the journal is passed over (%s): %r", error, line[:200])
        return None


def _split(place: str | None) -> tuple[str | None, int, int]:
    if place is None:
        return None, 0, 0
    identity, segment, offset = place.rsplit(" ", 2)
    return identity, int(segment), int(offset)


def _event(line: _Line) -> ProviderEvent | None:
    if not line.a:
        return None
    key, position, number = line.a.split(":")
    attempt = AttemptId(ArrayKey(key), int(position), int(number))
    at = Instant(round(line.t * 1000))
    match line.e:
        case "started":
            return Started(attempt, at)
        case "ended":
            cpu_s = None if line.user is None or line.system is None else line.user + line.system
            return Ended(attempt, at, EndKind(line.code, line.signal, line.why), Usage(cpu_s, line.maxrss))
        case "completed":
            return Completed(attempt, at, line.status == "success", None if line.message is None else line.message[:LONGEST_MESSAGE])
        case "refused":
            return Refused(attempt, at, line.reason)
        case "dropped":
            return Dropped(attempt, at)
        case "lost":
            return Lost(attempt, at)
    return None
