"""A workflow of Batch clients in the middle of which the engine is killed, again and again: nothing is lost, changed, or run twice."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from tests.system.conftest import Shell, eventually

Json = dict[str, Any]

CHILDREN: Final = 150
SHARED: Final = 30
STUBBORN: Final = 7
"""The index of JobB whose first two attempts fail."""

LICENCES: Final = 2
OVER: Final = ("SUCCEEDED", "FAILED")
DEPENDENT: Final = "Dependent Job failed"


class Batch:
    """The client of a user whose shell has the endpoint's variables, what it has submitted, and what it has seen of it."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.ran = shell.cwd / "ran"
        self.ran.mkdir()
        self.lines = shell("serve", "--port", "0", "--detach").lines
        variables = dict(shlex.split(line)[1].split("=", 1) for line in self.lines)
        self.client: Any = boto3.client(
            "batch",
            endpoint_url=variables["AWS_ENDPOINT_URL_BATCH"],
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 5}),
        )
        self.jobs: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.seen: dict[str, Json] = {}

    def register(self, name: str, script: str, **members: Any) -> None:
        """A definition whose processes first write down that they run."""
        note = f'echo "$AWS_BATCH_JOB_ID $AWS_BATCH_JOB_ATTEMPT" >>{shlex.quote(str(self.ran))}/{name}; '
        requirements = [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "16"}]
        properties = {"image": "busybox", "command": ["sh", "-c", note + script], "resourceRequirements": requirements}
        self.client.register_job_definition(jobDefinitionName=name, type="container", containerProperties=properties, **members)

    def submit(self, name: str, definition: str, size: int | None = None, *, after: list[Json] | None = None, **members: Any) -> str:
        """Submit a job once."""
        if size is not None:
            members["arrayProperties"] = {"size": size}
            self.sizes[name] = size
        asked = {"jobQueue": "ordinary", "dependsOn": after or []} | members
        job: str = self.client.submit_job(jobName=name, jobDefinition=definition, **asked)["jobId"]
        self.jobs[name] = job
        return job

    def described(self, ids: list[str]) -> dict[str, Json]:
        """These jobs as they are described, by id."""
        found = [job for start in range(0, len(ids), 100) for job in self.client.describe_jobs(jobs=ids[start : start + 100])["jobs"]]
        assert [job["jobId"] for job in found] == ids
        return {job["jobId"]: job for job in found}

    def everything(self) -> dict[str, Json]:
        """All jobs and children as they are described, by id."""
        children = [f"{self.jobs[name]}:{index}" for name, size in self.sizes.items() for index in range(size)]
        return self.described([*self.jobs.values(), *children])

    def look(self) -> None:
        """See everything, and that nothing of what was seen before is otherwise now."""
        now = self.everything()
        for job, before in self.seen.items():
            assert_follows(before, now[job])
        self.seen = now

    def resources(self) -> list[Any]:
        """What was made beside jobs."""
        answers = [
            self.client.describe_job_queues(),
            self.client.describe_compute_environments(),
            self.client.describe_job_definitions(),
            self.client.describe_scheduling_policies(arns=[self.client.list_scheduling_policies()["schedulingPolicies"][0]["arn"]]),
            {name: value for name, value in self.client.describe_consumable_resource(consumableResource="licence").items() if name in ("createdAt", "tags")},
        ]
        return [{name: value for name, value in answer.items() if name != "ResponseMetadata"} for answer in answers]

    def noted(self) -> Counter[str]:
        """What ran: how often each id and attempt was written down."""
        return Counter(line for path in self.ran.iterdir() for line in path.read_text().splitlines())

    def come_back(self) -> None:
        """Another engine; the endpoint is the same."""
        assert self.shell("serve", "--print-env").lines == self.lines


def assert_follows(before: Json, now: Json) -> None:
    """A job that was over is as it was; of one that was not, what had happened has not changed."""
    if before["status"] in OVER:
        assert now == before
        return
    assert now["createdAt"] == before["createdAt"]
    assert (now["jobName"], now["jobArn"], now["dependsOn"], now["tags"]) == (before["jobName"], before["jobArn"], before["dependsOn"], before["tags"])
    assert now["attempts"][: len(before["attempts"])] == before["attempts"]
    if before["status"] == "RUNNING":
        started = [attempt["startedAt"] for attempt in now["attempts"]] + [now.get("startedAt")]
        assert before["startedAt"] in started
    elif "startedAt" in before:
        assert now["startedAt"] == before["startedAt"]


@pytest.fixture
def batch(shell: Shell) -> Iterator[Batch]:
    batch = Batch(shell)
    yield batch
    batch.client.close()


