"""Quota shares of queues for service jobs: kept and shown, as AWS Batch does; service jobs do not run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from spawn.api.aws.batch.paging import described
from spawn.api.aws.batch.service_environments import capacity_limits, read_changes, shown_limits
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.catalog import Catalog
from spawn.domain.errors import InvalidField
from spawn.domain.queues import JobQueue, Switch
from spawn.domain.services import UNLIMITED, QuotaShare, Sharing
from spawn.engine import catalog_changes
from spawn.engine.tagging import checked_tags

_PREEMPTION: Final = {"ENABLED": True, "DISABLED": False}


def operations(door: Door) -> dict[str, Handler]:
    """CreateQuotaShare, UpdateQuotaShare, DeleteQuotaShare, DescribeQuotaShare and ListQuotaShares."""
    return {
        "CreateQuotaShare": partial(_create, door),
        "UpdateQuotaShare": partial(_update, door),
        "DeleteQuotaShare": partial(_delete, door),
        "DescribeQuotaShare": partial(_describe, door),
        "ListQuotaShares": partial(_list, door),
    }


def share_arn(caller: Caller, share: QuotaShare) -> str:
    """The ARN of a quota share: its name after that of its queue."""
    return caller.arn(f"job-queue/{share.name}")


def _create(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    share = QuotaShare(
        queue=name_in(members["jobQueue"], "job-queue", "jobQueue"),
        share=members["quotaShareName"],
        limits=capacity_limits(members["capacityLimits"]),
        **_sharing(members["resourceSharingConfiguration"]),
        preempts=_PREEMPTION[members["preemptionConfiguration"]["inSharePreemption"]],
        state=Switch(members.get("state", Switch.ENABLED.value)),
        tags=checked_tags(members.get("tags", {})),
    )
    door.engine.call(lambda state: catalog_changes.create(state, share))
    return _reference(caller, share)


def _update(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    changes = read_changes(members)
    if "resourceSharingConfiguration" in members:
        changes |= _sharing(members["resourceSharingConfiguration"])
    if "preemptionConfiguration" in members:
        changes["preempts"] = _PREEMPTION[members["preemptionConfiguration"]["inSharePreemption"]]
    name = _name(members)
    changed = door.engine.call(lambda state: catalog_changes.change(state, QuotaShare, name, lambda share: replace(share, **changes)))
    return _reference(caller, changed)


def _delete(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _name(members)
    door.engine.call(lambda state: catalog_changes.delete(state, QuotaShare, name))
    return {}


def _describe(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    share = door.records.catalog().find(QuotaShare, _name(members))
    return _shown(caller, share) | {"tags": dict(share.tags)}


def _list(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    catalog: Catalog = door.records.catalog()
    queue = catalog.find(JobQueue, name_in(members["jobQueue"], "job-queue", "jobQueue"))
    known = {name: share for name, share in catalog.quota_shares.items() if share.queue == queue.name}
    shares, token = described("ListQuotaShares", known, members)
    return {"quotaShares": [_shown(caller, share) for share in shares], "nextToken": token}


def _name(members: Mapping[str, Any]) -> str:
    arn: str = members["quotaShareArn"]
    name = name_in(arn, "job-queue", "quotaShareArn")
    if not arn.startswith("arn:") or "/quota-share/" not in name:
        raise InvalidField("quotaShareArn", f"'{arn[:200]}' is not the ARN of a quota share")
    return name


def _sharing(configuration: Mapping[str, Any]) -> dict[str, Any]:
    sharing = Sharing(configuration["strategy"])
    default = UNLIMITED if sharing is Sharing.LEND_AND_BORROW else None
    return {"sharing": sharing, "borrow_limit": configuration.get("borrowLimit", default)}


def _reference(caller: Caller, share: QuotaShare) -> dict[str, Any]:
    return {"quotaShareName": share.share, "quotaShareArn": share_arn(caller, share)}


def _shown(caller: Caller, share: QuotaShare) -> dict[str, Any]:
    return _reference(caller, share) | {
        "jobQueueArn": caller.arn(f"job-queue/{share.queue}"),
        "capacityLimits": shown_limits(share.limits),
        "resourceSharingConfiguration": {"strategy": share.sharing.value, "borrowLimit": share.borrow_limit},
        "preemptionConfiguration": {"inSharePreemption": "ENABLED" if share.preempts else "DISABLED"},
        "state": share.state.value,
        "status": share.status.value,
    }
