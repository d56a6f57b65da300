"""Job definitions: what a job runs unless it says otherwise, in numbered revisions (spec 2.11, AWS Batch `RegisterJobDefinition`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Final

from spawn.domain.errors import Conflict, InvalidField, NotFound, UsageError
from spawn.domain.instants import Instant, later
from spawn.domain.quantities import parse_cpus, parse_memory
from spawn.domain.retries import RetryStrategy

DEPRECATED_KEY: Final = "This value was submitted in a deprecated key and may conflict with the value provided by the job definition's resource requirements."
"""What AWS Batch says when `vcpus` or `memory` of an override loses to the definition's resource requirements."""

KEPT_INACTIVE: Final = timedelta(days=180)
"""How long a deregistered revision is still described (AWS Batch, `DeregisterJobDefinition`)."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_REFERENCE = re.compile(r"(?:arn:[a-z-]+:batch:[a-z0-9-]*:[0-9]*:job-definition/)?([A-Za-z0-9_-]{1,128})(?::([0-9]{1,9}))?")


class DefinitionStatus(Enum):
    """Whether jobs may be made of a revision."""

    ACTIVE = "ACTIVE"  #: registered
    INACTIVE = "INACTIVE"  #: deregistered: still described, never used again


class DefinitionType(Enum):
    """How many hosts a job of the definition runs on."""

    CONTAINER = "container"  #: one
    MULTINODE = "multinode"  #: several at once; kept and described, but not run here


class Orchestration(Enum):
    """What AWS would run the containers of a definition with."""

    ECS = "ECS"  #: containers of one task
    EKS = "EKS"  #: a pod; kept and described, but not run here


class ResourceType(Enum):
    """What a container requires (AWS Batch, `resourceRequirements`)."""

    VCPU = "VCPU"  #: vCPUs, such as 1 or 0.25
    MEMORY = "MEMORY"  #: MiB
    GPU = "GPU"  #: whole devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Required resources by type. `deprecated` are those given by the old members `vcpus` and `memory`."""

    amounts: Mapping[ResourceType, str] = field(default_factory=dict)
    deprecated: frozenset[ResourceType] = frozenset()

    def __post_init__(self) -> None:
        for kind, amount in self.amounts.items():
            _check_amount(kind, amount)

    @property
    def cpus(self) -> int | None:
        """Thousandths of a vCPU; None: nothing stated."""
        return parse_cpus(self.amounts[ResourceType.VCPU]) if ResourceType.VCPU in self.amounts else None

    @property
    def memory(self) -> int | None:
        """MiB; None: nothing stated."""
        return parse_memory(self.amounts[ResourceType.MEMORY]) if ResourceType.MEMORY in self.amounts else None

    def overridden(self, by: Requirements) -> tuple[Requirements, tuple[ResourceType, ...]]:
        """These, with those of an override by type; and which of the override lost, as a deprecated key does to a current one."""
        lost = tuple(kind for kind in by.amounts if kind in by.deprecated and kind in self.amounts and kind not in self.deprecated)
        won = {kind: amount for kind, amount in by.amounts.items() if kind not in lost}
        deprecated = (self.deprecated - won.keys()) | (by.deprecated & won.keys())
        return Requirements(amounts={**self.amounts, **won}, deprecated=deprecated), lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What of a definition's container can be overridden. All of its members are in the definition's `shown`."""

    command: tuple[str, ...] = ()  #: empty: the image's own, which a runner of processes does not have
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    requirements: Requirements = field(default_factory=Requirements)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefinition:
    """One revision of a definition. It never changes, except that it can be deregistered."""

    name: str
    revision: int
    status: DefinitionStatus = DefinitionStatus.ACTIVE
    type: DefinitionType = DefinitionType.CONTAINER
    orchestration: Orchestration = Orchestration.ECS
    container: Container | None  #: None: what it describes does not run here
    parameters: Mapping[str, str] = field(default_factory=dict)
    retry: RetryStrategy | None = None
    timeout: timedelta | None = None
    scheduling_priority: int | None = None
    propagate_tags: bool | None = None
    platform_capabilities: tuple[str, ...] = ()
    consumables: Mapping[str, int] = field(default_factory=dict)  #: what each child takes of consumable resources, by name
    tags: Mapping[str, str] = field(default_factory=dict)
    deregistered_at: Instant | None = None
    shown: Mapping[str, object] = field(default_factory=dict, repr=False)  #: its properties as they were given, to be shown again

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidField("jobDefinitionName", f"'{self.name[:140]}' is not a name: 1 to 128 letters, digits, hyphens and underscores")
        if self.revision < 1:
            raise InvalidField("revision", f"{self.revision} is not a revision: they count from 1")

    @property
    def reference(self) -> str:
        """`NAME:REVISION`, which means this revision alone."""
        return f"{self.name}:{self.revision}"

    @property
    def gone_at(self) -> Instant | None:
        """When it stops being described: 180 days after it was deregistered."""
        return None if self.deregistered_at is None else later(self.deregistered_at, KEPT_INACTIVE)

    def deregistered(self, at: Instant) -> JobDefinition:
        """The same revision, INACTIVE. Again: no difference, and the first time counts."""
        if self.status is DefinitionStatus.INACTIVE:
            return self
        return replace(self, status=DefinitionStatus.INACTIVE, deregistered_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What one submission says in place of its definition; None leaves the definition's."""

    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    requirements: Requirements = field(default_factory=Requirements)
    parameters: Mapping[str, str] = field(default_factory=dict)
    retry: RetryStrategy | None = None
    timeout: timedelta | None = None

    def __post_init__(self) -> None:
        if self.command is not None and "" in self.command:
            raise InvalidField("containerOverrides.command", "it cannot contain an empty string")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a job really runs: its definition and its overrides, with every parameter put in its place."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    requirements: Requirements
    parameters: Mapping[str, str]
    retry: RetryStrategy
    timeout: timedelta | None
    notes: tuple[str, ...] = ()  #: what the user should hear: overrides that did not take effect


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionReference:
    """A definition as clients name it: a revision, or the latest active one of the name (`revision` None)."""

    name: str
    revision: int | None = None

    @classmethod
    def parse(cls, text: str) -> DefinitionReference:
        """Read `NAME`, `NAME:REVISION`, or an ARN of either; anything else is refused in AWS's words."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise UsageError(f"Provided name {text[:200]} is not supported pattern[a-zA-Z_0-9-]{{1,128}}")
        return cls(name=match[1], revision=None if match[2] is None else int(match[2]))

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}:{self.revision}"


def next_revision(given: Iterable[int]) -> int:
    """The number of a name's next revision: one more than the highest ever given, deregistered ones included; 1 for a new name."""
    return max(given, default=0) + 1


