"""`spawn launch --rehearse`: what is said of what only ran in a laboratory, against a laboratory that is a fake engine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from canned import array, check, cost, failure, member
from fake_engine import FakeEngine
from running import Result, Run

from spawn.cli.rehearsing import rehearse
from spawn.cli.render.data import Output
from spawn.client.client import Client
from spawn.client.submission import Submission

ID = "array-20260127-100000"
SUBMISSION = Submission(provider="ec2", indexes="0-4", ttl_s=600.0, command=["true"])
STARTING = array(provider="ec2", counts={"STARTING": 5}, instances={"pending": 5})
FAILED = "2026-01-27T10:05:00Z"
MIXED = array(provider="ec2", status="FAILED", counts={"SUCCEEDED": 3, "FAILED": 2}, instances={"terminated": 5}, stopped_at=FAILED)


class Playing(NamedTuple):
    """A laboratory whose engine is a fake."""

    client: Client
    notes: Sequence[str] = ()
    calls: Mapping[str, int] = {}
    access: Mapping[str, str] = {}


@pytest.fixture(autouse=True)
def five(fake: FakeEngine) -> None:
    """Five that are launched, of which two fail."""
    fake.arrays, fake.settling, fake.costs = [STARTING], [MIXED], [cost()]
    fake.members = [member(index, state="terminated", status="FAILED" if index in (1, 3) else "SUCCEEDED") for index in range(5)]
    fake.logs = {f"{ID}:{index}": f"one line\nI am {index}\n".encode() for index in range(5)}


@pytest.fixture
def play(fake: FakeEngine, capfd: pytest.CaptureFixture[str]) -> Run:
    """Rehearse, in a laboratory that is left when `rehearse` has ended."""

    def run(*, output: Output | None = None, timeout_s: float | None = None) -> Result:
        ended = []

        @contextmanager
        def laboratory(machines: int) -> Iterator[Playing]:
            try:
                yield Playing(Client(fake.state_dir))
            finally:
                ended.append(machines)

        code = rehearse(SUBMISSION, output or Output(), timeout_s, laboratory)
        assert ended == [5]
        return Result(code, *capfd.readouterr())

    return run


def test_a_rehearsal_ends_with_the_end_of_a_log_of_those_that_failed_and_of_those_that_succeeded(play: Run) -> None:
    result = play()
    assert (result.code, result.out) == (7, f"{ID}\n")
    assert "End of the log of my-array-1:\n  one line\n  I am 1\nEnd of the log of my-array-0:\n  one line\n  I am 0\n" in result.err


def test_a_log_that_was_shown_with_its_failure_is_not_shown_again(fake: FakeEngine, play: Run) -> None:
    fake.failures = [failure(2, "1,3")]
    err = play().err
    assert "cannot read input" in err
    assert "my-array-1" not in err
    assert "End of the log of my-array-0:" in err


def test_a_member_that_printed_nothing_is_said_to_have_printed_nothing(fake: FakeEngine, play: Run) -> None:
    fake.logs[f"{ID}:0"] = b""
    assert "\nmy-array-0 printed nothing\n" in play().err


def test_nobody_is_sent_to_an_array_that_ended_with_its_rehearsal(play: Run) -> None:
    err = play().err
    assert "spawn logs" not in err
    assert "spawn retry" not in err
    assert err.endswith("note: this was a rehearsal: nothing was launched, and nothing has to be paid\n")


def test_in_json_the_array_is_printed_as_it_is_at_the_end(play: Run) -> None:
    value = json.loads(play(output=Output("json")).out)
    check("launch", value)
    assert (value["status"], value["counts"]["FAILED"], value["instances"]) == ("FAILED", 2, {"terminated": 5})
    assert [child["index"] for child in value["children"]] == [0, 1, 2, 3, 4]


def test_ctrl_c_in_a_rehearsal_ends_it_and_says_that_nothing_was_launched(fake: FakeEngine, play: Run) -> None:
    fake.settling = [STARTING]
    fake.on_settled = lambda: os.kill(os.getpid(), signal.SIGINT)
    result = play()
    assert result.code == 130
    assert "The rehearsal is ended, and with it all that ran there.\n" in result.err
    assert "spawn watch" not in result.err
    assert result.err.endswith("note: this was a rehearsal: nothing was launched, and nothing has to be paid\n")


def test_a_rehearsal_that_is_not_waited_for_longer_is_ended_as_it_is(fake: FakeEngine, play: Run) -> None:
    fake.settling = [STARTING]
    result = play(timeout_s=0.0)
    assert result.code == 124
    assert "Not settled after 0s: it is ended as it is\n" in result.err
    assert "spawn wait" not in result.err
