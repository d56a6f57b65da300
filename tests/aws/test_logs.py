"""CloudWatch Logs: streams of attempts and the events of one, of real processes and of files of any size."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.ids import AttemptId
from spawn.domain.jobs import BatchJob
from spawn.domain.retries import RetryStrategy
from tests.aws.logs import GROUP, ask, begun, filtered, messages, streams, write
from tests.aws.serving import Local, Scripted
from tests.aws.shapes import assert_shape

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
