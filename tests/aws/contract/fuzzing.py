"""A target to be fuzzed: the real door without signatures, resources of every kind behind it, and inputs that reach them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from hypothesis import strategies as st

from spawn.api.aws.app import Limits, aws_app
from spawn.api.aws.model import service_api
from spawn.api.tcp import TcpServer, listen_tcp
from spawn.machine import SystemClock
from tests.aws.generating import JSON, inputs
from tests.aws.noting import Reply, reply_of
from tests.aws.serving import Scripted
from tests.aws.shapes import assert_shape, service_model

MARKER: Final = "6f1d0c2e-the-secret-of-this-user"
"""Stands in the engine's environment and in its user's home, and in no answer."""

ALLOWED_TO_FAIL: Final = frozenset({400, 404, 405, 408, 413})
DEFINITION: Final = {"image": "busybox", "command": ["echo", "Ref::word"], "resourceRequirements": [{"type": "VCPU", "value": "1"}]}

ARN: Final = "arn:aws:batch:us-east-1:123456789012"
GROUP: Final = "/aws/batch/job"
ORDER: Final = [{"order": 1, "computeEnvironment": "local"}]
LIMIT: Final = {"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
UNIT: Final = [{"maxCapacity": 1, "capacityUnit": "NUM_INSTANCES"}]
RETRY: Final = {"attempts": 2, "evaluateOnExit": [{"onExitCode": "1*", "action": "RETRY"}]}

Names = dict[str, list[Any]]


@dataclass(slots=True)
class Target:
    """The door, the names that reach what is behind it, and how many jobs it was asked for and took."""

    played: Scripted
    port: int
    names: Names = field(default_factory=dict)
    tokens: Names = field(default_factory=dict)  #: by the operation that gave them
    taken: int = 0

    def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """One request; its answer is one that the protocol has, no failure of ours, and tells nothing of this machine."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            reply = reply_of(connection)
        assert reply.status == 200 or reply.status in ALLOWED_TO_FAIL, (reply.status, reply.body, method, target, body)
        assert MARKER.encode() not in reply.body + repr(reply.headers).encode()
        assert reply.status == 200 or (reply.code and reply.message)
        return reply

    def call(self, service: str, operation: str, document: Any) -> Reply:
        """An operation asked as a client asks for it; an answer has the shape that the model says."""
        http_of = service_model(service).operation_model(operation).http
        target, headers = http_of["requestUri"], {}
        if "{resourceArn}" in target:
            members = document if isinstance(document, dict) else {}
            target = target.replace("{resourceArn}", quote(str(members.get("resourceArn")), safe="") or "-")
            if isinstance(members.get("tagKeys"), list):
                target += "?" + "&".join(f"tagKeys={quote(str(key), safe='')}" for key in members["tagKeys"])
        if service == "logs":
            headers["x-amz-target"] = f"Logs_20140328.{operation}"
        reply = self.send(http_of["method"], target, json.dumps(document).encode(), headers)
        if reply.status == 200:
            assert_shape(service, operation, reply.json if reply.body else {})
            self._learn(operation, reply.json if reply.body else {})
        return reply

    def names_for(self, operation: str) -> Names:
        """Values that stand for what there is, and tokens that this operation gave."""
        return self.names | {"nextToken": self.tokens.get(operation, ["none yet"])}

    def _learn(self, operation: str, answer: Mapping[str, Any]) -> None:
        if operation == "SubmitJob":
            self.taken += 1
            self.names["jobId"] = [*self.names["jobId"][-20:], answer["jobId"]]
        for name in ("nextToken", "nextForwardToken", "nextBackwardToken"):
            if name in answer:
                self.tokens[operation] = [*self.tokens.get(operation, [])[-8:], answer[name]]


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Target]:
    """A door that anybody may call, and an engine of which nothing runs but what a test plays."""
    played = Scripted(directory)
    app = aws_app(batch=played.handlers["batch"], logs=played.handlers["logs"], keys=None, clock=SystemClock(), limits=Limits(body_s=2))
    listener = listen_tcp("127.0.0.1", 0)
    server = TcpServer(app, listener, None)
    server.start()
    target = Target(played=played, port=listener.getsockname()[1])
    try:
        furnish(target)
        yield target
    finally:
        server.close()
        app.close()
        played.close()


