"""A new engine on the store of the one before: what clients are told of jobs is what they were told, and all goes on as it would have.

`SPAWN_STORIES=60` tells more of them.
"""

from __future__ import annotations

import os
import random
from typing import Any, Final

import pytest

from tests.aws.contract.world import ARN, REASON, Json, World

STEPS: Final = 40
SEEDS: Final = int(os.environ.get("SPAWN_STORIES", "4"))
STATUSES: Final = ("PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
OVER: Final = {"SUCCEEDED", "FAILED"}


class Story:
    """A random course of things, the same for the same seed: submissions of every kind, attempts that begin and end, and jobs that are stopped."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.jobs: list[tuple[str, int | None]] = []
        world.played.provider.slots = 4
        world.call("CreateSchedulingPolicy", name="fair", fairsharePolicy={"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 2.0}]})
        order = [{"order": 1, "computeEnvironment": "local"}]
        world.call("CreateJobQueue", jobQueueName="shared", priority=2, computeEnvironmentOrder=order, schedulingPolicyArn=f"{ARN}:scheduling-policy/fair")
        world.call("CreateConsumableResource", consumableResourceName="licence", totalQuantity=2)

    def step(self) -> None:
        """Let one thing happen."""
        self.world.played.clock.advance(self.dice.randrange(1, 4))
        self.dice.choice([self.submit, self.submit, self.begin, self.begin, self.end, self.end, self.end, self.stop])()

    def submit(self) -> None:
        """A single job or an array, after others or not, in one queue or the other, with licences or without."""
        size = self.dice.choice([None, 2, 3])
        members: Json = {
            "retryStrategy": {"attempts": self.dice.randrange(1, 4)},
            "tags": {"n": str(len(self.jobs))},
            "timeout": {"attemptDurationSeconds": 600},
        }
        after: list[Json] = []
        for _ in range(self.dice.choice([0, 0, 1, 2]) if self.jobs else 0):
            job, other = self.dice.choice(self.jobs)
            kind: Json = {"type": "N_TO_N"} if size == other and size is not None and self.dice.random() < 0.5 else {}
            child = "" if kind or other is None or self.dice.random() < 0.7 else f":{self.dice.randrange(other)}"
            after.append({"jobId": job + child} | kind)
        if size is not None and self.dice.random() < 0.3:
            after.append({"type": "SEQUENTIAL"})
        if self.dice.random() < 0.4:
            members |= {"jobQueue": "shared", "shareIdentifier": self.dice.choice("ab"), "schedulingPriorityOverride": self.dice.randrange(3)}
        if self.dice.random() < 0.4:
            members["consumableResourcePropertiesOverride"] = {"consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]}
        self.jobs.append((self.world.submit(size, after=after, **members), size))

    def under_way(self, status: str) -> str | None:
        """Any job or child in a status."""
        found = [job["jobId"] for job in self.described() if job["status"] == status and "size" not in job.get("arrayProperties", {})]
        return self.dice.choice(found) if found else None

    def begin(self) -> None:
        """The process of an attempt runs."""
        job = self.under_way("STARTING")
        if job is not None:
            self.world.begin(job)

    def end(self) -> None:
        """The process of an attempt ends: often well, sometimes badly, or because it was told to."""
        job = self.under_way("RUNNING")
        if job is None:
            return
        if self.world.under_way(job) in self.world.played.provider.stopped:
            self.world.end(job, code=None, signal=15, why="stopped")
        else:
            self.world.end(job, code=self.dice.choice([0, 0, 1]))

    def stop(self) -> None:
        """A job or a child is cancelled or terminated."""
        if self.jobs and self.dice.random() < 0.6:
            job, size = self.dice.choice(self.jobs)
            child = "" if size is None or self.dice.random() < 0.5 else f":{self.dice.randrange(size)}"
            self.world.call(self.dice.choice(["CancelJob", "TerminateJob"]), jobId=job + child, reason=REASON)

    def described(self) -> list[Json]:
        """All jobs and children, in the order in which they were submitted."""
        ids = [one for job, size in self.jobs for one in [job, *(f"{job}:{index}" for index in range(size or 0))]]
        return [job for start in range(0, len(ids), 100) for job in self.world.call("DescribeJobs", jobs=ids[start : start + 100])["jobs"]]

    def told(self) -> list[Any]:
        """Everything that clients can ask for."""
        lists = [self.world.call("ListJobs", jobQueue=queue, jobStatus=status) for queue in ("default", "shared") for status in STATUSES]
        resources = [self.world.call(f"Describe{kind}") for kind in ("JobQueues", "ComputeEnvironments", "JobDefinitions")]
        return [self.described(), lists, resources, self.world.call("DescribeConsumableResource", consumableResource="licence")]

    def finish(self) -> None:
        """Let everything come to its end."""
        for _ in range(1000):
            running = self.world.played.running()
            if not running:
                return
            begun = [job["jobId"] for job in self.described() if job["status"] == "STARTING" and "size" not in job.get("arrayProperties", {})]
            if begun:
                self.world.begin(*begun)
            self.world.played.clock.advance(5)
            for job in [job["jobId"] for job in self.described() if job["status"] == "RUNNING"]:
                stopped = self.world.under_way(job) in self.world.played.provider.stopped
                self.world.end(job, **({"code": None, "signal": 15, "why": "stopped"} if stopped else {"code": 0}))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_restart_at_any_moment_changes_nothing_that_is_told(world: World, seed: int) -> None:
    story = Story(world, seed)
    for number in range(STEPS):
        story.step()
        if number % 5 == seed % 5:
            before = story.told()
            world.restart()
            assert story.told() == before
            assert_parents_follow_their_children(story)
            assert_lists_agree_with_descriptions(story)
            assert_licences_are_counted(story)
    story.finish()
    assert {job["status"] for job in story.described()} <= OVER
    assert_parents_follow_their_children(story)
    assert_lists_agree_with_descriptions(story)
    assert_dependencies_were_kept(story)
    started = world.played.provider.started
    assert len(started) == len(set(started))
    assert world.call("DescribeConsumableResource", consumableResource="licence")["availableQuantity"] == 2


def assert_parents_follow_their_children(story: Story) -> None:
    """A parent counts its children; it is over when all of them are, and has failed if one has."""
    described = {job["jobId"]: job for job in story.described()}
    for job, size in story.jobs:
        shown = described[job]
        assert ("stoppedAt" in shown) == (shown["status"] in OVER)
        if size is None:
            continue
        statuses = [described[f"{job}:{index}"]["status"] for index in range(size)]
        assert shown["arrayProperties"]["statusSummary"] == {"SUBMITTED": 0} | {status: statuses.count(status) for status in STATUSES}
        over = "FAILED" if "FAILED" in statuses else "SUCCEEDED"
        assert shown["status"] == (over if set(statuses) <= OVER else "PENDING")


def assert_lists_agree_with_descriptions(story: Story) -> None:
    """Jobs and children are listed in the status, with the reason and at the times, that they are described with."""
    members = ("status", "statusReason", "createdAt", "startedAt", "stoppedAt")
    described = {job["jobId"]: {name: job.get(name) for name in members} for job in story.described()}
    listed = {}
    scopes = [{"jobQueue": queue} for queue in ("default", "shared")] + [{"arrayJobId": job} for job, size in story.jobs if size is not None]
    for scope in scopes:
        for status in STATUSES:
            for job in story.world.call("ListJobs", **scope, jobStatus=status)["jobSummaryList"]:
                assert job["jobId"] not in listed
                listed[job["jobId"]] = {name: job.get(name) for name in members}
    assert listed == described


def assert_licences_are_counted(story: Story) -> None:
    """As many licences are in use as jobs with one are under way, and never more than there are."""
    takers = [job for job in story.described() if "size" not in job.get("arrayProperties", {}) and job.get("consumableResourceProperties")]
    under_way = sum(job["status"] in ("STARTING", "RUNNING") for job in takers)
    licence = story.world.call("DescribeConsumableResource", consumableResource="licence")
    assert licence["inUseQuantity"] == under_way <= licence["totalQuantity"]


def assert_dependencies_were_kept(story: Story) -> None:
    """Whatever ran had all that it waited for; whatever waited for something that failed never ran, and says so unless it was stopped."""
    described = {job["jobId"]: job for job in story.described()}
    for shown in described.values():
        if "size" in shown.get("arrayProperties", {}):
            continue
        before = {described[entry["jobId"]]["status"] for entry in shown["dependsOn"]}
        if shown["attempts"]:
            assert before <= {"SUCCEEDED"}
        elif not (shown["isCancelled"] or shown["isTerminated"]):
            assert (shown["status"], shown["statusReason"]) == ("FAILED", "Dependent Job failed")
            assert "FAILED" in before
