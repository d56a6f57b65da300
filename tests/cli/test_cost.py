"""`spawn cost`: one array, several, and their parts."""

from __future__ import annotations

import json

import pytest
from canned import array, check, cost
from fake_engine import FakeEngine
from running import Run

ID = "array-20260127-100000"
PART = {
    "index": None,
    "day": None,
    "type": None,
    "market": None,
    "region": None,
    "instances": 1,
    "hours": 0.25,
    "usd": 0.0028,
    "volume_usd": 0.0002,
    "address_usd": 0.0,
}


@pytest.fixture(autouse=True)
def one(fake: FakeEngine) -> None:
    fake.arrays = [array(provider="ec2")]
    fake.costs = [cost()]


def test_on_a_terminal_one_array_is_a_page(on_terminal: Run) -> None:
    assert on_terminal("cost", "--tag", f"array:id={ID}", NO_COLOR="1").out == (
        "my-array  array-20260127-100000  PENDING\n"
        "So far: $0.01 (5 instances, 5 running, 1.25 hours together)\n"
        "To completion: ~$0.03 (at most $0.03)\n"
        "Root volumes: $0.0011 of it\n"
        "  5 × t3.micro on-demand, us-east-1: $0.0104/hour (AWS Price List, 2026-01-27)\n"
    )


def test_in_a_pipe_it_is_a_record(in_process: Run) -> None:
    result = in_process("cost", "my-array")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{ID}\tmy-array\tec2\t5\t5\t1.25\t0.014096\t0.028192\ttrue\n"


def test_json_of_one_array_is_an_object_and_of_all_a_list(in_process: Run) -> None:
    value = json.loads(in_process("cost", "last", "-o", "json").out)
    check("cost", value)
    assert json.loads(in_process("cost", "-o", "json").out) == [value]


def test_parts_are_records_of_their_own(fake: FakeEngine, in_process: Run) -> None:
    fake.costs = [cost(parts=[PART | {"index": 0}, PART | {"index": 1}])]
    assert in_process("cost", "last", "--by", "index").out == f"{ID}\t0\t1\t0.25\t0.0028\n{ID}\t1\t1\t0.25\t0.0028\n"
    assert fake.asked[-1][1].endswith("by=index")
    fake.costs = [cost(parts=[PART | {"type": "t3.micro", "market": "spot", "region": "us-east-1"}])]
    assert in_process("cost", "--by", "type").out == f"{ID}\tt3.micro\tspot\tus-east-1\t1\t0.25\t0.0028\n"


def test_tags_choose_among_all(fake: FakeEngine, in_process: Run) -> None:
    in_process("cost", "--tag", "project=films")
    assert fake.asked[-1][1] == "/v1/costs?tag=project%3Dfilms"


def test_an_array_that_ran_here_cost_nothing_and_says_what_it_would_have(fake: FakeEngine, on_terminal: Run) -> None:
    fake.costs = [cost(provider="local", hypothetical=True, running=0, usd_expected=0.014096, notes=[f"{ID} ran on this machine and cost nothing"])]
    shown = on_terminal("cost", "last", NO_COLOR="1").out
    assert f"note: {ID} ran on this machine and cost nothing\n" in shown
    assert "Would have cost: $0.01 (5 instances, 0 running, 1.25 hours together)\nRoot volumes" in shown


def test_without_a_ttl_there_is_no_most(fake: FakeEngine, on_terminal: Run) -> None:
    fake.costs = [cost(usd_expected=None, usd_at_most=None)]
    assert "To completion: no end in sight without a TTL\n" in on_terminal("cost", "last", NO_COLOR="1").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["cost", "x:3"], "costs are told for whole arrays; `spawn cost ARRAY --by index` tells those of each index"),
        (["cost", "--tag", "array:index=3"], "costs are told for whole arrays"),
        (["cost", "--by", "dy"], "did you mean 'day'?"),
        (["cost", "x", "--tag", "array:id=y"], "name two arrays"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(fake: FakeEngine, in_process: Run, words: list[str], sentence: str) -> None:
    result = in_process(*words)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert sentence in result.err
    assert fake.asked == []
