"""Walks through large logs and many streams: everything once, and each page at no more than its own cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spawn.api.aws.logs.lines import BLOCK
from tests.aws.counting import Counter
from tests.aws.logs import ask, begun, filtered, streams, write
from tests.aws.serving import Scripted

MIB = 1 << 20


def pages(served: Scripted, counter: Counter, **asked: Any) -> Iterator[tuple[list[str], int]]:
    """The messages of each page of FilterLogEvents, and how many bytes of logs were read for it."""
    token: dict[str, str] = {}
    while True:
        before = counter.bytes
        answer = ask(served, "FilterLogEvents", **asked, **token)
        yield [event["message"] for event in answer["events"]], counter.bytes - before
        if "nextToken" not in answer:
            return
        token = {"nextToken": answer["nextToken"]}


def test_a_page_reads_of_a_large_log_no_more_than_it_shows(scripted: Scripted) -> None:
    job, _ = begun(scripted)
    lines = [f"{number:099d}" for number in range(24 * BLOCK // 100)]
    write(scripted, job, "\n".join(lines) + "\n")
    found, most = [], 0
    for messages, read in pages(scripted, Counter(scripted), limit=1000):
        found += messages
        most = max(most, read)
    assert found == lines
    assert most <= 4 * BLOCK  # the block that the log ends in, and those that a thousand lines lie in


def test_a_page_searches_no_more_than_eight_mebibytes_and_the_next_goes_on_there(scripted: Scripted) -> None:
    job, _ = begun(scripted)
    write(scripted, job, "first needle\n" + ("x" * 1023 + "\n") * (20 * 1024) + "last needle\n")
    found = list(pages(scripted, Counter(scripted), filterPattern="needle"))
    assert [messages for messages, _ in found] == [["first needle"], [], ["last needle"]]
    assert all(read <= 8 * MIB + 3 * BLOCK for _, read in found)


def test_a_page_looks_at_a_bounded_number_of_events_one_by_one(scripted: Scripted) -> None:
    job, _ = begun(scripted)
    write(scripted, job, "x\n" * 100_000 + "y\n")
    found = [messages for messages, _ in pages(scripted, Counter(scripted), filterPattern="-x")]
    assert 2 < len(found) < 10
    assert [message for messages in found for message in messages] == ["y"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("pattern", ["", "b", "?a ?c", "-b"])
def test_events_of_one_time_in_several_streams_are_given_once_whatever_the_pages(scripted: Scripted, limit: int, pattern: str) -> None:
    jobs = [begun(scripted)[0] for _ in range(2)]
    for text in ("a\nb\n", "b\n\nc", "b\na\n"):
        for job in jobs:
            write(scripted, job, text)
        ask(scripted, "FilterLogEvents")
        scripted.clock.advance(0.001 if text.endswith("c") else 0)
    everything = filtered(scripted)
    assert [event["message"] for event in everything] == [*"abb", *"abb", "cb", "a", "cb", "a"]
    kept = {"": set("abc"), "b": {"b"}, "?a ?c": set("ac"), "-b": set("a")}[pattern]
    chosen = [event for event in everything if kept & set(event["message"]) and not (pattern == "-b" and "b" in event["message"])]
    assert filtered(scripted, limit=limit, filterPattern=pattern) == chosen


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Scripted]:
    """250 jobs that have ended, one after the other, with a line in the log of each; and one that runs."""
    served = Scripted(tmp_path, slots=300)
    jobs = {job.key: job for job in (served.put() for _ in range(250))}
    attempts = served.running()
    served.begin(*attempts)
    for number, attempt in enumerate(attempts):
        write(served, jobs[attempt.key], f"{number}\n")
    for number in range(0, 250, 5):
        served.clock.advance(1)
        served.end(*attempts[number : number + 5])
    begun(served)
    yield served
    served.close()


def test_a_page_of_streams_by_their_last_events_reads_no_more_jobs_than_it_shows(crowd: Scripted) -> None:
    everything = streams(crowd, orderBy="LastEventTime")
    assert len(everything) == len(set(everything)) == 251
    assert streams(crowd, orderBy="LastEventTime", descending=True, limit=7) == everything[::-1]
    ends = [crowd.store.read("begun_attempt", {"key": int(name[-32:-22], 16), "position": 0, "attempt": 1})[0]["stopped_at"] for name in everything]
    assert ends[:-1] == sorted(ends[:-1])
    assert ends[-1] is None
    for descending in (False, True):
        counter = Counter(crowd)
        ask(crowd, "DescribeLogStreams", orderBy="LastEventTime", descending=descending, limit=3)
        assert counter.decoded <= 4
        assert counter.rows <= 110


def test_a_page_of_events_reads_of_the_jobs_that_began_no_more_than_it_needs(crowd: Scripted) -> None:
    assert sorted(int(event["message"]) for event in filtered(crowd)) == list(range(250))
    first = ask(crowd, "DescribeLogStreams", orderBy="LastEventTime", limit=1)["logStreams"][0]
    counter = Counter(crowd)
    ask(crowd, "FilterLogEvents", endTime=first["creationTime"] - 1)
    assert (counter.decoded, counter.bytes) == (0, 0)
    assert counter.rows <= 201
    name = first["logStreamName"]
    counter = Counter(crowd)
    assert [event["logStreamName"] for event in filtered(crowd, logStreamNamePrefix=name[:-10])] == [name]
    assert counter.decoded == 1
