"""Consumable resources: made, changed, listed and deleted by clients, and the jobs that take from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from spawn.api.aws.batch.paging import asked_page, described, token_of
from spawn.api.aws.callers import Caller, Handler, name_in
from spawn.api.aws.doors import Door
from spawn.domain.consumables import ConsumableResource, Consumption, Operation, Update
from spawn.domain.errors import InvalidField
from spawn.domain.states import Status
from spawn.engine import catalog_changes
from spawn.engine.catalog_changes import Stock
from spawn.engine.state import EngineState
from spawn.engine.tagging import checked_tags

_LIST_JOBS: Final = "ListJobsByConsumableResource"
_ROWS_AT_ONCE: Final = 500


def operations(door: Door) -> dict[str, Handler]:
    """Create, Update, Delete, Describe and List of consumable resources, and ListJobsByConsumableResource."""
    return {
        "CreateConsumableResource": partial(_create, door),
        "UpdateConsumableResource": partial(_update, door),
        "DeleteConsumableResource": partial(_delete, door),
        "DescribeConsumableResource": partial(_describe, door),
        "ListConsumableResources": partial(_list, door),
        _LIST_JOBS: partial(_list_jobs, door),
    }


def _create(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = members.get("resourceType", Consumption.REPLENISHABLE.value)
    kinds = {kind.value: kind for kind in Consumption}
    if wanted not in kinds:
        raise InvalidField("resourceType", f"'{wanted[:60]}' is not one of {', '.join(kinds)}")

    def make(state: EngineState) -> ConsumableResource:
        resource = ConsumableResource(
            name=members["consumableResourceName"],
            total=members.get("totalQuantity", 0),
            consumption=kinds[wanted],
            created_at=state.now,
            tags=checked_tags(members.get("tags", {})),
        )
        catalog_changes.create(state, resource)
        return resource

    return _reference(caller, door.engine.call(make))


def _update(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {operation.value: operation for operation in Operation}
    operation = members.get("operation", Operation.SET.value)
    if operation not in known:
        raise InvalidField("operation", f"'{operation[:60]}' is not one of {', '.join(known)}")
    if "quantity" not in members:
        raise InvalidField("quantity", "is required, and missing")
    name = _name(members)

    def change(state: EngineState) -> ConsumableResource:
        update = Update(operation=known[operation], quantity=members["quantity"], token=members.get("clientToken"), at=state.now)
        return catalog_changes.change(state, ConsumableResource, name, lambda resource: resource.updated(update))

    changed = door.engine.call(change)
    return _reference(caller, changed) | {"totalQuantity": changed.remaining}


def _delete(door: Door, _: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _name(members)
    door.engine.call(lambda state: catalog_changes.delete(state, ConsumableResource, name))
    return {}


def _describe(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _name(members)
    stock = door.engine.call(lambda state: catalog_changes.stock(state, name))
    return _summary(caller, stock) | {
        "availableQuantity": max(0, stock.resource.remaining - stock.in_use),
        "createdAt": stock.resource.created_at,
        "tags": dict(stock.resource.tags),
    }


def _list(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    filters = _filters(members, ("CONSUMABLE_RESOURCE_NAME",))
    known = {stock.resource.name: stock for stock in door.engine.call(catalog_changes.stocks)}
    fitting = {name: stock for name, stock in known.items() if all(_fits(name, values) for _, values in filters)}
    stocks, token = described("ListConsumableResources", fitting, members)
    return {"consumableResources": [_summary(caller, stock) for stock in stocks], "nextToken": token}


def _list_jobs(door: Door, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oldest first. A resource that is gone still has its jobs: they wait for it to be made again."""
    page = asked_page(_LIST_JOBS, members, (int, int))
    filters = _filters(members, ("JOB_STATUS", "JOB_NAME"))
    name = _name(members)
    found: list[Any] = []
    for row in _rows(door, name, page.after or (-1, -1)):
        if all(_fits(_status(row) if of == "JOB_STATUS" else row["name"], values) for of, values in filters):
            found.append(row)
        if len(found) > page.most:
            break
    jobs = found[: page.most]
    token = token_of(_LIST_JOBS, jobs[-1]["created_at"], jobs[-1]["key"]) if len(found) > page.most else None
    return {"jobs": [_job(caller, row, name) for row in jobs], "nextToken": token}


def _rows(door: Door, name: str, after: tuple[int, int]) -> Iterator[Any]:
    while True:
        created_at, key = after
        rows = door.records.read("jobs_consuming", {"quoted": f'"{name}"', "created_at": created_at, "key": key, "most": _ROWS_AT_ONCE})
        yield from rows
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1]["created_at"], rows[-1]["key"]


def _name(members: Mapping[str, Any]) -> str:
    return name_in(members["consumableResource"], "consumable-resource", "consumableResource")


def _filters(members: Mapping[str, Any], known: tuple[str, ...]) -> list[tuple[str, Sequence[str]]]:
    filters = [(one.get("name", ""), one.get("values", ())) for one in members.get("filters", ())]
    for name, values in filters:
        if name not in known:
            raise InvalidField("filters", f"'{name[:60]}' is not one of {', '.join(known)}")
        if not values:
            raise InvalidField("filters", f"{name} has no values")
        if name == "JOB_STATUS" and (unknown := [value for value in values if value not in Status.__members__]):
            raise InvalidField("filters", f"'{unknown[0][:60]}' is not one of {', '.join(Status.__members__)}")
    return filters


def _fits(text: str, values: Sequence[str]) -> bool:
    """Whether a text is one of these values, in any case; `*` at the end of one: begins so."""
    text = text.lower()
    return any(text.startswith(value[:-1].lower()) if value.endswith("*") else text == value.lower() for value in values)


def _status(row: Any) -> str:
    return Status(row["status"]).name


def _reference(caller: Caller, resource: ConsumableResource) -> dict[str, Any]:
    return {
        "consumableResourceName": resource.name,
        "consumableResourceArn": caller.arn(f"consumable-resource/{resource.name}"),
    }


def _summary(caller: Caller, stock: Stock) -> dict[str, Any]:
    return _reference(caller, stock.resource) | {
        "totalQuantity": stock.resource.remaining,
        "inUseQuantity": stock.in_use,
        "resourceType": stock.resource.consumption.value,
    }


def _job(caller: Caller, row: Any, name: str) -> dict[str, Any]:
    quantities = json.loads(row["consumables"])
    required = [{"consumableResource": caller.arn(f"consumable-resource/{one}"), "quantity": quantity} for one, quantity in quantities.items()]
    return {
        "jobArn": caller.arn(f"job/{row['id']}"),
        "jobQueueArn": caller.arn(f"job-queue/{row['queue']}"),
        "jobName": row["name"],
        "jobDefinitionArn": caller.arn(f"job-definition/{row['definition']}"),
        "shareIdentifier": row["share"],
        "jobStatus": _status(row),
        "quantity": quantities[name],
        "statusReason": row["reason"],
        "startedAt": row["started_at"],
        "createdAt": row["created_at"],
        "consumableResourceProperties": {"consumableResourceList": required},
    }
