"""DescribeLogGroups and DescribeLogStreams: the one group there is, and its streams."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from spawn.api.aws.batch.paging import asked_page, token_of
from spawn.api.aws.callers import Caller
from spawn.api.aws.failures import AwsError
from spawn.api.aws.logs.ordering import by_end, by_name, end_place
from spawn.api.aws.logs.streams import GROUP, Stream, Streams
from spawn.domain.errors import InvalidField, UsageError

PAGE: Final = 50
"""Most groups or streams of a page."""

_GROUPS: Final = "DescribeLogGroups"
_STREAMS: Final = "DescribeLogStreams"
_ARN = re.compile(r"arn:aws[a-z-]*:logs:[a-z0-9-]*:[0-9]*:log-group:(.+?)(?::\*)?")


def no_such_stream() -> AwsError:
    """What CloudWatch Logs says of a stream that there is not."""
    return AwsError("ResourceNotFoundException", "The specified log stream does not exist.")


def check_group(asked: Mapping[str, Any]) -> None:
    """Refuse any group but the one there is, named by exactly one of logGroupName and logGroupIdentifier."""
    name, identifier = asked.get("logGroupName"), asked.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise InvalidField("logGroupName", "exactly one of logGroupName and logGroupIdentifier must be specified")
    if name is None:
        match = _ARN.fullmatch(identifier or "")
        name = identifier if match is None else match[1]
    if name != GROUP:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")


# --- groups -----------------------------------------------------------------------------------------------------------


def describe_log_groups(streams: Streams, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The group, unless a prefix, pattern, class, identifier or account is asked for that is not its own."""
    prefix, pattern = asked.get("logGroupNamePrefix"), asked.get("logGroupNamePattern")
    if prefix is not None and pattern is not None:
        raise InvalidField("logGroupNamePattern", "give either this or logGroupNamePrefix")
    identifiers = asked.get("logGroupIdentifiers")
    named = identifiers is None or any((match[1] if (match := _ARN.fullmatch(one)) else one) == GROUP for one in identifiers)
    accounts = asked.get("accountIdentifiers")
    fits = (
        named
        and GROUP.startswith(prefix or "")
        and (pattern or "").casefold() in GROUP
        and asked.get("logGroupClass", "STANDARD") == "STANDARD"
        and (not accounts or caller.account in accounts)
    )
    # there is no second page, so no token was ever given
    asked_page(_GROUPS, {"nextToken": asked["nextToken"]} if "nextToken" in asked else {}, ())
    return {"logGroups": [_group(streams, caller)] if fits else []}


def _group(streams: Streams, caller: Caller) -> dict[str, Any]:
    arn = caller.arn(f"log-group:{GROUP}", service="logs")
    first = streams.records.read("first_job")
    return {
        "logGroupName": GROUP,
        "logGroupClass": "STANDARD",
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "creationTime": first[0][0] if first else streams.clock.now(),
        "metricFilterCount": 0,
    }


# --- streams ----------------------------------------------------------------------------------------------------------


def describe_log_streams(streams: Streams, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of streams, by name, or by when their last events happened: those of running attempts count as the latest, then by the attempts' ends."""
    check_group(asked)
    prefix, by_time, descending = asked.get("logStreamNamePrefix", ""), asked.get("orderBy") == "LastEventTime", asked.get("descending", False)
    if by_time and prefix:
        raise UsageError("Cannot order by LastEventTime with a logStreamNamePrefix.")
    kinds = (int, int, int, int, int) if by_time else (str, int)
    token = asked_page(_STREAMS, {"nextToken": asked["nextToken"]} if "nextToken" in asked else {}, kinds).after
    if token is not None and token[-1] != int(descending):
        raise InvalidField("nextToken", "it was given for the other direction: repeat the members that it came with")
    most = asked.get("limit", PAGE)
    place = None if token is None else token[:-1]
    sign = -1 if descending else 1
    found = list(islice(by_end(streams, place, sign) if by_time else by_name(streams, prefix, None if place is None else place[0], sign), most + 1))
    next_token = None
    if len(found) > most:
        last = found[most - 1]
        next_token = token_of(_STREAMS, *(end_place(last) if by_time else (last.name,)), int(descending))
    return {"logStreams": [_stream(streams, caller, one) for one in found[:most]], "nextToken": next_token}


def _stream(streams: Streams, caller: Caller, stream: Stream) -> dict[str, Any]:
    file, marks = streams.open(stream)
    first = next(file.forward(0), None)
    times = (
        {} if first is None else {"firstEventTimestamp": marks.time_of(first.end), "lastEventTimestamp": marks.times[-1], "lastIngestionTime": marks.times[-1]}
    )
    return {
        "logStreamName": stream.name,
        "creationTime": stream.started_at,
        **times,
        "arn": caller.arn(f"log-group:{GROUP}:log-stream:{stream.name}", service="logs"),
        "storedBytes": 0,
    }