def prepare(batch: Batch, gate: Path) -> None:
    """Queues, a policy, a consumable resource and definitions."""
    order = [{"order": 1, "computeEnvironment": "local"}]
    shares = {"shareDecaySeconds": 60, "shareDistribution": [{"shareIdentifier": "left", "weightFactor": 2.0}, {"shareIdentifier": "right"}]}
    policy = batch.client.create_scheduling_policy(name="fair", fairsharePolicy=shares)["arn"]
    batch.client.create_job_queue(jobQueueName="ordinary", priority=5, computeEnvironmentOrder=order, tags={"kind": "ordinary"})
    batch.client.create_job_queue(jobQueueName="shared", priority=5, computeEnvironmentOrder=order, schedulingPolicyArn=policy)
    batch.client.create_consumable_resource(consumableResourceName="licence", totalQuantity=LICENCES)
    taken = {"consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]}
    batch.register("plain", "exit 0")
    batch.register("plain", "exit 0", tags={"revision": "second"})
    stubborn = f'[ "$AWS_BATCH_JOB_ARRAY_INDEX" != {STUBBORN} ] || [ "$AWS_BATCH_JOB_ATTEMPT" = 3 ]'
    batch.register("stubborn", stubborn, retryStrategy={"attempts": 3, "evaluateOnExit": [{"onExitCode": "1", "action": "RETRY"}]})
    batch.register("licensed", "sleep 0.05", consumableResourceProperties=taken)
    batch.register("broken", '[ "$AWS_BATCH_JOB_ARRAY_INDEX" != 1 ] || exit 3')
    batch.register("waiting", f"while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.05; done")
    batch.register("endless", "exec sleep 1000")


def submit(batch: Batch) -> None:
    """The workflow of the guide, two shares of a queue that want the same licences, an array that fails, and jobs that are to be stopped."""
    first = batch.submit("JobA", "plain:1")
    second = batch.submit("JobB", "stubborn", CHILDREN, after=[{"jobId": first}], tags={"job": "B"})
    third = batch.submit("JobC", "plain", CHILDREN, after=[{"jobId": second, "type": "N_TO_N"}])
    fourth = batch.submit("JobD", "plain", 10, after=[{"jobId": third}, {"type": "SEQUENTIAL"}])
    batch.submit("JobE", "plain", after=[{"jobId": fourth}])
    for share in ("left", "right"):
        batch.submit(f"Shared-{share}", "licensed", SHARED, jobQueue="shared", shareIdentifier=share)
    broken = batch.submit("Broken", "broken", 3)
    batch.submit("AfterBroken", "plain", 2, after=[{"jobId": broken}])
    waiting = batch.submit("Waiting", "waiting")
    batch.submit("Cancelled", "plain", after=[{"jobId": waiting}])
    batch.submit("Terminated", "endless")


def lines_at(batch: Batch, count: int) -> None:
    """Wait until so many processes have written down that they run."""
    eventually(lambda: batch.noted().total() >= count, within_s=120)


def test_an_engine_that_is_killed_in_the_middle_loses_changes_and_repeats_nothing(shell: Shell, batch: Batch) -> None:
    gate = shell.cwd / "gate"
    prepare(batch, gate)
    submit(batch)
    resources = batch.resources()
    eventually(lambda: batch.described([batch.jobs["Terminated"]])[batch.jobs["Terminated"]]["status"] == "RUNNING")

    for number, count in enumerate((20, 60, 120, 180, 240, 300)):
        lines_at(batch, count)
        batch.look()
        if number == 1:
            batch.client.cancel_job(jobId=batch.jobs["Cancelled"], reason="not wanted any more")
            batch.client.terminate_job(jobId=batch.jobs["Terminated"], reason="ran too long")
        batch.submit(f"Late-{number}", "plain")
        if number == 3:
            shell("engine", "stop")
        else:
            shell.kill(shell.engine()["pid"])
        batch.come_back()
        batch.look()
        assert batch.resources() == resources

    gate.touch()
    jobs = list(batch.jobs.values())
    eventually(lambda: all(job["status"] in OVER for job in batch.described(jobs).values()), within_s=240)
    batch.look()
    assert_ended_as_it_must(batch)
    assert_ran_once(batch)
    assert most_at_once(batch) <= LICENCES


def assert_ended_as_it_must(batch: Batch) -> None:
    """Every job is in the status that its workflow says, and says why."""
    ends = {name: (batch.seen[job]["status"], batch.seen[job].get("statusReason")) for name, job in batch.jobs.items()}
    failed = {
        "Broken": ("FAILED", "Array Child Job failed"),
        "AfterBroken": ("FAILED", DEPENDENT),
        "Cancelled": ("FAILED", "not wanted any more"),
        "Terminated": ("FAILED", "ran too long"),
    }
    assert {name: end for name, end in ends.items() if end[0] == "FAILED"} == failed
    for name, size in batch.sizes.items():
        summary = batch.seen[batch.jobs[name]]["arrayProperties"]["statusSummary"]
        expected = {"Broken": 1, "AfterBroken": 2}.get(name, 0)
        assert (summary["SUCCEEDED"], summary["FAILED"]) == (size - expected, expected)


def assert_ran_once(batch: Batch) -> None:
    """Every index ran once, but for the one that is retried, and what was never to run did not."""
    never = {"AfterBroken", "Cancelled"}
    expected: Counter[str] = Counter()
    for name, job in batch.jobs.items():
        if name in never:
            continue
        size = batch.sizes.get(name)
        expected.update([f"{job} 1"] if size is None else [f"{job}:{index} 1" for index in range(size)])
    stubborn = f"{batch.jobs['JobB']}:{STUBBORN}"
    expected.update([f"{stubborn} 2", f"{stubborn} 3"])
    assert batch.noted() == expected
    assert [attempt["container"]["exitCode"] for attempt in batch.seen[stubborn]["attempts"]] == [1, 1, 0]


def most_at_once(batch: Batch) -> int:
    """How many of the jobs with a licence ran at the same time, at most."""
    ran = [batch.seen[f"{batch.jobs[f'Shared-{share}']}:{index}"] for share in ("left", "right") for index in range(SHARED)]
    changes = sorted([(job["startedAt"], 1) for job in ran] + [(job["stoppedAt"], -1) for job in ran])
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most
