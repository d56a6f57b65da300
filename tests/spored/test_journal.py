"""The journal by itself: segments, acknowledgement, reading back."""

from __future__ import annotations

import json
from pathlib import Path

from spored.journal import Journal
from spored.replay import read_journal
from tests.spored.driver import Runner


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write(journal: Journal, kind: str, attempt: str) -> None:
    journal.write(json.dumps({"e": kind, "a": attempt, "t": 1.5, "pid": 7}) + "\n")
    assert journal.flush()


def test_a_new_segment_begins_when_one_has_passed_its_size(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), segment_bytes=200)
    for number in range(10):
        write(journal, "starting", f"aaaaaaaaaa:{number}:1")
    assert len(names(tmp_path)) > 2
    for path in tmp_path.iterdir():
        first = json.loads(path.read_text().splitlines()[0])
        assert (first["e"], first["id"]) == ("journal", journal.identity)
    past = read_journal(str(tmp_path))
    assert past.identity == journal.identity
    assert past.segment == journal.segment
    assert past.begun == {f"aaaaaaaaaa:{number}:1" for number in range(10)}


def test_acknowledged_segments_go_when_none_of_their_attempts_is_open(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), segment_bytes=100)
    write(journal, "starting", "aaaaaaaaaa:0:1")
    held = journal.opened()
    for number in range(1, 4):
        write(journal, "starting", f"aaaaaaaaaa:{number}:1")
        journal.closed(journal.opened())
    assert journal.segment == 4
    journal.acknowledge(4)
    assert names(tmp_path) == ["000001.jsonl", "000004.jsonl"]
    journal.closed(held)
    journal.acknowledge(4)
    journal.acknowledge(99)
    assert names(tmp_path) == ["000004.jsonl"]
    assert read_journal(str(tmp_path)).identity == journal.identity


def test_reading_back_finds_what_is_open(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    for kind, attempt in [("starting", "aaaaaaaaaa:0:1"), ("started", "aaaaaaaaaa:0:1"), ("starting", "aaaaaaaaaa:1:1"), ("starting", "aaaaaaaaaa:2:1")]:
        write(journal, kind, attempt)
    write(journal, "ended", "aaaaaaaaaa:2:1")
    write(journal, "dropped", "aaaaaaaaaa:3:1")
    past = read_journal(str(tmp_path))
    assert {attempt: entry.pid for attempt, entry in past.open.items()} == {"aaaaaaaaaa:0:1": 7, "aaaaaaaaaa:1:1": 0}
    assert "aaaaaaaaaa:3:1" in past.begun


def test_a_call_waits_for_the_line_to_be_in_the_file(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    called: list[int] = []
    journal.write('{"e":"x"}\n')
    journal.after_flush(lambda: called.append(1))
    assert not called
    assert journal.flush()
    assert journal.flush()
    assert called == [1]


def test_the_engine_may_let_old_segments_go(runner: Runner) -> None:
    runner.ended(runner.one())
    runner.send({"op": "ack", "segment": 7, "offset": 0})
    runner.ended(runner.one(directory=str(runner.files / "b")))
    assert names(runner.directory / "journal") == ["000001.jsonl"]