def find_definition(definitions: Iterable[JobDefinition], reference: DefinitionReference, *, now: Instant) -> JobDefinition:
    """The revision that a submission means: the one it names, or the latest active one. NotFound; Conflict when it is INACTIVE.

    One that was deregistered more than 180 days ago is not there any more.
    """
    named = [one for one in definitions if one.name == reference.name and reference.revision in (None, one.revision) and not is_gone(one, now)]
    active = [one for one in named if one.status is DefinitionStatus.ACTIVE]
    if active:
        return max(active, key=lambda one: one.revision)
    if reference.revision is None:
        raise NotFound(f"JobDefinition name {reference} does not exist or is not in ACTIVE status")
    if named:
        raise Conflict(f"JobDefinition {reference} is not in ACTIVE status, but INACTIVE: register a new revision")
    raise NotFound(f"JobDefinition {reference} not found.")


def is_gone(definition: JobDefinition, now: Instant) -> bool:
    """Whether a revision was deregistered so long ago that it is described no more."""
    return definition.gone_at is not None and definition.gone_at <= now


def check_deregister(reference: DefinitionReference) -> int:
    """The revision to deregister. A name alone is refused: DeregisterJobDefinition takes `NAME:REVISION` or an ARN."""
    if reference.revision is None:
        raise InvalidField("jobDefinition", f"'{reference}' names no revision: write {reference}:REVISION")
    return reference.revision


def merge(definition: JobDefinition, overrides: Overrides) -> Merged:
    """Put a submission over its definition: the command, retry strategy and timeout replace; the environment and parameters go by name,
    the resources by type, and what only the definition has stays. Then parameters are put into the command (`substitute`)."""
    container = definition.container or Container()
    parameters = {**definition.parameters, **overrides.parameters}
    command = container.command if overrides.command is None else overrides.command
    requirements, lost = container.requirements.overridden(overrides.requirements)
    return Merged(
        command=substitute(command, parameters),
        environment={**container.environment, **overrides.environment},
        requirements=requirements,
        parameters=parameters,
        retry=overrides.retry or definition.retry or RetryStrategy(),
        timeout=overrides.timeout or definition.timeout,
        notes=tuple(f"containerOverrides.{_DEPRECATED_NAMES.get(kind, kind.value)}: {DEPRECATED_KEY}" for kind in lost),
    )


def substitute(command: Sequence[str], parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Replace every `Ref::name` by its parameter, also inside a word, the longest name first; values are not searched again.

    A name ends where a letter, digit or underscore does: `Ref::input` never means the parameter `in`. One without a parameter is
    refused in AWS's words; `Ref::` with no name after it is left alone. Parameters that are not used are ignored.
    """
    names = "|".join(map(re.escape, sorted(parameters, key=len, reverse=True)))
    known = rf"(?P<known>{names})(?![A-Za-z0-9_])|" if names else ""
    pattern = re.compile(rf"Ref::(?:{known}(?P<unknown>[A-Za-z0-9_-]+))")

    def value(match: re.Match[str]) -> str:
        if match["unknown"] is not None:
            raise UsageError(f"Unable to substitute value. No parameter found for reference {match['unknown']}")
        return parameters[match["known"]]

    return tuple(pattern.sub(value, word) for word in command)


_DEPRECATED_NAMES: Final = {ResourceType.VCPU: "vcpus", ResourceType.MEMORY: "memory"}


def _check_amount(kind: ResourceType, amount: str) -> None:
    field = f"resourceRequirements.{kind.value}"
    if kind is ResourceType.VCPU:
        parse_cpus(amount, field=field)
    elif not (amount.isascii() and amount.isdigit() and int(amount[:12]) > 0):
        raise InvalidField(field, f"'{amount[:60]}' is not a whole number above 0{' of MiB' if kind is ResourceType.MEMORY else ''}")
    elif kind is ResourceType.MEMORY:
        parse_memory(amount, field=field)
