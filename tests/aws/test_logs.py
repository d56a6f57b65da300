"""CloudWatch Logs: streams and events of attempts, of real processes and of files of any size."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.ids import AttemptId
from spawn.domain.jobs import BatchJob, Job
from spawn.domain.retries import RetryStrategy
from tests.aws.serving import Local, Scripted, Served
from tests.aws.shapes import assert_shape
from tests.system.conftest import eventually

GROUP = "/aws/batch/job"


def ask(served: Served, operation: str, **asked: Any) -> dict[str, Any]:
    """What an operation on the group answers, after it was held against the model."""
    answer = served.call(operation, service="logs", logGroupName=GROUP, **asked)
    assert_shape("logs", operation, answer)
    return answer


def messages(answer: dict[str, Any]) -> list[str]:
    """The messages of the events of an answer."""
    return [event["message"] for event in answer["events"]]


def filtered(served: Served, **asked: Any) -> list[dict[str, Any]]:
    """The events of all pages of FilterLogEvents."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = ask(served, "FilterLogEvents", **asked, **token)
        found += answer["events"]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}


def streams(served: Served, **asked: Any) -> list[str]:
    """The names on all pages of DescribeLogStreams."""
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = ask(served, "DescribeLogStreams", **asked, **token)
        found += [stream["logStreamName"] for stream in answer["logStreams"]]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}


