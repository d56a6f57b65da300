"""Scheduling policies through the door."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.asking import ARN, ask, refused
from tests.aws.serving import Scripted

FAIR: dict[str, Any] = {
    "shareDecaySeconds": 3600,
    "computeReservation": 50,
    "shareDistribution": [{"shareIdentifier": "UserA*", "weightFactor": 0.125}, {"shareIdentifier": "UserB"}],
}
QUOTA = {"idleResourceAssignmentStrategy": "FIFO"}


def arn(name: str) -> str:
    return f"{ARN}:scheduling-policy/{name}"


def described(served: Scripted, name: str) -> dict[str, Any]:
    (one,) = ask(served, "DescribeSchedulingPolicies", arns=[arn(name)])["schedulingPolicies"]
    found: dict[str, Any] = one
    return found


def test_a_fair_share_policy_is_described_as_given_with_default_weights(scripted: Scripted) -> None:
    assert ask(scripted, "CreateSchedulingPolicy", name="fair", fairsharePolicy=FAIR, tags={"a": "b"}) == {"name": "fair", "arn": arn("fair")}
    shares = [{"shareIdentifier": "UserA*", "weightFactor": 0.125}, {"shareIdentifier": "UserB", "weightFactor": 1.0}]
    one = described(scripted, "fair")
    assert one == {"name": "fair", "arn": arn("fair"), "fairsharePolicy": FAIR | {"shareDistribution": shares}, "tags": {"a": "b"}}


def test_a_policy_that_says_nothing_shares_evenly(scripted: Scripted) -> None:
    ask(scripted, "CreateSchedulingPolicy", name="fair")
    assert described(scripted, "fair")["fairsharePolicy"] == {"shareDecaySeconds": 0, "computeReservation": 0, "shareDistribution": []}


def test_a_policy_for_quota_shares_is_kept_as_that(scripted: Scripted) -> None:
    ask(scripted, "CreateSchedulingPolicy", name="quota", quotaSharePolicy=QUOTA)
    one = described(scripted, "quota")
    assert (one["quotaSharePolicy"], "fairsharePolicy" in one) == (QUOTA, False)
    refused(scripted, "UpdateSchedulingPolicy", "cannot change between fair shares and quota shares", arn=arn("quota"), fairsharePolicy=FAIR)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"name": "a b"}, "'a b' is not a name"),
        ({"name": "taken"}, "Object already exists: there is a scheduling policy 'taken' already"),
        ({"quotaSharePolicy": QUOTA}, "not both"),
        ({"fairsharePolicy": {"shareDecaySeconds": -1}}, "-1 is not between 0 and 604800"),
        ({"fairsharePolicy": {"shareDecaySeconds": 604_801}}, "604801 is not between"),
        ({"fairsharePolicy": {"computeReservation": 100}}, "100 is not between 0 and 99"),
        ({"fairsharePolicy": {"computeReservation": -1}}, "-1 is not between 0 and 99"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 0.00001}]}}, "1e-05 is not between 0.0001 and 999.9999"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 1000}]}}, "1000 is not between"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "a_b"}]}}, "'a_b' is not 1 to 255 letters and digits"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "a*b"}]}}, "'a\\*b' is not"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": ""}]}}, "'' is not"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "a" * 256}]}}, "is not 1 to 255"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": "UserA*"}, {"shareIdentifier": "UserA1"}]}}, "'UserA\\*' and 'UserA1' overlap"),
        ({"fairsharePolicy": {"shareDistribution": [{"shareIdentifier": f"s{n}x"} for n in range(501)]}}, "501 shares are more than 500"),
        ({"tags": {"aws:a": ""}}, "reserved"),
    ],
)
def test_what_cannot_be_meant_is_refused(scripted: Scripted, members: dict[str, Any], sentence: str) -> None:
    ask(scripted, "CreateSchedulingPolicy", name="taken")
    refused(scripted, "CreateSchedulingPolicy", sentence, **({"name": "mine", "fairsharePolicy": FAIR} | members))
    assert ask(scripted, "ListSchedulingPolicies") == {"schedulingPolicies": [{"arn": arn("taken")}]}


def test_an_update_says_all_of_a_policy_anew(scripted: Scripted) -> None:
    ask(scripted, "CreateSchedulingPolicy", name="fair", fairsharePolicy=FAIR, tags={"a": "b"})
    assert ask(scripted, "UpdateSchedulingPolicy", arn=arn("fair"), fairsharePolicy={"computeReservation": 10}) == {}
    scripted.restart()
    one = described(scripted, "fair")
    assert one["fairsharePolicy"] == {"shareDecaySeconds": 0, "computeReservation": 10, "shareDistribution": []}
    assert one["tags"] == {"a": "b"}
    refused(scripted, "UpdateSchedulingPolicy", "cannot change between", arn=arn("fair"), quotaSharePolicy=QUOTA)
    refused(scripted, "UpdateSchedulingPolicy", "no scheduling policy 'other'", arn=arn("other"))
    refused(scripted, "UpdateSchedulingPolicy", "'fair' is not the ARN of a scheduling policy", arn="fair")


def test_a_policy_is_not_deleted_while_a_queue_uses_it(scripted: Scripted) -> None:
    for name in ("one", "two"):
        ask(scripted, "CreateSchedulingPolicy", name=name)
    order = [{"order": 1, "computeEnvironment": "local"}]
    ask(scripted, "CreateJobQueue", jobQueueName="q", priority=1, computeEnvironmentOrder=order, schedulingPolicyArn=arn("one"))
    refused(scripted, "DeleteSchedulingPolicy", "'one' is used by job queue q", arn=arn("one"))
    ask(scripted, "UpdateJobQueue", jobQueue="q", schedulingPolicyArn=arn("two"))
    assert ask(scripted, "DeleteSchedulingPolicy", arn=arn("one")) == {}
    refused(scripted, "DeleteSchedulingPolicy", "no scheduling policy 'one'", arn=arn("one"))


def test_policies_are_listed_by_pages_and_described_by_arn(scripted: Scripted) -> None:
    for name in ("c", "a", "b"):
        ask(scripted, "CreateSchedulingPolicy", name=name)
    first = ask(scripted, "ListSchedulingPolicies", maxResults=2)
    second = ask(scripted, "ListSchedulingPolicies", nextToken=first["nextToken"])
    assert [[one["arn"] for one in page["schedulingPolicies"]] for page in (first, second)] == [[arn("a"), arn("b")], [arn("c")]]
    found = ask(scripted, "DescribeSchedulingPolicies", arns=[arn("c"), arn("nobody"), arn("a"), arn("c")])["schedulingPolicies"]
    assert [one["name"] for one in found] == ["c", "a"]
    refused(scripted, "DescribeSchedulingPolicies", "101 are more than the 100", arns=[arn("a")] * 101)
    refused(scripted, "DescribeSchedulingPolicies", "is not the ARN of a scheduling policy", arns=["a"])
