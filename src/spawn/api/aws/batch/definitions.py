"""Job definitions: RegisterJobDefinition, DescribeJobDefinitions and DeregisterJobDefinition."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from spawn.api.aws.batch.containers import read_container, show_properties
from spawn.api.aws.batch.paging import PAGE, asked_page, token_of
from spawn.api.aws.batch.requirements import read_consumables, show_consumables
from spawn.api.aws.batch.retries import read_retry_strategy, read_timeout, show_retry_strategy, show_timeout
from spawn.api.aws.batch.tasks import check_task, container_properties
from spawn.api.aws.callers import Caller, Handler
from spawn.api.aws.doors import Door
from spawn.domain.definitions import (
    Container,
    DefinitionReference,
    DefinitionStatus,
    DefinitionType,
    JobDefinition,
    Orchestration,
    check_deregister,
    is_gone,
    next_revision,
)
from spawn.domain.errors import InvalidField, NotFound, UsageError
from spawn.domain.instants import Instant
from spawn.domain.submission_rules import check_definition_payload, check_priority, check_tags
from spawn.engine.ports import Records
from spawn.engine.state import EngineState

_PROPERTIES: Final = ("containerProperties", "ecsProperties", "eksProperties", "nodeProperties")
_LIST: Final = "DescribeJobDefinitions"
_FIRST: Final = ("", sys.maxsize)


def operations(door: Door) -> dict[str, Handler]:
    """The operations on job definitions."""
    return {
        "RegisterJobDefinition": lambda caller, asked: register(door, caller, asked),
        "DescribeJobDefinitions": lambda caller, asked: describe(door, caller, asked),
        "DeregisterJobDefinition": lambda _, asked: deregister(door, asked),
    }


def register(door: Door, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep a new revision. Its number is given in the engine's thread: two at once never get the same."""
    draft = read_definition(asked)
    definition = door.engine.call(lambda state: keep_revision(state, door.records, draft))
    return {"jobDefinitionName": definition.name, "jobDefinitionArn": arn_of(caller, definition), "revision": definition.revision}


def keep_revision(state: EngineState, records: Records, draft: JobDefinition) -> JobDefinition:
    """Give a definition the next revision of its name, and keep it. For the engine's thread."""
    kept = [revision for (revision,) in records.read("last_revision", (draft.name,))]
    new = [one.revision for one in state.batch.definitions if one.name == draft.name]
    definition = replace(draft, revision=next_revision([*kept, *new]))
    state.batch.definitions.append(definition)
    return definition