def write(served: Scripted, job: Job, text: bytes | str, *, position: int = 0, attempt: int = 1) -> None:
    """Add to the log of an attempt, at the time that the test's clock has."""
    path = served.files.log(job, position, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    os.utime(path, ns=(0, served.clock.now() * 1_000_000))


def begun(served: Scripted, size: int | None = None, **facts: Any) -> tuple[Job, list[str]]:
    """A job whose first attempts run, and the names of their streams."""
    job = served.put(size, **facts)
    attempts = served.running(job.key)
    served.begin(*attempts)
    definition = job.batch.definition.partition(":")[0] if job.batch is not None else ""
    return job, [f"{definition}/default/{attempt.task_id}" for attempt in attempts]


# --- one stream -------------------------------------------------------------------------------------------------------


def test_the_lines_of_a_real_process_are_its_events(local: Local) -> None:
    job = local.put(command=("sh", "-c", r"echo one; echo two >&2; echo; printf 'a\rb\r\n\377\n no newline'"))
    local.wait(job.id)
    shown = local.describe(job.id)
    answer = ask(local, "GetLogEvents", logStreamName=shown["container"]["logStreamName"])
    assert messages(answer) == ["one", "two", "a\rb\r", "�", " no newline"]
    for event in answer["events"]:
        assert shown["startedAt"] <= event["timestamp"] <= shown["stoppedAt"]
        assert event["ingestionTime"] == event["timestamp"]


def test_each_attempt_has_a_stream_of_its_own(local: Local) -> None:
    job = local.put(2, command=("sh", "-c", "echo $AWS_BATCH_JOB_ARRAY_INDEX.$AWS_BATCH_JOB_ATTEMPT; exit 1"), retry=RetryStrategy(attempts=2))
    local.wait(job.id)
    names = [attempt["container"]["logStreamName"] for index in (0, 1) for attempt in local.describe(f"{job.id}:{index}")["attempts"]]
    assert [messages(ask(local, "GetLogEvents", logStreamName=name)) for name in names] == [["0.1"], ["0.2"], ["1.1"], ["1.2"]]
    assert streams(local) == names


def test_a_line_that_is_not_complete_waits_for_its_end_or_that_of_the_attempt(scripted: Scripted) -> None:
    job, (name,) = begun(scripted)
    write(scripted, job, "whole\nhal")
    first = ask(scripted, "GetLogEvents", logStreamName=name, startFromHead=True)
    assert messages(first) == ["whole"]
    write(scripted, job, "f\nrest")
    second = ask(scripted, "GetLogEvents", logStreamName=name, nextToken=first["nextForwardToken"])
    assert messages(second) == ["half"]
    scripted.end(scripted.running()[0])
    assert messages(ask(scripted, "GetLogEvents", logStreamName=name, nextToken=second["nextForwardToken"])) == ["rest"]


def test_tokens_go_both_ways_and_at_the_ends_stay_what_they_are(scripted: Scripted) -> None:
    job, (name,) = begun(scripted)
    write(scripted, job, "".join(f"{number}\n" for number in range(10)))
    head = ask(scripted, "GetLogEvents", logStreamName=name, startFromHead=True, limit=4)
    assert messages(head) == ["0", "1", "2", "3"]
    assert head["nextForwardToken"].startswith("f/")
    assert head["nextBackwardToken"].startswith("b/")
    pages = [head]
    while messages(pages[-1]):
        pages.append(ask(scripted, "GetLogEvents", logStreamName=name, limit=4, nextToken=pages[-1]["nextForwardToken"]))
    assert list(itertools.chain.from_iterable(messages(page) for page in pages)) == [str(number) for number in range(10)]
    assert pages[-1]["nextForwardToken"] == pages[-2]["nextForwardToken"]
    tail = ask(scripted, "GetLogEvents", logStreamName=name, limit=4)
    assert messages(tail) == ["6", "7", "8", "9"]
    back = [tail]
    while messages(back[-1]):
        back.append(ask(scripted, "GetLogEvents", logStreamName=name, limit=4, nextToken=back[-1]["nextBackwardToken"]))
    assert [messages(page) for page in back] == [["6", "7", "8", "9"], ["2", "3", "4", "5"], ["0", "1"], []]
    assert back[-1]["nextBackwardToken"] == back[-2]["nextBackwardToken"]
    assert messages(ask(scripted, "GetLogEvents", logStreamName=name, limit=3, nextToken=back[1]["nextForwardToken"])) == ["6", "7", "8"]


def test_a_stream_without_events_gives_tokens_that_later_lead_on(scripted: Scripted) -> None:
    job, (name,) = begun(scripted)
    empty = ask(scripted, "GetLogEvents", logStreamName=name)
    assert empty["events"] == []
    write(scripted, job, "x\n")
    assert messages(ask(scripted, "GetLogEvents", logStreamName=name, nextToken=empty["nextForwardToken"])) == ["x"]


def test_a_page_holds_no_more_than_a_mebibyte(scripted: Scripted) -> None:
    job, (name,) = begun(scripted)
    write(scripted, job, ("x" * 99_974 + "\n") * 25)
    pages = [ask(scripted, "GetLogEvents", logStreamName=name, startFromHead=True)]
    while pages[-1]["events"]:
        pages.append(ask(scripted, "GetLogEvents", logStreamName=name, nextToken=pages[-1]["nextForwardToken"]))
    assert [len(page["events"]) for page in pages] == [10, 10, 5, 0]
    assert len(ask(scripted, "GetLogEvents", logStreamName=name)["events"]) == 10


def test_times_are_those_at_which_a_growing_log_was_seen(scripted: Scripted) -> None:
    job, (name,) = begun(scripted)
    seen = []
    for number in range(4):
        scripted.clock.advance(5)
        write(scripted, job, f"{number}\n")
        seen.append(scripted.clock.now())
        scripted.clock.advance(1)
        ask(scripted, "GetLogEvents", logStreamName=name)
    events = ask(scripted, "GetLogEvents", logStreamName=name)["events"]
    assert [event["timestamp"] for event in events] == seen
    assert messages(ask(scripted, "GetLogEvents", logStreamName=name, startTime=seen[1], endTime=seen[3])) == ["1", "2"]
    assert messages(ask(scripted, "GetLogEvents", logStreamName=name, startFromHead=True, startTime=seen[1] + 1)) == ["2", "3"]
    assert messages(ask(scripted, "GetLogEvents", logStreamName=name, endTime=seen[0])) == []
    assert [event["message"] for event in filtered(scripted, startTime=seen[1], endTime=seen[2])] == ["1", "2"]


def test_only_streams_of_attempts_that_have_begun_exist(scripted: Scripted) -> None:
    job = scripted.put(3)
    one, two = scripted.running()
    scripted.begin(one)
    assert streams(scripted) == [f"work/default/{one.task_id}"]
    past_the_end = AttemptId(job.key, 7, 1)
    for name in (f"work/default/{two.task_id}", f"other/default/{one.task_id}", f"work/default/{past_the_end.task_id}", "work/default/x", "x"):
        with pytest.raises(AwsError, match=r"^The specified log stream does not exist\.$") as caught:
            ask(scripted, "GetLogEvents", logStreamName=name)
        assert caught.value.code == "ResourceNotFoundException"
        with pytest.raises(AwsError, match=r"^The specified log stream does not exist\.$"):
            ask(scripted, "FilterLogEvents", logStreamNames=[name])


@pytest.mark.parametrize("operation", ["DescribeLogStreams", "GetLogEvents", "FilterLogEvents"])
def test_there_is_one_group(scripted: Scripted, operation: str) -> None:
    job, (name,) = begun(scripted)
    write(scripted, job, "x\n")
    more = {"logStreamName": name} if operation == "GetLogEvents" else {}
    with pytest.raises(AwsError, match=r"^The specified log group does not exist\.$") as caught:
        scripted.call(operation, service="logs", logGroupName="/aws/other", **more)
    assert caught.value.code == "ResourceNotFoundException"
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"
    assert scripted.call(operation, service="logs", logGroupIdentifier=arn, **more) == scripted.call(operation, service="logs", logGroupName=GROUP, **more)
    for group in ({}, {"logGroupName": GROUP, "logGroupIdentifier": arn}):
        with pytest.raises(AwsError, match="exactly one of logGroupName") as caught:
            scripted.call(operation, service="logs", **group, **more)
        assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize("token", ["x", "f/1/s", "f/" + "9" * 56 + "/s", "f/" + "0" * 56 + "/s"])
def test_tokens_that_were_never_given_are_refused(scripted: Scripted, token: str) -> None:
    _, (name,) = begun(scripted)
    with pytest.raises(AwsError, match=r"^The specified nextToken is invalid\.$") as caught:
        ask(scripted, "GetLogEvents", logStreamName=name, nextToken=token)
    assert caught.value.code == "InvalidParameterException"


# --- groups and streams -----------------------------------------------------------------------------------------------


def test_the_group_is_described_when_its_name_fits(scripted: Scripted) -> None:
    def groups(**asked: Any) -> list[str]:
        answer = scripted.call("DescribeLogGroups", service="logs", **asked)
        assert_shape("logs", "DescribeLogGroups", answer)
        return [group["logGroupName"] for group in answer["logGroups"]]

    assert groups() == groups(logGroupNamePrefix="/aws/b") == groups(logGroupNamePattern="Batch") == groups(limit=1) == [GROUP]
    assert groups(logGroupNamePrefix="/aws/lambda") == groups(logGroupNamePattern="x") == groups(logGroupClass="DELIVERY") == []
    with pytest.raises(AwsError, match="nextToken"):
        groups(nextToken="x")


def test_streams_are_listed_by_name_by_prefix_and_in_both_directions(scripted: Scripted) -> None:
    names = []
    for definition in ("b:1", "a:1", "a:2", "a-b:1"):
        names += begun(scripted, 2, batch=BatchJob(definition=definition, container={}), retry=RetryStrategy(attempts=2))[1]
        scripted.clock.advance(1)
        scripted.end(*scripted.running(), code=1)
        scripted.finish()
    everything = streams(scripted)
    assert everything == sorted(everything)
    assert len(everything) == 16
    assert set(names) < set(everything)
    assert streams(scripted, limit=3) == everything
    assert streams(scripted, limit=5, descending=True) == everything[::-1]
    for prefix in ("a", "a/", "a/default/", names[0], names[4][:14], names[4][:24], "z", "a/default/zz"):
        assert streams(scripted, limit=2, logStreamNamePrefix=prefix) == [name for name in everything if name.startswith(prefix)], prefix


def test_streams_are_listed_by_the_time_of_their_last_events(scripted: Scripted) -> None:
    ended = []
    for number in range(3):
        job, (name,) = begun(scripted)
        write(scripted, job, f"{number}\n")
        scripted.clock.advance(1)
        scripted.end(scripted.running()[0])
        ended.append(name)
    _, (runs,) = begun(scripted)
    assert streams(scripted, orderBy="LastEventTime", limit=1) == [*ended, runs]
    assert streams(scripted, orderBy="LastEventTime", descending=True, limit=2) == [runs, *ended[::-1]]
    newest = ask(scripted, "DescribeLogStreams", orderBy="LastEventTime", descending=True, limit=2)["logStreams"]
    assert "firstEventTimestamp" not in newest[0]
    assert newest[1]["firstEventTimestamp"] == newest[1]["lastEventTimestamp"] == scripted.clock.now() - 1000
    assert newest[1]["arn"].endswith(f"log-group:{GROUP}:log-stream:{ended[2]}")
    with pytest.raises(AwsError, match="Cannot order by LastEventTime with a logStreamNamePrefix"):
        streams(scripted, orderBy="LastEventTime", logStreamNamePrefix="work")


# --- all streams ------------------------------------------------------------------------------------------------------


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
