"""All streams in order: of their names, or of the ends of their attempts. Read a hundred at a time, from any place on, in either direction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from spawn.api.aws.logs.streams import Stream, Streams, stream_prefix
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.jobs import Job

NEVER: Final = 2**62
"""The end of an attempt that runs."""

_CHUNK: Final = 100
_KEY_DIGITS: Final = 10
_BEYOND: Final = 2**40


def by_name(streams: Streams, prefix: str, after: str | None, sign: int) -> Iterator[Stream]:
    """Streams whose names begin so, in the order of their names (`sign` -1: the last one first), after a given one."""
    definitions: defaultdict[str, list[str]] = defaultdict(list)
    for (definition,) in streams.records.read("definitions_of_jobs"):
        definitions[stream_prefix(definition)].append(definition)
    for head in sorted(definitions, reverse=sign < 0):
        if not (head.startswith(prefix) or prefix.startswith(head)):
            continue
        place = _place_after(head, after, sign)
        if place is None:
            continue
        low, high = _keys_of(prefix[len(head) :])
        for key in _keys(streams, definitions[head], low, high, place[0], sign):
            job = streams.job(ArrayKey(f"{key:010x}"))
            if job is not None:
                begin = place[1:] if key == place[0] else (-sign * _BEYOND, 0)
                yield from (stream for stream in _of_job(streams, job, begin, sign) if stream.name.startswith(prefix))


def _place_after(head: str, after: str | None, sign: int) -> tuple[int, int, int] | None:
    """The key, position and attempt after which to go on among the streams whose names begin with `head`; None: they all come before."""
    attempt = AttemptId.of_task(after[len(head) :]) if after is not None and after.startswith(head) else None
    if attempt is not None:
        return int(attempt.key, 16), attempt.position, attempt.attempt
    if after is not None and (head < after) == (sign > 0):
        return None
    return (-1 if sign > 0 else _BEYOND), 0, 0


def _keys_of(rest: str) -> tuple[int, int]:
    """The span of keys whose task ids begin so."""
    digits = rest[:_KEY_DIGITS]
    try:
        return int(digits.ljust(_KEY_DIGITS, "0"), 16), int(digits.ljust(_KEY_DIGITS, "f"), 16)
    except ValueError:
        return 1, 0


def _keys(streams: Streams, definitions: list[str], low: int, high: int, begin: int, sign: int) -> Iterator[int]:
    query = "jobs_of_definitions" if sign > 0 else "last_jobs_of_definitions"
    low, high = (max(low, begin), high) if sign > 0 else (low, min(high, begin))
    while low <= high:
        rows = streams.records.read(query, {"definitions": json.dumps(definitions), "low": low, "high": high, "most": _CHUNK})
        yield from (key for (key,) in rows)
        if len(rows) < _CHUNK:
            return
        low, high = (rows[-1][0] + 1, high) if sign > 0 else (low, rows[-1][0] - 1)


def _of_job(streams: Streams, job: Job, after: tuple[int, int], sign: int) -> Iterator[Stream]:
    while True:
        place: dict[str, object] = {"key": int(job.key, 16), "position": after[0], "attempt": after[1], "sign": sign, "most": _CHUNK}
        rows = streams.records.read("begun_attempts", place)
        yield from (Stream(job, AttemptId(job.key, row[0], row[1]), row[2], row[3]) for row in rows)
        if len(rows) < _CHUNK:
            return
        after = (rows[-1][0], rows[-1][1])


# --- by the ends of attempts ------------------------------------------------------------------------------------------


def end_place(stream: Stream) -> tuple[int, int, int, int]:
    """Where a stream stands in the order of ends: its end, then key, position and attempt."""
    return (NEVER if stream.stopped_at is None else stream.stopped_at, *stream.place)


def by_end(streams: Streams, after: tuple[int, int, int, int] | None, sign: int) -> Iterator[Stream]:
    """Streams in the order in which their attempts ended, those that run at the end (`sign` -1: the other way round), after a given place."""
    place = after if after is not None else (-1, -1, -1, -1) if sign > 0 else (NEVER, _BEYOND, 0, 0)
    job_of = cache(streams.job)
    for row in _ended_and_running(streams, place) if sign > 0 else _running_and_ended(streams, place):
        attempt = AttemptId(ArrayKey(f"{row['key']:010x}"), row["position"], row["attempt"])
        job = job_of(attempt.key)
        if job is not None:
            yield Stream(job, attempt, row["started_at"], row["stopped_at"])


def _ended_and_running(streams: Streams, place: tuple[int, int, int, int]) -> Iterator[Any]:
    if place[0] < NEVER:
        yield from _rows(streams, "ended_attempts", place)
        place = (NEVER, -1, -1, -1)
    yield from _rows(streams, "running_attempts", place)


def _running_and_ended(streams: Streams, place: tuple[int, int, int, int]) -> Iterator[Any]:
    if place[0] == NEVER:
        yield from _rows(streams, "last_running_attempts", place)
        place = (NEVER, -1, -1, -1)
    yield from _rows(streams, "last_ended_attempts", place)


def _rows(streams: Streams, query: str, place: tuple[int, int, int, int]) -> Iterator[Any]:
    while True:
        parameters: dict[str, object] = {"stopped_at": place[0], "key": place[1], "position": place[2], "attempt": place[3], "most": _CHUNK}
        rows = streams.records.read(query, parameters)
        yield from rows
        if len(rows) < _CHUNK:
            return
        last = rows[-1]
        place = (place[0] if last["stopped_at"] is None else last["stopped_at"], last["key"], last["position"], last["attempt"])