def deregister(door: Door, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a revision INACTIVE. Again: nothing."""
    reference = DefinitionReference.parse(asked["jobDefinition"])
    revision = check_deregister(reference)

    def make_inactive(state: EngineState) -> None:
        fresh = [one for one in state.batch.definitions if (one.name, one.revision) == (reference.name, revision)]
        found = fresh or door.records.definitions("definition_of", (reference.name, revision))
        if not found or is_gone(found[-1], state.now):
            raise NotFound(f"JobDefinition {reference} not found.")
        if found[-1].status is DefinitionStatus.ACTIVE:
            state.batch.definitions.append(found[-1].deregistered(state.now))

    door.engine.call(make_inactive)
    return {}


def describe(door: Door, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those that are named, or all of them page by page: by name, the newest revision first."""
    now = door.clock.now()
    active = _read_status(asked.get("status"))
    if "jobDefinitions" in asked:
        named = _named(door.records, asked["jobDefinitions"], now)
        wanted = [one for one in named if active is None or (one.status is DefinitionStatus.ACTIVE) is active]
        return {"jobDefinitions": [show_definition(caller, one) for one in wanted]}
    page = asked_page(_LIST, asked, (str, int))
    name, before = page.after or _FIRST
    parameters: dict[str, object] = {"name": asked.get("jobDefinitionName", name), "before": before, "now": now, "active": active, "most": page.most + 1}
    query = "definitions_of" if "jobDefinitionName" in asked else "definitions"
    found = door.records.definitions(query, parameters)
    shown = found[: page.most]
    token = token_of(_LIST, shown[-1].name, shown[-1].revision) if len(found) > page.most else None
    return {"jobDefinitions": [show_definition(caller, one) for one in shown], "nextToken": token}


# --- reading ----------------------------------------------------------------------------------------------------------


def read_definition(asked: Mapping[str, Any]) -> JobDefinition:
    """The definition that a RegisterJobDefinition describes, as revision 1; whatever is wrong with it is refused."""
    check_definition_payload(len(msgspec.json.encode(asked)))
    check_tags(asked.get("tags", {}))
    check_priority(asked.get("schedulingPriority"), field="schedulingPriority")
    kind = DefinitionType(asked["type"])
    shown = {name: asked[name] for name in _PROPERTIES if name in asked}
    container = _read_container(kind, shown)
    return JobDefinition(
        name=asked["jobDefinitionName"],
        revision=1,
        type=kind,
        orchestration=Orchestration.EKS if "eksProperties" in shown else Orchestration.ECS,
        container=container,
        parameters=asked.get("parameters", {}),
        retry=read_retry_strategy(asked["retryStrategy"]) if "retryStrategy" in asked else None,
        timeout=read_timeout(asked.get("timeout")),
        scheduling_priority=asked.get("schedulingPriority"),
        propagate_tags=asked.get("propagateTags"),
        platform_capabilities=tuple(asked.get("platformCapabilities", ())),
        consumables=read_consumables(asked.get("consumableResourceProperties")),
        tags=asked.get("tags", {}),
        shown=shown,
    )


def _read_container(kind: DefinitionType, shown: Mapping[str, Any]) -> Container | None:
    if kind is DefinitionType.MULTINODE:
        if set(shown) != {"nodeProperties"}:
            raise UsageError("A job definition of the type multinode has nodeProperties, and no other properties")
        _check_nodes(shown["nodeProperties"])
        return None
    if not shown:
        raise UsageError("Error executing request, Exception : Container properties should not be empty")
    if "nodeProperties" in shown or len(shown) > 1:
        raise UsageError(f"A job definition of the type container has one of {', '.join(_PROPERTIES[:3])}, and this one has {' and '.join(shown)}")
    if "containerProperties" in shown:
        return read_container(shown["containerProperties"])
    if "ecsProperties" in shown:
        check_task(shown["ecsProperties"])
        flat = container_properties(shown["ecsProperties"])
        return read_container(flat) if flat else None
    return None


def _check_nodes(properties: Mapping[str, Any]) -> None:
    nodes, main = properties["numNodes"], properties["mainNode"]
    if nodes < 1:
        raise InvalidField("nodeProperties.numNodes", f"{nodes} is not 1 or more")
    if not 0 <= main < nodes:
        raise InvalidField("nodeProperties.mainNode", f"{main} is not the index of one of {nodes} nodes")
    if not properties["nodeRangeProperties"]:
        raise InvalidField("nodeProperties.nodeRangeProperties", "no node has properties")


def _read_status(status: str | None) -> bool | None:
    if status is not None and status not in DefinitionStatus.__members__:
        raise InvalidField("status", f"'{status[:60]}' is not a status: ACTIVE or INACTIVE")
    return None if status is None else status == DefinitionStatus.ACTIVE.value


def _named(records: Records, references: list[str], now: Instant) -> list[JobDefinition]:
    """Those that exist, in the order they were asked for; all revisions of a name without one."""
    if len(references) > PAGE:
        raise InvalidField("jobDefinitions", f"{len(references)} are more than the {PAGE} that can be described at once")
    found: dict[tuple[str, int], JobDefinition] = {}
    for text in references:
        reference = DefinitionReference.parse(text)
        one = reference.revision is not None
        matching = records.definitions("definition_of", (reference.name, reference.revision)) if one else records.revisions(reference.name)
        found |= {(definition.name, definition.revision): definition for definition in matching if not is_gone(definition, now)}
    return list(found.values())


# --- showing ----------------------------------------------------------------------------------------------------------


def arn_of(caller: Caller, definition: JobDefinition) -> str:
    """The ARN of a revision."""
    return caller.arn(f"job-definition/{definition.reference}")


def show_definition(caller: Caller, definition: JobDefinition) -> dict[str, Any]:
    """A revision as DescribeJobDefinitions shows it."""
    shown: dict[str, Any] = dict(definition.shown)
    if "containerProperties" in shown:
        shown["containerProperties"] = show_properties(shown["containerProperties"])
    return shown | {
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": arn_of(caller, definition),
        "revision": definition.revision,
        "status": definition.status.value,
        "type": definition.type.value,
        "schedulingPriority": definition.scheduling_priority,
        "parameters": definition.parameters,
        "retryStrategy": None if definition.retry is None else show_retry_strategy(definition.retry),
        "propagateTags": definition.propagate_tags,
        "timeout": show_timeout(definition.timeout),
        "tags": definition.tags,
        "platformCapabilities": list(definition.platform_capabilities) or None,
        "containerOrchestrationType": definition.orchestration.value,
        "consumableResourceProperties": show_consumables(caller, definition.consumables),
    }