def furnish(target: Target) -> None:
    """One resource of every kind, jobs in most statuses, and logs."""
    played = target.played
    played.call("CreateSchedulingPolicy", name="fair", fairsharePolicy={"shareDistribution": [{"shareIdentifier": "a"}]})
    played.call("CreateJobQueue", jobQueueName="other", priority=1, computeEnvironmentOrder=ORDER)
    played.call("CreateJobQueue", jobQueueName="shared", priority=1, computeEnvironmentOrder=ORDER, schedulingPolicyArn=f"{ARN}:scheduling-policy/fair")
    played.call("CreateConsumableResource", consumableResourceName="licence", totalQuantity=2)
    played.call("CreateServiceEnvironment", serviceEnvironmentName="training", serviceEnvironmentType="SAGEMAKER_TRAINING", capacityLimits=UNIT)
    for _ in range(2):
        played.call("RegisterJobDefinition", jobDefinitionName="work", type="container", containerProperties=DEFINITION, parameters={"word": "x"})
    jobs = []
    for size in (None, 3, None, 5):
        jobs.append(_submit(played, "default", **({} if size is None else {"arrayProperties": {"size": size}})))
        played.finish()
    waiting = _submit(played, "other", arrayProperties={"size": 4})
    after = _submit(played, "other", dependsOn=[{"jobId": waiting}])
    target.taken = len(jobs) + 2
    _write_logs(played, jobs)
    streams = [one["logStreamName"] for one in played.call("DescribeLogStreams", service="logs", logGroupName=GROUP)["logStreams"]]
    target.names |= names_of(jobs, waiting, after, streams)
    for service, operation in (("batch", "ListJobs"), ("batch", "DescribeJobDefinitions"), ("logs", "FilterLogEvents"), ("logs", "DescribeLogStreams")):
        for _ in range(2):
            target.call(service, operation, RIGHT[operation])


def _submit(played: Scripted, queue: str, **more: Any) -> str:
    job: str = played.call("SubmitJob", jobName="job", jobQueue=queue, jobDefinition="work", **more)["jobId"]
    return job


def _write_logs(played: Scripted, jobs: list[str]) -> None:
    for row in played.store.jobs("jobs_by_ids", (json.dumps(jobs),)):
        for position in range(row.job.size):
            path = played.files.log(row.job, position, 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"first\nsecond \xff\xfe\n\n" + b"x" * 5000 + b"\nlast")
            os.utime(path, ns=(0, played.clock.now() * 1_000_000))


def names_of(jobs: list[str], waiting: str, after: str, streams: list[str]) -> Names:
    """Values that stand for what there is, by the members that hold such."""
    ids = [*jobs, waiting, f"{waiting}:1", after, f"{jobs[1]}:2", f"{jobs[1]}:9", f"{ARN}:job/{jobs[0]}"]
    queues = ["default", "other", "shared", f"{ARN}:job-queue/other"]
    definitions = ["work", "work:1", "work:2", "work:9", f"{ARN}:job-definition/work:1"]
    kinds = ("job-queue/other", "job-definition/work:1", "scheduling-policy/fair", "consumable-resource/licence", f"job/{jobs[0]}", f"job/{waiting}")
    return {
        **dict.fromkeys(("jobId", "jobs", "arrayJobId"), ids),
        **dict.fromkeys(("jobQueue", "jobQueues"), queues),
        **dict.fromkeys(("jobDefinition", "jobDefinitions"), definitions),
        **{key: [f"{ARN}:scheduling-policy/fair"] for key in ("arn", "arns", "schedulingPolicyArn")},
        **{key: ["local", f"{ARN}:compute-environment/local"] for key in ("computeEnvironment", "computeEnvironments")},
        **{key: ["other", "work", "fresh"] for key in ("jobQueueName", "jobDefinitionName", "computeEnvironmentName")},
        **{key: [GROUP] for key in ("logGroupName", "logGroupIdentifier")},
        **dict.fromkeys(("logStreamName", "logStreamNames"), streams),
        **{key: [1, 2, 100] for key in ("maxResults", "limit")},
        "consumableResource": ["licence", f"{ARN}:consumable-resource/licence"],
        "serviceEnvironment": ["training"],
        "shareIdentifier": ["a", "b"],
        "resourceArn": [f"{ARN}:{kind}" for kind in kinds],
        "jobName": ["job"],
        "reason": ["because"],
        "logStreamNamePrefix": ["work", "w"],
    }


