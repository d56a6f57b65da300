"""What the logs of CloudWatch Logs stand on: events in files of any size, the times of events, and filter patterns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.api.aws.logs.lines import BLOCK, LogFile
from spawn.api.aws.logs.patterns import Pattern, read_pattern
from spawn.api.aws.logs.times import Marks, Times
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant

ATTEMPT = AttemptId(ArrayKey("0123456789"), 0, 1)


@given(
    content=st.binary(max_size=200).map(lambda raw: raw.replace(b"\x00", b"\n").replace(b"\x01", b"\n")),
    ended=st.booleans(),
    block=st.integers(1, 16),
    data=st.data(),
)
def test_events_are_the_same_from_wherever_they_are_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ended: bool, block: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(content)

    def file() -> LogFile:
        return LogFile(path, ended=ended, block=block)

    events = list(file().forward(0))
    assert list(file().backward(len(content))) == events[::-1]
    assert all(0 < line.end - line.start <= 2 * block + 1 for line in events)
    offset = data.draw(st.integers(0, len(content)))
    assert list(file().forward(offset)) == [line for line in events if line.end > offset]
    assert list(file().backward(offset)) == [line for line in events if line.end <= offset][::-1]
    kept = b"".join(content[line.start : line.end] for line in events)
    complete = content if ended else content[: file().end()]
    assert kept.replace(b"\n", b"") == complete.replace(b"\n", b"")


@given(
    content=st.text("ab\n", max_size=120).map(str.encode),
    ended=st.booleans(),
    block=st.integers(1, 40),
    data=st.data(),
)
def test_a_search_leaves_out_no_event_that_holds_what_is_looked_for(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ended: bool, block: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(content)
    file = LogFile(path, ended=ended, block=block)
    offset, until = sorted(data.draw(st.tuples(*[st.integers(0, len(content) + 1)] * 2)))
    events = list(file.forward(offset, until=until))
    assert events == [line for line in file.forward(0) if offset < line.end <= until]
    found = list(file.forward(offset, until=until, holding=re.compile(b"aab|bba")))
    assert [line for line in found if "aab" in line.message or "bba" in line.message] == [
        line for line in events if "aab" in line.message or "bba" in line.message
    ]
    assert [line for line in events if line in found] == found


def test_a_search_looks_at_one_event_of_a_block_in_which_nothing_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"hay\n" * BLOCK + b"needle\n" + b"hay\n" * BLOCK)
    found = list(LogFile(path, ended=True).forward(0, holding=re.compile(b"needle")))
    assert "needle" in [line.message for line in found]
    assert len(found) <= path.stat().st_size // BLOCK + 2


@given(
    raw=st.lists(st.sampled_from([b"a", b"b", "ä".encode(), b"\xc3", b"\xa4", "\ufffd".encode(), b"\xed\xa0\x80"]), max_size=6).map(b"".join),
    required=st.lists(st.text("abä\ufffd\ud800", max_size=3), max_size=2),
    optional=st.lists(st.text("abä\ufffd\ud800", max_size=3), max_size=2),
)
def test_every_event_that_passes_a_pattern_has_its_trace(raw: bytes, required: list[str], optional: list[str]) -> None:
    pattern = Pattern(required=tuple(required), optional=tuple(optional))
    trace = pattern.trace
    if pattern.matches(raw.decode("utf-8", errors="replace")):
        assert trace is None or trace.search(raw)


def test_a_line_longer_than_cloudwatch_takes_becomes_several(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"short\n" + b"x" * (5 * BLOCK) + b"\nend\n")
    events = list(LogFile(path, ended=True).forward(0))
    assert (events[0].message, events[-1].message) == ("short", "end")
    assert all(len(line.message) <= 256 * 1024 for line in events)
    assert sum(line.message.count("x") for line in events) == 5 * BLOCK


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "none", ended=True)
    assert (list(file.forward(0)), list(file.backward(10)), file.end()) == ([], [], 0)


@given(looks=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5000)), max_size=40), stop=st.integers(0, 40_000))
def test_times_never_go_back_and_lie_within_the_attempt(looks: list[tuple[int, int]], stop: int) -> None:
    times, size, now = Times(), 0, 1000
    before: dict[int, int] = {}
    marks = Marks()
    for grown, passed in looks:
        size, now = size + grown, now + passed
        stopped = Instant(1000 + stop) if now > 1000 + stop else None
        marks = times.look(ATTEMPT, size=size, changed=Instant(now), now=Instant(now), started=Instant(1000), stopped=stopped)
        current = {end: marks.time_of(end) for end in range(1, size + 1)}
        assert all(current[end] == time for end, time in before.items())
        assert list(current.values()) == sorted(current.values())
        assert all(1000 <= time <= (now if stopped is None else stopped) for time in current.values())
        before = dict(current)
    for time in {0, *before.values(), now + 1}:
        assert [end for end in before if end > marks.offset_at(time)] == [end for end, at in before.items() if at >= time]


def test_marks_are_bounded_and_old_times_only_become_earlier() -> None:
    times, marks = Times(), Marks()
    for number in range(1, 5000):
        marks = times.look(ATTEMPT, size=number, changed=Instant(number), now=Instant(number), started=Instant(0), stopped=None)
    assert len(marks.sizes) <= 513
    assert all(marks.time_of(end) <= end for end in range(1, 5000))
    assert marks.times == sorted(marks.times)
    assert marks.time_of(4999) == 4999


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("", {"a error", "b warn", "error code 7", "Error"}),
        ("error", {"a error", "error code 7"}),
        ("error code", {"error code 7"}),
        ('"code 7"', {"error code 7"}),
        ("?warn ?code", {"b warn", "error code 7"}),
        ("error -code", {"a error"}),
        ("-error", {"b warn", "Error"}),
        ('error -"code 7"', {"a error"}),
        ("?warn error", {"a error", "error code 7"}),
    ],
)
def test_terms_are_looked_for_as_cloudwatch_does(pattern: str, matching: set[str]) -> None:
    assert {text for text in ("a error", "b warn", "error code 7", "Error") if read_pattern(pattern).matches(text)} == matching
