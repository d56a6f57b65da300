"""The rules of an instance without an instance: durations, deadlines, pauses, credentials, the launch and the journal."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spored.errors import BadMessage, SporedError
from spored.instance.claims import Unclear, claim
from spored.instance.config import Assignment, Launch, assignment_of, parse_launch
from spored.instance.credentials import RoleCredentials
from spored.instance.deadlines import Lifetime, begun, grace_after_notice
from spored.instance.durations import duration_of, shown
from spored.instance.following import Follower
from spored.instance.ledger import Ledger, Memory, read_ledger
from spored.instance.machine import Machine
from spored.instance.pauses import Pauses
from spored.instance.queue import queue_region
from spored.instance.running import runner_spec, slots_of
from spored.instance.s3 import bucket_url
from spored.instance.service import host_of
from spored.instance.steering import parse_control
from spored.instance.web import Unreachable
from spored.journal import Journal
from tests.spored.instance.machine import Instance
from tests.spored.instance.test_uploads import Store


@given(st.integers(1, 10 * 365 * 86400))
def test_durations_are_read_as_they_are_shown(seconds: int) -> None:
    assert duration_of(shown(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "1h1d", "-1h", "1.5h", "0s", "99999d", "1h30"])
def test_unclear_durations_are_refused(text: str) -> None:
    with pytest.raises(SporedError):
        duration_of(text)


def test_a_life_is_stopped_in_time_to_record_but_not_before_half_of_it() -> None:
    assert Lifetime(0.0, None).stops_at(30.0) is None
    assert Lifetime(0.0, 3600.0).stops_at(30.0) == 3550.0
    assert Lifetime(0.0, 60.0).stops_at(30.0) == 30.0


@pytest.mark.parametrize(("former", "ends_at"), [(None, 160.0), (150.0, 150.0), (99.0, 160.0)])
def test_a_reboot_extends_nothing_and_a_start_after_the_end_begins_anew(former: float | None, ends_at: float) -> None:
    assert begun(100.0, 60.0, former).ends_at == ends_at
    assert begun(100.0, None, None).ends_at is None


def test_what_the_engine_said_before_or_of_an_earlier_life_moves_nothing() -> None:
    life = Lifetime(100.0, 200.0)
    assert life.steered(None) == life
    steered = life.steered(300.0)
    assert steered.ends_at == 300.0
    assert steered.extended(400.0).steered(300.0).ends_at == 400.0
    assert life.steered(50.0).ends_at == 200.0


@given(now=st.floats(0, 1e6), left=st.floats(0, 300))
def test_after_a_notice_what_is_left_is_killed_in_time(now: float, left: float) -> None:
    wait = grace_after_notice(now, now + left)
    assert 0 <= wait <= 75
    assert wait <= max(left - 45, 0) + 1e-6


@given(st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_pauses_grow_with_jitter_up_to_a_minute(numbers: list[float]) -> None:
    pauses = Pauses(iter(numbers).__next__)
    for nth in range(12):
        full = min(2.0**nth, 60.0)
        assert full / 2 <= pauses.next() <= full
    pauses.reset()


class Source:
    def __init__(self) -> None:
        self.expires = "2026-01-27T10:00:00Z"  # 1769508000
        self.asked = 0
        self.works = True

    def role_credentials(self) -> dict[str, Any]:
        self.asked += 1
        if not self.works:
            raise Unreachable("no answer")
        return {"AccessKeyId": f"AKID{self.asked}", "SecretAccessKey": "s", "Token": "t", "Expiration": self.expires}


def test_credentials_are_renewed_before_they_expire_and_kept_while_nobody_gives_others() -> None:
    source, now = Source(), [1769508000.0 - 3600]
    credentials = RoleCredentials(source, lambda: now[0])
    assert credentials.get() == credentials.get()
    assert source.asked == 1
    now[0] = 1769508000.0 - 500
    assert credentials.get().access_key == "AKID2"
    assert credentials.get().access_key == "AKID2"
    source.works = False
    now[0] += 60
    assert credentials.get().access_key == "AKID2"
    now[0] = 1769508000.0
    with pytest.raises(Unreachable):
        credentials.get()


def test_credentials_that_are_refused_are_asked_for_anew() -> None:
    source = Source()
    credentials = RoleCredentials(source, lambda: 1769508000.0 - 3600)
    first = credentials.get()
    credentials.refused(first)
    second = credentials.get()
    credentials.refused(first)
    assert (second.access_key, credentials.get().access_key) == ("AKID2", "AKID2")


def launch(instance: Instance, **members: Any) -> dict[str, Any]:
    instance.launch("true", **members)
    return json.loads((instance.root / "etc/spored/launch.json").read_text())


@pytest.fixture
def good(instance: Instance) -> dict[str, Any]:
    """A launch as it comes."""
    return launch(instance)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"key": "x"}, "key must be ten hex digits"),
        ({"slots": -1}, "slots must be at least 0"),
        ({"bucket": ""}, "bucket must not be empty"),
        ({"prefix": "arrays"}, "prefix must end with /"),
        ({"pool": "queue"}, "pool must be a URL"),
        ({"ttl_s": "2h"}, "ttl_s must be a number of seconds, not '2h'"),
        ({"spot": None}, "spot must be true or false"),
        ({"members": [[[0, 0, 1, 10_000_001, 1]]]}, "more than 10,000,000 attempts"),
        ({"members": [[[0, 0, 1, 2, 0]]]}, "members must hold lists"),
        ({"endpoints": {"s3": 7}}, "s3 must be a string"),
        ({"spec": {}}, "spec needs either argv"),
    ],
)
def test_a_launch_that_is_wrong_is_refused_with_what_is_wrong(good: dict[str, Any], members: dict[str, Any], text: str) -> None:
    with pytest.raises(BadMessage, match=text.replace("(", r"\(")):
        parse_launch({**good, **members})


def test_runs_stand_for_their_attempts(good: dict[str, Any]) -> None:
    parsed = parse_launch({**good, "members": [[], [[3, 10, 1, 3, 5], [9, 2, 4, 1, 0]]]})
    assert parsed.assignments(0) == []
    assert parsed.assignments(1) == [Assignment(3, 10, 1), Assignment(4, 15, 1), Assignment(5, 20, 1), Assignment(9, 2, 4)]
    with pytest.raises(SporedError, match="launch index 2 has no entry"):
        parsed.assignments(2)


@pytest.mark.parametrize(
    "message", [{}, [], {"position": 0, "index": 0, "attempt": 0}, {"position": 0, "index": None, "attempt": 1}, {"position": True, "index": 0, "attempt": 1}]
)
def test_a_message_without_an_index_names_no_attempt(message: object) -> None:
    with pytest.raises(BadMessage):
        assignment_of(message)


def test_slots_are_what_the_launch_the_array_and_the_work_allow(good: dict[str, Any]) -> None:
    def parsed(slots: int, most: int | None = None) -> Launch:
        return parse_launch({**good, "slots": slots, "spec": {**good["spec"], "max_concurrent": most}})

    assert [slots_of(parsed(4), n) for n in (None, 9, 2, 0)] == [4, 4, 2, 1]
    assert slots_of(parsed(4, 3), None) == 3
    assert slots_of(parsed(0), None) >= 1


def test_scripts_get_what_a_machine_gives_and_the_launch_wins(good: dict[str, Any]) -> None:
    good["spec"]["environment"] = {"LANG": "C", "AWS_REGION": "mine"}
    environment = runner_spec(parse_launch(good), "us-west-2", "/run/spored/interruption", {"PATH": "/bin", "SECRET": "x"})["environment"]
    assert (environment["LANG"], environment["AWS_REGION"], environment["AWS_DEFAULT_REGION"], environment["PATH"]) == ("C", "mine", "us-west-2", "/bin")
    assert environment["SPAWN_INTERRUPTION_FILE"] == "/run/spored/interruption"
    assert environment["HOME"]
    assert "SECRET" not in environment


def test_control_is_for_all_or_for_one() -> None:
    body = json.dumps({"seq": 3, "ends_at": 5, "ends_at_of": {"i-2": 9}, "stop": {"k:0:1": {"why": "stopped", "grace_s": 2}}}).encode()
    assert (parse_control(body, "i-1").ends_at, parse_control(body, "i-2").ends_at) == (5.0, 9.0)
    assert parse_control(body, "i-1").stop["k:0:1"].grace_s == 2.0
    for wrong in (b"{", b"[]", b'{"seq": 1, "stop": {"a": 1}}', b'{"seq": 1, "stop": {"a": {}}}', b'{"seq": "x"}'):
        with pytest.raises(BadMessage):
            parse_control(wrong, "i-1")


def test_a_claim_is_whoever_wrote_it_first() -> None:
    store: Any = Store()
    assert claim(store, "claim", "i-1", 1.0)
    assert claim(store, "claim", "i-1", 2.0)
    assert not claim(store, "claim", "i-2", 3.0)
    store.objects["claim"] = b"?"
    with pytest.raises(Unclear):
        claim(store, "claim", "i-1", 4.0)


def test_a_torn_line_of_the_ledger_is_passed_over_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(str(path))
    ledger.claimed(Assignment(0, 5, 1))
    ledger.claimed(Assignment(1, 6, 1))
    ledger.recorded(Assignment(0, 5, 1))
    path.write_bytes(path.read_bytes() + b'{"claimed":[2,7')
    again = Ledger(str(path))
    again.claimed(Assignment(3, 8, 1))
    assert {a.index: entry.recorded for a, entry in read_ledger(str(path)).items()} == {5: True, 6: False, 8: False}


def test_memory_outlives_its_process_and_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    Memory(str(path)).set(ends_at=5.0)
    assert Memory(str(path)).values == {"ends_at": 5.0}
    path.write_text("{")
    assert Memory(str(path)).values == {}


def test_a_journal_is_followed_over_its_segments_and_torn_lines_wait(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), segment_bytes=100)
    follower = Follower(str(tmp_path / "nowhere"))
    assert follower.read() == []
    follower = Follower(str(tmp_path))
    seen = []
    for number in range(20):
        journal.write(json.dumps({"e": "started", "a": str(number)}) + "\n")
        journal.flush()
        seen += [event["a"] for event in follower.read() if "a" in event]
    assert seen == [str(number) for number in range(20)]
    assert follower.identity == journal.identity
    last = tmp_path / max(path.name for path in tmp_path.iterdir())
    whole = last.read_bytes()
    last.write_bytes(whole + b'{"e": "torn"')
    assert follower.read() == []
    last.write_bytes(whole + b'{"e": "torn"}\n')
    assert follower.read() == [{"e": "torn"}]


def test_visitors_are_seen_in_utmp_while_they_live(tmp_path: Path) -> None:
    machine = Machine("i-1", None, "", print, str(tmp_path))  # type: ignore[arg-type]
    assert not machine.has_visitors()
    (tmp_path / "run").mkdir()
    entry = struct.Struct("hi32s4s32s256shhiii4i20s")
    for kind, pid, seen in ((2, 1, False), (7, 1, True), (7, 2**22 + 1, False)):
        (tmp_path / "run/utmp").write_bytes(entry.pack(kind, pid, b"pts/0", b"", b"ec2-user", b"", 0, 0, 0, 0, 0, 0, 0, 0, 0, b""))
        assert machine.has_visitors() is seen


def test_addresses_are_aws_own_or_below_an_endpoint() -> None:
    assert bucket_url("results", "eu-central-1", None) == "https://results.s3.eu-central-1.amazonaws.com"
    assert bucket_url("my.results", "eu-central-1", None) == "https://s3.eu-central-1.amazonaws.com/my.results"
    assert bucket_url("results", "eu-central-1", "http://localhost:1") == "http://localhost:1/results"
    assert host_of("ec2", "cn-north-1") == "ec2.cn-north-1.amazonaws.com.cn"
    assert queue_region("https://sqs.us-west-2.amazonaws.com/1/q", "x") == "us-west-2"
    assert queue_region("http://localhost:1/q", "x") == "x"
