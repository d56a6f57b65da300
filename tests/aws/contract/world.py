"""The door over HTTP as boto3 sees it: every answer is held against its shape as it was sent, and jobs are led to any status."""

from __future__ import annotations

import json
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config

from spawn.domain.ids import AttemptId, JobId
from spawn.engine.news import Ended, EndKind, Lost, Usage
from tests.aws.serving import ACCESS_KEY, REGION, SECRET_KEY, Scripted
from tests.aws.shapes import assert_shape, service_model

Json = dict[str, Any]

ARN = f"arn:aws:batch:{REGION}:123456789012"
REASON = "because the test says so"
UNKNOWN = "a" * 32
DEFINITION: Json = {
    "jobDefinitionName": "work",
    "type": "container",
    "containerProperties": {
        "image": "busybox",
        "command": ["true"],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    },
}


class World:
    """A Batch client, and what is played behind its back: two jobs of one vCPU run at once."""

    def __init__(self, directory: Path) -> None:
        self.played = Scripted(directory)
        self.answered: list[str] = []  #: the operations that answered with success, each as often as it did
        self.batch = self._client("batch")
        self.batch.register_job_definition(**DEFINITION)

    @cached_property
    def logs(self) -> Any:
        """boto3's client of CloudWatch Logs."""
        return self._client("logs")

    def _client(self, service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=30)
        client = session().client(service, endpoint_url=self.played.url, config=config)
        client.meta.events.register(f"after-call.{service}", self._hold)
        return client

    def _hold(self, *, http_response: Any, model: Any, **_: Any) -> None:
        if http_response.status_code == 200:
            assert_shape(model.service_model.service_name, model.name, json.loads(http_response.content or b"{}"))
            self.answered.append(model.name)

    def call(self, operation: str, /, **members: Any) -> Json:
        """What boto3 makes of the answer to an operation, named as the service model names it."""
        return without_metadata(getattr(self.batch, xform_name(operation))(**members))

    def refusal(self, operation: str, /, **members: Any) -> str:
        """What an operation says when it refuses, which it must do with a ClientException and the status 400."""
        with pytest.raises(self.batch.exceptions.ClientException) as caught:
            self.call(operation, **members)
        response = caught.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
        message: str = response["Error"]["Message"]
        request_id = response["ResponseMetadata"]["RequestId"]
        assert request_id
        return message.replace(f"RequestId: {request_id}", "RequestId: ...")

    def restart(self) -> None:
        """What a new engine process does: memory is gone, the store and the provider are not."""
        self.batch.close()
        self.played.restart()
        self.batch = self._client("batch")

    def close(self) -> None:
        """End everything."""
        self.batch.close()
        if "logs" in self.__dict__:
            self.logs.close()
        self.played.close()

    # --- jobs -----------------------------------------------------------------------------------------------------------

    def submit(self, size: int | None = None, *, after: list[Json] | None = None, **members: Any) -> str:
        """The id of a new job; `size`: of an array, `after`: its dependsOn."""
        asked: Json = {"jobName": "job", "jobQueue": "default", "jobDefinition": "work"} | members
        if size is not None:
            asked["arrayProperties"] = {"size": size}
        if after is not None:
            asked["dependsOn"] = after
        job_id: str = self.call("SubmitJob", **asked)["jobId"]
        return job_id

    def job(self, job: str) -> Json:
        """A job as DescribeJobs shows it."""
        (found,) = self.call("DescribeJobs", jobs=[job])["jobs"]
        shown: Json = found
        return shown

    def state(self, job: str) -> tuple[str, str | None]:
        """A job's status and its reason."""
        shown = self.job(job)
        return shown["status"], shown.get("statusReason")

    def status(self, job: str) -> str:
        """A job's status."""
        return self.state(job)[0]

    def statuses(self, job: str, size: int) -> list[str]:
        """The statuses of an array's children."""
        return [child["status"] for child in self.call("DescribeJobs", jobs=[f"{job}:{index}" for index in range(size)])["jobs"]]

    def ran(self, job: str) -> list[int]:
        """The indexes of a job that were ever started, in the order in which they were."""
        key = self._attempt(job, 0).key
        return [attempt.position for attempt in self.played.provider.started if attempt.key == key]

    # --- what is played ---------------------------------------------------------------------------------------------------

    def under_way(self, job: str) -> AttemptId:
        """The attempt of a job, or of a child, that was started and has not ended."""
        parent, _, index = job.partition(":")
        (attempt,) = [one for one in self.played.running(self._attempt(parent, 0).key) if one.position == int(index or 0)]
        return attempt

    def begin(self, *jobs: str) -> None:
        """The processes of these jobs run."""
        self.played.begin(*(self.under_way(job) for job in jobs))

    def end(self, *jobs: str, code: int | None = 0, signal: int | None = None, why: str | None = None) -> None:
        """The processes of these jobs end alike."""
        self.played.end(*(self.under_way(job) for job in jobs), code=code, signal=signal, why=why)

    def lose(self, job: str) -> None:
        """What ran the job died."""
        self.played.tell(Lost(self.under_way(job), self.played.clock.now()))

    def stop_what_was_told_to(self) -> None:
        """The processes that were told to stop do so."""
        for attempt in self.played.running():
            if attempt in self.played.provider.stopped:
                self.played.tell(Ended(attempt, self.played.clock.now(), EndKind(None, 15, "stopped"), Usage()))
        dropped = [attempt for attempt in self.played.running() if attempt in self.played.provider.dropped]
        for attempt in dropped:
            self.played.tell(Ended(attempt, self.played.clock.now(), EndKind(None, 9, "stopped"), Usage()))

    def finish(self) -> None:
        """Everything runs to a good end."""
        self.played.finish()

    def fill(self) -> tuple[str, str]:
        """Two jobs that run and leave no room for others."""
        jobs = self.submit(jobName="filler"), self.submit(jobName="filler")
        self.begin(*jobs)
        return jobs

    def _attempt(self, job: str, position: int) -> AttemptId:
        row = self.played.store.job(JobId(job.partition(":")[0]))
        assert row is not None
        return AttemptId(row.job.key, position, 1)


@cache
def session() -> boto3.Session:
    """One for all tests: it keeps the service models, which take long to read."""
    return boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)


def without_metadata(answer: Json) -> Json:
    """An answer without what boto3 adds to it."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def operations_of_the_model() -> list[str]:
    """All operations of AWS Batch."""
    return list(service_model("batch").operation_names)
