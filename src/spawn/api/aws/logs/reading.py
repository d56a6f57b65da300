"""GetLogEvents and FilterLogEvents: the logs of attempts as CloudWatch Logs gives them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import takewhile
from typing import Any, Final, NamedTuple

from spawn.api.aws.batch.paging import asked_page, token_of
from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.doors import Door
from spawn.api.aws.logs.filtering import MOST_BYTES, MOST_EVENTS, OVERHEAD, Event, Place, Search, latest
from spawn.api.aws.logs.groups import check_group, describe_log_groups, describe_log_streams, no_such_stream
from spawn.api.aws.logs.lines import Line
from spawn.api.aws.logs.patterns import read_pattern
from spawn.api.aws.logs.streams import Stream, Streams
from spawn.api.aws.logs.times import Times
from spawn.domain.errors import InvalidField, UsageError

_FILTER: Final = "FilterLogEvents"
_EVER: Final = 2**62
_TOKEN = re.compile(r"([fb])/(\d{12})(\d{44})/s")


def operations(door: Door) -> dict[str, Handler]:
    """The operations of CloudWatch Logs that read."""
    streams = Streams(records=door.records, files=door.files, clock=door.clock, times=Times())
    return {
        "DescribeLogGroups": partial(describe_log_groups, streams),
        "DescribeLogStreams": partial(describe_log_streams, streams),
        "GetLogEvents": partial(get_log_events, streams),
        _FILTER: partial(filter_log_events, streams),
    }


# --- one stream -------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    """A place in a stream, and the direction to go on from it."""

    forward: bool
    offset: int


def get_log_events(streams: Streams, _: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of one stream, in the order of time. A token that leads no further is answered with itself."""
    check_group(asked)
    stream = streams.named(asked["logStreamName"])
    if stream is None:
        raise no_such_stream()
    token = _read_token(asked.get("nextToken"), stream)
    file, marks = streams.open(stream)
    low = marks.offset_at(asked.get("startTime", 0))
    high = marks.offset_at(asked.get("endTime", _EVER)) if marks.sizes else 0
    limit = asked.get("limit", MOST_EVENTS)
    forward = asked.get("startFromHead", False) if token is None else token.forward
    if forward:
        begin = low if token is None else max(low, token.offset)
        page = _page(takewhile(lambda line: line.end <= high, file.forward(begin)), limit)
    else:
        until = high if token is None else min(high, token.offset)
        begin = until
        page = _page(takewhile(lambda line: line.end > low, file.backward(until)), limit)[::-1]
    if token is not None and not page:
        begin = token.offset
    first, last = (page[0].start, page[-1].end) if page else (begin, begin)
    events = [{"timestamp": time, "message": line.message, "ingestionTime": time} for line in page for time in (marks.time_of(line.end),)]
    return {"events": events, "nextForwardToken": _token(True, stream, last), "nextBackwardToken": _token(False, stream, first)}


def _page(lines: Iterator[Line], limit: int) -> list[Line]:
    page: list[Line] = []
    size = 0
    for line in lines:
        size += len(line.message.encode()) + OVERHEAD
        if len(page) == limit or (page and size > MOST_BYTES):
            break
        page.append(line)
    return page


def _token(forward: bool, stream: Stream, offset: int) -> str:
    return f"{'f' if forward else 'b'}/{zlib.crc32(stream.name.encode()):012d}{offset:044d}/s"


def _read_token(text: str | None, stream: Stream) -> _Token | None:
    if text is None:
        return None
    match = _TOKEN.fullmatch(text)
    if match is None or int(match[2]) != zlib.crc32(stream.name.encode()) or int(match[3]) > _EVER:
        raise UsageError("The specified nextToken is invalid.")
    return _Token(match[1] == "f", int(match[3]))


# --- all streams ------------------------------------------------------------------------------------------------------


def filter_log_events(streams: Streams, _: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of the events of all streams, or of those named, in the order of time. A page may be short, or empty, and have a token: there is more."""
    check_group(asked)
    names, prefix = asked.get("logStreamNames"), asked.get("logStreamNamePrefix", "")
    if names and prefix:
        raise InvalidField("logStreamNamePrefix", "give either this or logStreamNames")
    if asked.get("startFromHead") is False:
        raise InvalidField("startFromHead", "events are given from the earliest on: leave it out, and give a startTime")
    after = asked_page(_FILTER, {"nextToken": asked["nextToken"]} if "nextToken" in asked else {}, (int,) * 6).after
    mark = zlib.crc32(repr([asked.get(name) for name in ("logStreamNames", "logStreamNamePrefix", "startTime", "endTime", "filterPattern")]).encode())
    if after is not None and after[0] != mark:
        raise InvalidField("nextToken", "it was given for another search: repeat the streams, times and pattern that it came with")
    search = Search(
        streams=streams,
        names=None if names is None else [_named(streams, name) for name in dict.fromkeys(names)],
        prefix=prefix,
        start=asked.get("startTime", 0),
        end=asked.get("endTime", _EVER),
        pattern=read_pattern(asked.get("filterPattern", "")),
        limit=asked.get("limit", MOST_EVENTS),
        after=None if after is None else Place(*after[1:]),
    )
    events, rest = search.run()
    streams.times.tell(latest(events))
    return {"events": [_shown(event) for event in events], "searchedLogStreams": [], "nextToken": None if rest is None else token_of(_FILTER, mark, *rest)}


def _named(streams: Streams, name: str) -> Stream:
    stream = streams.named(name)
    if stream is None:
        raise no_such_stream()
    return stream


def _shown(event: Event) -> dict[str, Any]:
    place = event.place
    return {
        "logStreamName": event.stream.name,
        "timestamp": place.time,
        "message": event.line.message,
        "ingestionTime": place.time,
        "eventId": f"{place.key:014d}{place.position:08d}{place.attempt:04d}{place.offset:030d}",
    }
