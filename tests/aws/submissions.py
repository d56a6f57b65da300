"""Jobs submitted for tests: what they are made of, and what became of them."""

from __future__ import annotations

from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.catalog import Resource
from spawn.domain.jobs import Job
from tests.aws.serving import Scripted
from tests.aws.shapes import assert_shape

ARN = "arn:aws:batch:us-east-1:123456789012"
BASE: dict[str, Any] = {
    "image": "busybox",
    "command": ["work", "Ref::what"],
    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "64"}],
}


def register(served: Scripted, name: str = "work", **members: Any) -> None:
    properties = {} if members.keys() & {"ecsProperties", "eksProperties", "nodeProperties"} else {"containerProperties": BASE}
    parameters = {"parameters": {"what": "hard"}}
    served.call("RegisterJobDefinition", **({"jobDefinitionName": name, "type": "container"} | properties | parameters | members))


def put(served: Scripted, *resources: Resource) -> None:
    for resource in resources:
        served.do(lambda state, resource=resource: state.put(resource))


def submit(served: Scripted, **members: Any) -> Job:
    answer = served.call("SubmitJob", **({"jobName": "name", "jobQueue": "default", "jobDefinition": "work"} | members))
    assert_shape("batch", "SubmitJob", answer)
    row = served.store.job(answer["jobId"])
    assert row is not None
    return row.job


def refusal(served: Scripted, **members: Any) -> str:
    before = served.store.counts()
    asked = {"jobName": "name", "jobQueue": "default", "jobDefinition": "work"} | members
    with pytest.raises(AwsError) as refused:
        served.call("SubmitJob", **asked)
    assert (refused.value.code, refused.value.status) == ("ClientException", 400)
    assert served.store.counts() == before
    return refused.value.message


def container(job: Job) -> Any:
    assert job.batch is not None
    return job.batch.container


def fate(served: Scripted, job: Job) -> tuple[str, str | None]:
    row = served.store.job(job.id)
    assert row is not None
    return row.status.name, row.reason
