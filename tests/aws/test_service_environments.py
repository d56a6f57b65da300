"""What only service jobs have, kept as resources: service environments, their queues, and the quota shares of these."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.asking import ARN, ask, refused
from tests.aws.serving import Scripted
from tests.aws.test_queues import ACTION, POLICY, described, disable, service_environment


def test_a_queue_for_service_jobs_has_one_service_environment_and_its_own_actions(scripted: Scripted) -> None:
    service_environment(scripted)
    order = [{"order": 1, "serviceEnvironment": f"{ARN}:service-environment/training"}]
    action = ACTION | {"action": "TERMINATE", "reason": "MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE"}
    asked = {"jobQueueName": "s", "priority": 1, "serviceEnvironmentOrder": order}
    refused(scripted, "CreateJobQueue", "'CANCEL' is not TERMINATE", **asked, jobStateTimeLimitActions=[ACTION])
    refused(scripted, "CreateJobQueue", "which make it SAGEMAKER_TRAINING", **asked, jobQueueType="ECS")
    twice = {"serviceEnvironmentOrder": [*order, {"order": 2, "serviceEnvironment": "other"}]}
    refused(scripted, "CreateJobQueue", "2 service environments: a queue has one", **(asked | twice))
    ask(scripted, "CreateJobQueue", **asked, jobStateTimeLimitActions=[action], jobQueueType="SAGEMAKER_TRAINING")
    queue = described(scripted, "s")
    assert (queue["computeEnvironmentOrder"], queue["serviceEnvironmentOrder"], queue["jobQueueType"]) == ([], order, "SAGEMAKER_TRAINING")
    assert queue["jobStateTimeLimitActions"] == [action]


def test_service_environments_are_described_changed_and_deleted_when_nothing_needs_them(scripted: Scripted) -> None:
    service_environment(scripted)
    ask(scripted, "CreateJobQueue", jobQueueName="s", priority=1, serviceEnvironmentOrder=[{"order": 1, "serviceEnvironment": "training"}])
    limits = [{"maxCapacity": 9, "capacityUnit": "ml.m5.large"}]
    ask(scripted, "UpdateServiceEnvironment", serviceEnvironment="training", capacityLimits=limits)
    refused(scripted, "DeleteServiceEnvironment", "'training' is ENABLED: disable it first", serviceEnvironment="training")
    ask(scripted, "UpdateServiceEnvironment", serviceEnvironment=f"{ARN}:service-environment/training", state="DISABLED")
    refused(scripted, "DeleteServiceEnvironment", "used by job queue s", serviceEnvironment="training")
    scripted.restart()
    (one,) = ask(scripted, "DescribeServiceEnvironments", serviceEnvironments=["training", "nobody"])["serviceEnvironments"]
    assert (one["state"], one["status"], one["capacityLimits"], one["tags"]) == ("DISABLED", "VALID", limits, {})
    disable(scripted, "s")
    ask(scripted, "DeleteJobQueue", jobQueue="s")
    ask(scripted, "DeleteServiceEnvironment", serviceEnvironment="training")
    assert ask(scripted, "DescribeServiceEnvironments") == {"serviceEnvironments": []}


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ([], "at least one is needed"),
        ([{"maxCapacity": 1}], "capacityUnit: is required"),
        ([{"capacityUnit": "u"}], "maxCapacity: is required"),
        ([{"maxCapacity": -1, "capacityUnit": "u"}], "-1 is below 0"),
        ([{"maxCapacity": 1, "capacityUnit": ""}], "name an instance type"),
        ([{"maxCapacity": 1, "capacityUnit": "u"}] * 2, "'u' is limited twice"),
    ],
)
def test_capacity_limits_name_each_unit_once(scripted: Scripted, limits: list[Any], sentence: str) -> None:
    asked = {"serviceEnvironmentName": "x", "serviceEnvironmentType": "SAGEMAKER_TRAINING", "capacityLimits": limits}
    refused(scripted, "CreateServiceEnvironment", sentence, **asked)


# --- quota shares -----------------------------------------------------------------------------------------------------

SHARE: dict[str, Any] = {
    "jobQueue": "s",
    "capacityLimits": [{"maxCapacity": 2, "capacityUnit": "ml.m5.large"}],
    "resourceSharingConfiguration": {"strategy": "RESERVE"},
    "preemptionConfiguration": {"inSharePreemption": "ENABLED"},
}
TEAM = f"{ARN}:job-queue/s/quota-share/team"


@pytest.fixture
def quota(scripted: Scripted) -> Scripted:
    """With a queue that quota shares can belong to."""
    service_environment(scripted)
    ask(scripted, "CreateSchedulingPolicy", name="quota", quotaSharePolicy={"idleResourceAssignmentStrategy": "FIFO"})
    order = [{"order": 1, "serviceEnvironment": "training"}]
    ask(scripted, "CreateJobQueue", jobQueueName="s", priority=1, serviceEnvironmentOrder=order, schedulingPolicyArn=f"{POLICY}/quota")
    return scripted


def test_a_quota_share_lives_under_its_queue(quota: Scripted) -> None:
    assert ask(quota, "CreateQuotaShare", quotaShareName="team", **SHARE, tags={"a": "b"}) == {"quotaShareName": "team", "quotaShareArn": TEAM}
    change = {"resourceSharingConfiguration": {"strategy": "LEND_AND_BORROW"}, "preemptionConfiguration": {"inSharePreemption": "DISABLED"}}
    ask(quota, "UpdateQuotaShare", quotaShareArn=TEAM, state="DISABLED", **change)
    quota.restart()
    one = ask(quota, "DescribeQuotaShare", quotaShareArn=TEAM)
    assert one["resourceSharingConfiguration"] == {"strategy": "LEND_AND_BORROW", "borrowLimit": -1}
    assert (one["preemptionConfiguration"], one["state"], one["status"], one["tags"]) == (change["preemptionConfiguration"], "DISABLED", "VALID", {"a": "b"})
    assert (one["jobQueueArn"], one["capacityLimits"]) == (f"{ARN}:job-queue/s", SHARE["capacityLimits"])
    (listed,) = ask(quota, "ListQuotaShares", jobQueue="s")["quotaShares"]
    assert listed["quotaShareArn"] == TEAM


def test_quota_shares_are_paged_and_listed_by_queue(quota: Scripted) -> None:
    for name in ("c", "a", "b"):
        ask(quota, "CreateQuotaShare", quotaShareName=name, **SHARE)
    first = ask(quota, "ListQuotaShares", jobQueue=f"{ARN}:job-queue/s", maxResults=2)
    second = ask(quota, "ListQuotaShares", jobQueue="s", nextToken=first["nextToken"])
    assert [[one["quotaShareName"] for one in page["quotaShares"]] for page in (first, second)] == [["a", "b"], ["c"]]
    assert ask(quota, "ListQuotaShares", jobQueue="default") == {"quotaShares": []}
    refused(quota, "ListQuotaShares", "no job queue 'nobody'", jobQueue="nobody")


def test_a_quota_share_is_deleted_disabled_and_before_its_queue(quota: Scripted) -> None:
    ask(quota, "CreateQuotaShare", quotaShareName="team", **SHARE)
    refused(quota, "DeleteQuotaShare", "'team' is ENABLED: disable it first", quotaShareArn=TEAM)
    disable(quota, "s")
    refused(quota, "DeleteJobQueue", "has quota shares: delete team first", jobQueue="s")
    ask(quota, "UpdateQuotaShare", quotaShareArn=TEAM, state="DISABLED")
    ask(quota, "DeleteQuotaShare", quotaShareArn=TEAM)
    refused(quota, "DescribeQuotaShare", "no quota share", quotaShareArn=TEAM)
    ask(quota, "DeleteJobQueue", jobQueue="s")


def test_a_queue_has_at_most_twenty_quota_shares(quota: Scripted) -> None:
    for number in range(20):
        ask(quota, "CreateQuotaShare", quotaShareName=f"s{number}", **SHARE)
    refused(quota, "CreateQuotaShare", "'s' has 20 quota shares already", quotaShareName="s20", **SHARE)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"quotaShareName": ""}, "quotaShareName: '' is not a name"),
        ({"quotaShareName": "taken"}, "Object already exists"),
        ({"jobQueue": "default"}, "'default' has no scheduling policy with a quotaSharePolicy"),
        ({"jobQueue": "nobody"}, "no job queue 'nobody'"),
        ({"capacityLimits": []}, "at least one is needed"),
        ({"capacityLimits": [{"maxCapacity": 1, "capacityUnit": f"u{n}"} for n in range(6)]}, "6 are more than 5"),
        ({"resourceSharingConfiguration": {"strategy": "LEND", "borrowLimit": 5}}, "LEND_AND_BORROW alone, not with LEND"),
        ({"resourceSharingConfiguration": {"strategy": "LEND_AND_BORROW", "borrowLimit": -2}}, "-2 is below -1"),
        ({"state": "OFF"}, "'OFF' is not one of"),
    ],
)
def test_a_quota_share_that_cannot_be_meant_is_refused(quota: Scripted, members: dict[str, Any], sentence: str) -> None:
    ask(quota, "CreateQuotaShare", quotaShareName="taken", **SHARE)
    refused(quota, "CreateQuotaShare", sentence, **({"quotaShareName": "team"} | SHARE | members))


@pytest.mark.parametrize("arn", ["team", f"{ARN}:job-queue/s", f"{ARN}:quota-share/team", f"{ARN}:job-queue/s/quota-share/nobody"])
@pytest.mark.parametrize("operation", ["DescribeQuotaShare", "UpdateQuotaShare", "DeleteQuotaShare"])
def test_what_is_not_the_arn_of_a_quota_share_is_refused(quota: Scripted, operation: str, arn: str) -> None:
    refused(quota, operation, "ARN|no quota share", quotaShareArn=arn)