RIGHT: Final[dict[str, dict[str, Any]]] = {
    "SubmitJob": {"jobName": "job", "jobQueue": "default", "jobDefinition": "work", "arrayProperties": {"size": 3}, "retryStrategy": RETRY},
    "RegisterJobDefinition": {"jobDefinitionName": "work", "type": "container", "containerProperties": DEFINITION, "retryStrategy": RETRY},
    "DescribeJobDefinitions": {"maxResults": 1},
    "ListJobs": {"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": ["j*"]}], "maxResults": 1},
    "ListJobsByConsumableResource": {"consumableResource": "licence", "filters": [{"name": "JOB_NAME", "values": ["j*"]}]},
    "ListConsumableResources": {"maxResults": 1},
    "DescribeJobs": {"jobs": ["x"]},
    "CreateJobQueue": {"jobQueueName": "fresh", "priority": 1, "computeEnvironmentOrder": ORDER, "jobStateTimeLimitActions": [LIMIT]},
    "UpdateJobQueue": {"jobQueue": "other", "priority": 2, "computeEnvironmentOrder": ORDER, "jobStateTimeLimitActions": [LIMIT]},
    "DescribeJobQueues": {"maxResults": 1},
    "GetJobQueueSnapshot": {"jobQueue": "shared"},
    "CreateComputeEnvironment": {"computeEnvironmentName": "fresh", "type": "MANAGED", "computeResources": {"type": "EC2", "maxvCpus": 2}},
    "UpdateComputeEnvironment": {"computeEnvironment": "local", "computeResources": {"maxvCpus": 2}},
    "CreateSchedulingPolicy": {"name": "fresh", "fairsharePolicy": {"computeReservation": 1, "shareDistribution": [{"shareIdentifier": "b*"}]}},
    "UpdateSchedulingPolicy": {"arn": f"{ARN}:scheduling-policy/fair", "fairsharePolicy": {"shareDecaySeconds": 60}},
    "CreateConsumableResource": {"consumableResourceName": "fresh", "totalQuantity": 3},
    "UpdateConsumableResource": {"consumableResource": "licence", "operation": "ADD", "quantity": 1},
    "TagResource": {"resourceArn": f"{ARN}:job-queue/other", "tags": {"a": "b"}},
    "CancelJobs": {"jobs": ["x"], "reason": "because"},
    "TerminateJob": {"jobId": "x", "reason": "because"},
    "GetLogEvents": {"logGroupName": GROUP, "logStreamName": "x", "limit": 2},
    "FilterLogEvents": {"logGroupName": GROUP, "limit": 2},
    "DescribeLogStreams": {"logGroupName": GROUP, "limit": 1},
    "DescribeLogGroups": {},
}
"""An input of each operation that has more behind it than a look-up, which is taken as it is."""

