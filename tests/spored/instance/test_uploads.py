"""The parts of a log: put together they are the log, however it grew and however often the agent was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spored.instance.config import Assignment
from spored.instance.records import CLOSING, Left, Unverified, Writer, outcome, write_record
from spored.instance.s3 import Stored
from spored.instance.service import Denied, ServiceError
from spored.instance.uploads import LogUpload, Outputs, Sent
from spored.instance.web import Unreachable


class Store:
    """A bucket in memory, whose answers get lost as told: before or after the work was done."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.loses: list[str] = []

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> bool:
        how = self.loses.pop() if self.loses else "no"
        if how == "before":
            raise Unreachable("lost")
        if only_new and key in self.objects:
            return False
        assert self.objects.get(key, body) == body, "a part is rewritten"
        self.objects[key] = body
        if how == "after":
            raise Unreachable("lost")
        return True

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def list(self, prefix: str) -> Any:
        return [Stored(key, len(body)) for key, body in sorted(self.objects.items()) if key.startswith(prefix)]


steps = st.lists(st.one_of(st.binary(min_size=1, max_size=30), st.sampled_from(["send", "restart", "lose before", "lose after"])), max_size=30)


@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_the_parts_of_a_log_are_the_log_after_any_restarts_and_lost_answers(tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | str]) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    store, written = Store(), b""

    def begin(*, is_new: bool) -> LogUpload:
        return LogUpload(store, "log/", str(path), is_new=is_new, part_bytes=10)  # type: ignore[arg-type]

    upload = begin(is_new=True)
    for step in steps:
        if isinstance(step, bytes):
            written += step
            path.write_bytes(written)
        elif step == "send":
            try:
                assert upload.send(lambda: False)
            except Unreachable:
                continue
        elif step == "restart":
            upload = begin(is_new=False)
        else:
            store.loses.append(step.split()[1])
    store.loses.clear()
    assert upload.send(lambda: False)
    assert b"".join(store.objects[key] for key in sorted(store.objects)) == written
    assert upload.sent == len(written)
    assert not upload.has_news()
    assert all(len(part) <= 10 for part in store.objects.values())


def test_when_it_is_late_the_rest_of_a_log_is_left_and_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 25)
    store = Store()
    upload = LogUpload(store, "log/", str(tmp_path / "log"), is_new=True, part_bytes=10)  # type: ignore[arg-type]
    assert not upload.send(lambda: len(store.objects) == 2)
    assert upload.sent == 20


class Picky:
    """A bucket that refuses the one object that has a certain name."""

    def __init__(self, refusal: ServiceError) -> None:
        self.refusal = refusal
        self.taken: list[str] = []

    def put_stream(self, key: str, file: Any, size: int, is_late: Any) -> None:
        if "odd" in key:
            raise self.refusal
        self.taken.append(key)


@pytest.mark.parametrize(("code", "status"), [("KeyTooLongError", 400), ("404", 404), ("EntityTooLarge", 400)])
def test_an_output_that_is_never_taken_holds_up_none_of_the_others(tmp_path: Path, code: str, status: int) -> None:
    for name in ("a", "odd\nname", "z"):
        (tmp_path / name).write_text("x")
    picky = Picky(ServiceError(code, "it is refused", status))
    assert Outputs(picky, "out/", str(tmp_path)).send(lambda: False) == Sent(2, ("odd\nname",))  # type: ignore[arg-type]
    assert picky.taken == ["out/a", "out/z"]


@pytest.mark.parametrize("refusal", [Denied("AccessDenied", "no", 403), ServiceError("NoSuchBucket", "no", 404), ServiceError("SlowDown", "no", 503)])
def test_what_is_said_of_the_bucket_and_not_of_one_object_is_tried_again(tmp_path: Path, refusal: ServiceError) -> None:
    (tmp_path / "odd").write_text("x")
    with pytest.raises(ServiceError) as raised:
        Outputs(Picky(refusal), "out/", str(tmp_path)).send(lambda: False)  # type: ignore[arg-type]
    assert raised.value is refusal


EVENTS = {
    "starting": {"e": "starting", "t": 1.0},
    "started": {"e": "started", "t": 2.0, "pid": 5},
    "ended": {"e": "ended", "t": 9.0, "code": None, "signal": 15, "user": 0.5, "system": 0.1, "maxrss": 7, "why": "stopped"},
}
LEFT = Left(3, True, Sent(1, ("pipe",)))


def record(events: dict[str, dict[str, Any]], interrupted_at: float | None = None) -> dict[str, Any]:
    return outcome(Writer("array", "i-1", interrupted_at), Assignment(0, 4, 1), "k:0:1", events, LEFT)


@pytest.mark.parametrize(("interrupted_at", "why"), [(None, "stopped"), (8.0, "interrupted"), (9.5, "stopped")])
def test_what_was_stopped_after_a_notice_was_interrupted(interrupted_at: float | None, why: str) -> None:
    assert record(EVENTS, interrupted_at)["why"] == why


def test_what_ended_by_itself_after_a_notice_did_so() -> None:
    events = {**EVENTS, "ended": {**EVENTS["ended"], "why": None, "code": 0, "signal": None}}
    assert record(events, 8.0)["why"] is None


@pytest.mark.parametrize("kind", CLOSING)
def test_a_record_says_when_it_began_if_it_did(kind: str) -> None:
    assert record({"starting": EVENTS["starting"], kind: {"e": kind, "t": 3.0}})["started_at"] == (1.0 if kind == "lost" else None)
    assert record({**EVENTS, "ended": EVENTS["ended"]})["started_at"] == 2.0


def test_a_record_is_written_once_and_read_back() -> None:
    store, mine = Store(), record(EVENTS)
    assert write_record(store, "outcome", mine)  # type: ignore[arg-type]
    assert json.loads(store.objects["outcome"]) == mine
    assert write_record(store, "outcome", {**mine, "log_bytes": 4})  # type: ignore[arg-type]
    assert json.loads(store.objects["outcome"]) == mine
    assert not write_record(store, "outcome", {**mine, "instance_id": "i-2"})  # type: ignore[arg-type]
    store.objects["outcome"] = b"{"
    with pytest.raises(Unverified, match="outcome does not read back as it was written"):
        write_record(store, "outcome", mine)  # type: ignore[arg-type]
