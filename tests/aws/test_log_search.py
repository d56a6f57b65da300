"""FilterLogEvents: the events of many streams as one; and clients that follow them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from tests.aws.logs import GROUP, ask, begun, filtered, write
from tests.aws.serving import Local, Scripted
from tests.system.conftest import eventually


def test_events_of_all_streams_come_in_the_order_of_time_with_ids_that_stay(scripted: Scripted) -> None:
    a, (name_a,) = begun(scripted)
    b, (name_b,) = begun(scripted)
    for number in range(6):
        scripted.clock.advance(1)
        write(scripted, (a, b)[number % 2], f"{number}\n")
        filtered(scripted)
    events = filtered(scripted)
    assert [event["message"] for event in events] == [str(number) for number in range(6)]
    assert [event["logStreamName"] for event in events] == [name_a, name_b] * 3
    for limit in (1, 2, 4):
        assert filtered(scripted, limit=limit) == events
    assert len({event["eventId"] for event in events}) == 6
    assert [event["message"] for event in filtered(scripted, logStreamNames=[name_b])] == ["1", "3", "5"]
    assert filtered(scripted, logStreamNamePrefix=name_a) == events[::2]
    assert filtered(scripted, logStreamNamePrefix="work/") == events
    assert filtered(scripted, logStreamNamePrefix="other") == []


def test_more_streams_than_one_call_opens_are_all_read(scripted: Scripted) -> None:
    job = scripted.put(2300)
    while running := scripted.running():
        scripted.begin(*running)
        for attempt in running:
            write(scripted, job, f"{attempt.position}\n", position=attempt.position)
        scripted.clock.advance(0.001)
        scripted.end(*running)
    answer = ask(scripted, "FilterLogEvents")
    assert 0 < len(answer["events"]) < 2300
    assert "nextToken" in answer
    assert sorted(int(event["message"]) for event in filtered(scripted)) == list(range(2300))
    assert [event["message"] for event in filtered(scripted, filterPattern='"2299"')] == ["2299"]


def test_who_follows_is_told_of_a_job_that_ended_before_what_was_told_last(scripted: Scripted) -> None:
    quick, slow = begun(scripted)[0], begun(scripted)[0]
    write(scripted, quick, "early")
    scripted.end(scripted.running(quick.key)[0])
    scripted.clock.advance(3)
    write(scripted, slow, "late\n")
    told = filtered(scripted, logStreamNames=[scripted.describe(slow.id)["container"]["logStreamName"]])
    assert [event["message"] for event in told] == ["late"]
    assert sorted(event["message"] for event in filtered(scripted, startTime=told[-1]["timestamp"])) == ["early", "late"]


def test_who_follows_is_told_everything_once(scripted: Scripted) -> None:
    """What `aws logs tail --follow` does: ask from the latest time that was seen, and leave out the events of that time that are known."""
    jobs = [begun(scripted)[0] for _ in range(2)]
    told: list[str] = []
    known: set[str] = set()
    start = 0
    for number in range(30):
        write(scripted, jobs[number % 2 if number <= 20 else 1], f"{number}\n{number}+")
        if number % 3 == 0:
            scripted.clock.advance(0.002)
        if number == 20:
            scripted.end(scripted.running(jobs[0].key)[0])  # its last line is first seen after its end
        for event in filtered(scripted, startTime=start):
            if event["eventId"] not in known:
                told.append(event["message"])
                known.add(event["eventId"])
            start = max(start, event["timestamp"])
    assert sorted(told) == sorted(event["message"] for event in filtered(scripted))
    assert len(told) > 29


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"logStreamNamePrefix": "a", "logStreamNames": ["b"]}, "either this or logStreamNames"),
        ({"nextToken": "x"}, "nextToken"),
        ({"filterPattern": "{ $.a = 1 }"}, "JSON pattern"),
        ({"filterPattern": "[a, b]"}, "space-delimited pattern"),
        ({"filterPattern": "%a.b%"}, "regular expression pattern"),
        ({"filterPattern": 'an "open phrase'}, "quotation mark"),
        ({"filterPattern": "ERR*"}, "quotation marks"),
        ({"startFromHead": False}, "startFromHead"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(scripted: Scripted, asked: dict[str, Any], why: str) -> None:
    begun(scripted)
    with pytest.raises(AwsError, match=why) as caught:
        ask(scripted, "FilterLogEvents", **asked)
    assert caught.value.code in ("InvalidParameterException", "ResourceNotFoundException")


def test_the_token_of_another_search_is_refused(scripted: Scripted) -> None:
    job, _ = begun(scripted)
    write(scripted, job, "a\nb\n")
    token = ask(scripted, "FilterLogEvents", limit=1)["nextToken"]
    with pytest.raises(AwsError, match="another search"):
        ask(scripted, "FilterLogEvents", limit=1, filterPattern="b", nextToken=token)


# --- clients ----------------------------------------------------------------------------------------------------------


def test_boto3_reads_logs_over_http(local: Local) -> None:
    job = local.put(2, command=("sh", "-c", "echo hello"))
    local.wait(job.id)
    pages = local.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, filterPattern="hello", PaginationConfig={"PageSize": 1})
    events = [event for page in pages for event in page["events"]]
    assert [event["message"] for event in events] == ["hello", "hello"]
    assert local.logs.get_log_events(logGroupName=GROUP, logStreamName=events[0]["logStreamName"])["events"][0]["message"] == "hello"
    assert len(local.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]) == 2
    with pytest.raises(local.logs.exceptions.ResourceNotFoundException):
        local.logs.get_log_events(logGroupName=GROUP, logStreamName="none")


def has_tail() -> bool:
    """Whether there is an AWS CLI here that can tail: version 1 cannot."""
    aws = shutil.which("aws", path="/usr/local/bin:/usr/bin")
    return aws is not None and "aws-cli/2" in subprocess.run([aws, "--version"], capture_output=True, text=True, check=False).stdout


def test_aws_logs_tail_follows_a_job_while_it_runs(local: Local, tmp_path: Path) -> None:
    if not has_tail():
        pytest.skip("aws logs tail needs version 2 of the AWS CLI")
    gate = tmp_path / "gate"
    job = local.put(command=("sh", "-c", f"echo first; until [ -e {gate} ]; do sleep 0.02; done; echo second; printf third"))
    eventually(lambda: local.files.log(job, 0, 1).exists() and "first" in local.files.log(job, 0, 1).read_text())
    eventually(lambda: local.status(job.id) == "RUNNING")
    aws = shutil.which("aws", path="/usr/local/bin:/usr/bin") or "aws"
    command = [aws, "logs", "tail", GROUP, "--follow", "--format", "short"]
    environment = local.environment | {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    # versions before 2.13 do not look for an endpoint in the environment
    with subprocess.Popen([*command, "--endpoint-url", local.url], env=environment, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        try:
            assert tail.stdout.readline().endswith("first\n")
            gate.touch()
            assert [tail.stdout.readline().split()[-1] for _ in range(2)] == ["second", "third"]
        finally:
            tail.kill()