NUMBERS: Final = st.sampled_from([0, -1, 1, 2, 59, 101, 10_001, 2**31 - 1, -(2**31), 2**63 - 1, 2**63, -(2**63), 2**70])
TEXTS: Final = st.sampled_from(
    [
        "",
        " ",
        "*",
        "a*",
        "\0",
        "0",
        "-1",
        "1e9",
        "NaN",
        "x" * 5000,
        "\ud83d",
        "\n",
        "é",
        "arn:",
        f"{ARN}:job/",
        f"{ARN}:job-queue/",
        "work:0",
        "work:99999999999",
    ]
) | st.sampled_from(["Ref::", "Ref::word", "${HOME}", "$(cat ~/secret.txt)", "../../secret.txt", "%00", "/etc/passwd", '"', "%[", "{ $.x = 1 }"])
ODD: Final[st.SearchStrategy[Any]] = NUMBERS | TEXTS | st.sampled_from([1e308, 0.5, True, None, [], {}, [None], [[]], {"": ""}])
"""Values that something may not expect."""


def of_service(service: str) -> st.SearchStrategy[str]:
    """Operations of a service: those with more behind them more often."""
    names = service_api(service).names
    return st.sampled_from([name for name in RIGHT if name in names]) | st.sampled_from(names)


def grounded(draw: st.DrawFn, value: Any, names: Names) -> Any:
    """A value with names of what there is in the place of made-up ones, mostly. What is drawn does not depend on what there is."""
    if isinstance(value, list):
        return [grounded(draw, one, names) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for name, member in value.items():
        is_name = isinstance(member, str | int) and not isinstance(member, bool)
        are_names = isinstance(member, list) and all(isinstance(one, str) for one in member)
        if name not in names or not (is_name or are_names) or draw(st.integers(0, 9)) > 7:
            changed[name] = grounded(draw, member, names)
        elif are_names:
            changed[name] = [_known(names[name], draw(st.integers(0, 99))) for _ in range(draw(st.integers(1, 3)))]
        else:
            changed[name] = _known(names[name], draw(st.integers(0, 99)))
            if name == "nextToken":
                changed[name] = tampered(changed[name], draw(st.none() | st.tuples(st.integers(0, 9), ODD)))
    return changed


def _known(values: list[Any], number: int) -> Any:
    return values[number % len(values)]


def tampered(token: str, change: tuple[int, Any] | None) -> str:
    """A token as it was given, or one that says something else and is written as if it had been given."""
    try:
        place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True)[4:])
    except (binascii.Error, ValueError):
        return token
    if change is None or not isinstance(place, list):
        return token
    number, value = change
    place[number % len(place)] = value
    body = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode()


@st.composite
def allowed(draw: st.DrawFn, service: str, operation: str, names: Names) -> Any:
    """Inputs that the model allows: made up, or right ones with some made-up members."""
    made: dict[str, Any] = draw(inputs(service, operation))
    if operation in RIGHT and draw(st.integers(0, 4)):
        optional = sorted(made)
        chosen = draw(st.lists(st.sampled_from(optional), max_size=2)) if optional else []
        made = json.loads(json.dumps(RIGHT[operation])) | {name: made[name] for name in chosen}
    if "nextToken" not in made and "nextToken" in _members(service, operation) and draw(st.booleans()):
        made["nextToken"] = "again"
    return grounded(draw, made, names)


@st.composite
def spoiled(draw: st.DrawFn, service: str, operation: str, names: Names) -> Any:
    """Allowed inputs of which one or two values, anywhere, are odd ones: mostly of the type that belongs there, else anything at all."""
    document: Any = draw(allowed(service, operation, names))
    for _ in range(draw(st.integers(1, 2))):
        place: tuple[Any, Any] | None = None
        value = document
        while isinstance(value, dict | list) and value and (place is None or draw(st.integers(0, 3))):
            key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
            place, value = (value, key), value[key]
        if place is None:
            return draw(JSON)
        place[0][place[1]] = draw(_instead_of(value) if draw(st.integers(0, 4)) else ODD | JSON)
    return document


def _instead_of(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, str):
        return TEXTS
    if isinstance(value, int | float) and not isinstance(value, bool):
        return NUMBERS
    return st.just(value * 60) if isinstance(value, list) else st.just(value)


def _members(service: str, operation: str) -> Mapping[str, Any]:
    shape = service_model(service).operation_model(operation).input_shape
    return {} if shape is None else shape.members
