"""Reading the runner's journal: every event once, in order, whatever was cut off, rolled over or replaced."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instants import Instant
from spawn.engine.news import AllLost, Ended, EndKind, Lost, Started, Usage
from spawn.providers.local.journal import LONGEST_MESSAGE, JournalReader

NOW = Instant(5000)
KEY = ArrayKey("a1b2c3d4e5")


def line(e: str, **members: object) -> bytes:
    return json.dumps({"e": e, "t": 1.5, **members}).encode() + b"\n"


def segment(directory: Path, number: int, *lines: bytes, identity: str = "j1") -> Path:
    path = directory / f"{number:06d}.jsonl"
    path.write_bytes(line("journal", id=identity, wire=1) + b"".join(lines))
    return path


def attempt(position: int) -> str:
    return f"{KEY}:{position}:1"


def test_events_are_read_in_order_and_once(tmp_path: Path) -> None:
    ended = line("ended", a=attempt(0), code=3, signal=None, user=0.25, system=0.5, maxrss=99, why=None)
    segment(tmp_path, 1, line("runner", pid=1, boot="b"), line("starting", a=attempt(0)), line("started", a=attempt(0), pid=9), ended)
    reader = JournalReader(tmp_path)
    news = reader.read(None, now=NOW)
    identity = AttemptId(KEY, 0, 1)
    assert news.events == [Started(identity, Instant(1500)), Ended(identity, Instant(1500), EndKind(3, None, None), Usage(0.75, 99))]
    assert reader.read(news.place, now=NOW).events == []


def test_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    whole = line("lost", a=attempt(4))
    path = segment(tmp_path, 1, whole[:-7])
    reader = JournalReader(tmp_path)
    news = reader.read(None, now=NOW)
    assert news.events == []
    path.write_bytes(path.read_bytes() + whole[-7:])
    assert reader.read(news.place, now=NOW).events == [Lost(AttemptId(KEY, 4, 1), Instant(1500))]


def test_reading_goes_on_in_the_next_segment(tmp_path: Path) -> None:
    segment(tmp_path, 1, line("lost", a=attempt(0)))
    reader = JournalReader(tmp_path)
    place = reader.read(None, now=NOW).place
    segment(tmp_path, 2, line("lost", a=attempt(1)))
    found: list[object] = []
    for _ in range(3):
        news = reader.read(place, now=NOW)
        found += news.events
        place = news.place
    assert found == [Lost(AttemptId(KEY, 1, 1), Instant(1500))]


def test_another_journal_in_its_place_means_that_everything_before_is_lost(tmp_path: Path) -> None:
    path = segment(tmp_path, 1, line("lost", a=attempt(0)) * 50)
    reader = JournalReader(tmp_path)
    place = reader.read(None, now=NOW).place
    path.unlink()
    segment(tmp_path, 1, line("lost", a=attempt(7)) * 90, identity="j2")
    news = reader.read(place, now=NOW)
    assert news.events[0] == AllLost(NOW)
    assert len(news.events) == 91


def test_no_journal_is_no_news(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path / "nowhere")
    assert reader.read(None, now=NOW).place is None
    assert reader.read("j1 1 500", now=NOW).place == "j1 1 500"


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    segment(tmp_path, 1, line("completed", a=attempt(0), status="failure", message="x" * 100_000))
    event = JournalReader(tmp_path).read(None, now=NOW).events[0]
    assert len(event.message) == LONGEST_MESSAGE  # type: ignore[union-attr]


@given(cuts=st.lists(st.integers(0, 4000), max_size=6), count=st.integers(0, 40))
def test_however_it_grows_every_event_is_read_exactly_once(tmp_path_factory: object, cuts: list[int], count: int) -> None:
    directory = tmp_path_factory.mktemp("journal")  # type: ignore[attr-defined]
    content = line("journal", id="j1", wire=1) + b"".join(line("lost", a=attempt(position)) for position in range(count))
    path = directory / "000001.jsonl"
    reader = JournalReader(directory)
    place, found = None, []
    for cut in [*sorted(cuts), len(content)]:
        path.write_bytes(content[:cut])
        news = reader.read(place, now=NOW)
        place = news.place
        found += [event.attempt.position for event in news.events if isinstance(event, Lost)]
    assert found == list(range(count))


def test_a_line_that_is_none_is_passed_over(tmp_path: Path) -> None:
    segment(tmp_path, 1, b"\x00\xff not json\n", line("lost", a=attempt(3)))
    assert JournalReader(tmp_path).read(None, now=NOW).events == [Lost(AttemptId(KEY, 3, 1), Instant(1500))]


def test_a_line_longer_than_a_turn_takes_does_not_stop_the_reading(tmp_path: Path) -> None:
    segment(tmp_path, 1, line("completed", a=attempt(0), status="failure", message="x" * (3 << 20)), line("lost", a=attempt(3)))
    reader = JournalReader(tmp_path)
    place, found = None, []
    for _ in range(4):
        news = reader.read(place, now=NOW)
        place = news.place
        found += news.events
    assert [type(event).__name__ for event in found] == ["Completed", "Lost"]


def test_cpu_time_that_nobody_measured_is_not_told_as_none_used(tmp_path: Path) -> None:
    segment(tmp_path, 1, line("ended", a=attempt(0), code=0, signal=None, user=None, system=None, maxrss=None, why=None))
    ended = JournalReader(tmp_path).read(None, now=NOW).events[0]
    assert isinstance(ended, Ended)
    assert ended.usage == Usage(None, None)
