"""Scheduling policies: made, changed, described and deleted by clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from spawn.api.aws.batch.paging import PAGE, described
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.errors import InvalidField
from spawn.domain.policies import SchedulingPolicy, Share
from spawn.engine import catalog_changes
from spawn.engine.tagging import checked_tags


def operations(door: Door) -> dict[str, Handler]:
    """CreateSchedulingPolicy, UpdateSchedulingPolicy, DeleteSchedulingPolicy, DescribeSchedulingPolicies and ListSchedulingPolicies."""
    return {
        "CreateSchedulingPolicy": partial(_create, door),
        "UpdateSchedulingPolicy": partial(_update, door),
        "DeleteSchedulingPolicy": partial(_delete, door),
        "DescribeSchedulingPolicies": partial(_describe, door),
        "ListSchedulingPolicies": partial(_list, door),
    }


def _create(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    policy = SchedulingPolicy(name=members["name"], **_content(members), tags=checked_tags(members.get("tags", {})))
    door.engine.call(lambda state: catalog_changes.create(state, policy))
    return {"name": policy.name, "arn": _arn(caller, policy)}


def _update(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name, changes = _name(members["arn"], "arn"), _content(members)
    door.engine.call(lambda state: catalog_changes.change(state, SchedulingPolicy, name, lambda policy: replace(policy, **changes)))
    return {}


def _delete(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _name(members["arn"], "arn")
    door.engine.call(lambda state: catalog_changes.delete(state, SchedulingPolicy, name))
    return {}


def _describe(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    arns = members["arns"]
    if len(arns) > PAGE:
        raise InvalidField("arns", f"{len(arns)} are more than the {PAGE} that can be described at once")
    known = door.records.catalog().policies
    names = dict.fromkeys(_name(arn, "arns") for arn in arns)
    return {"schedulingPolicies": [_shown(caller, known[name]) for name in names if name in known]}


def _list(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    policies, token = described("ListSchedulingPolicies", door.records.catalog().policies, members)
    return {"schedulingPolicies": [{"arn": _arn(caller, policy)} for policy in policies], "nextToken": token}


def _name(arn: str, field: str) -> str:
    if not arn.startswith("arn:"):
        raise InvalidField(field, f"'{arn[:200]}' is not the ARN of a scheduling policy")
    return name_in(arn, "scheduling-policy", field)


def _arn(caller: Caller, policy: SchedulingPolicy) -> str:
    return caller.arn(f"scheduling-policy/{policy.name}")


def _content(members: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of a policy, all of it anew: what a fairsharePolicy leaves out has its default. Nothing said: nothing."""
    if "fairsharePolicy" in members and "quotaSharePolicy" in members:
        raise InvalidField("quotaSharePolicy", "a policy has a fairsharePolicy or a quotaSharePolicy, not both")
    if "quotaSharePolicy" in members:
        return {"quota": members["quotaSharePolicy"]["idleResourceAssignmentStrategy"]}
    if "fairsharePolicy" not in members:
        return {}
    fair = members["fairsharePolicy"]
    shares = (Share(identifier=entry["shareIdentifier"], weight=float(entry.get("weightFactor", 1.0))) for entry in fair.get("shareDistribution", ()))
    return {
        "quota": None,
        "decay": timedelta(seconds=fair.get("shareDecaySeconds", 0)),
        "reservation": fair.get("computeReservation", 0),
        "shares": tuple(shares),
    }


def _shown(caller: Caller, policy: SchedulingPolicy) -> dict[str, Any]:
    fair = {
        "shareDecaySeconds": round(policy.decay.total_seconds()),
        "computeReservation": policy.reservation,
        "shareDistribution": [{"shareIdentifier": share.identifier, "weightFactor": share.weight} for share in policy.shares],
    }
    return {
        "name": policy.name,
        "arn": _arn(caller, policy),
        "fairsharePolicy": fair if policy.quota is None else None,
        "quotaSharePolicy": None if policy.quota is None else {"idleResourceAssignmentStrategy": policy.quota},
        "tags": dict(policy.tags),
    }
