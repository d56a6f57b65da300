"""Writing the logs of attempts, and asking CloudWatch Logs for them."""

from __future__ import annotations

import os
from typing import Any

from spawn.domain.jobs import Job
from tests.aws.serving import Scripted, Served
from tests.aws.shapes import assert_shape

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
