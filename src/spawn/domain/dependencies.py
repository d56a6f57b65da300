"""Dependencies: what a job waits for, and whether it still does (spec 2.10).

`resolve` checks what was asked against facts about the jobs it names, and turns every accepted combination into one of four waits. From then
on `verdict` says, child by child, whether to go on waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from spawn.domain.errors import Conflict, InvalidField, NotFound, UsageError
from spawn.domain.ids import JobId, child_id
from spawn.domain.indexes import IndexSet
from spawn.domain.states import Status

MAX_DEPENDENCIES: Final = 20
"""Most entries of `dependsOn`."""


class DependencyType(Enum):
    """How the children of two arrays, or of one, wait for each other."""

    N_TO_N = "N_TO_N"  #: child i waits for child i of the other array
    SEQUENTIAL = "SEQUENTIAL"  #: child i waits for child i-1 of its own array


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of `dependsOn`, as it was asked for: a job, or one child of it by index; a type; or SEQUENTIAL alone."""

    job: JobId | None = None
    index: int | None = None
    type: DependencyType | None = None

    def __post_init__(self) -> None:
        if self.job is None and self.index is not None:
            raise InvalidField("dependsOn", f"index {self.index} needs the job that it belongs to")
        if self.job is None and self.type is not DependencyType.SEQUENTIAL:
            raise InvalidField("dependsOn", "an entry needs a jobId; only the type SEQUENTIAL goes without one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is known of a job that another one wants to wait for."""

    job: JobId
    status: Status
    indexes: IndexSet | None = None  #: None: not an array

    @property
    def is_array(self) -> bool:
        """Whether it has children."""
        return self.indexes is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What the children of a job wait for; all of it must succeed."""

    whole: tuple[JobId, ...] = ()  #: every child waits for the whole job, an array's parent included
    children: tuple[tuple[JobId, int], ...] = ()  #: every child waits for this child, by index, of another array
    each: tuple[JobId, ...] = ()  #: the child of index i waits for the child of index i of this array
    sequential: bool = False  #: every child but the first waits for the one before it

    def __bool__(self) -> bool:
        return bool(self.whole or self.children or self.each or self.sequential)


class Verdict(Enum):
    """What the waits of one child come to, now."""

    WAIT = "wait"  #: something has not ended yet
    READY = "ready"  #: everything has succeeded
    FAIL = "fail"  #: something has failed: the child can never run


def read_dependency(job_id: str | None, type_: str | None) -> Dependency:
    """Read an entry of `dependsOn`: `ID` or `ID:INDEX`, and a type or none. Other types are refused: InvalidField."""
    if type_ is not None and type_ not in DependencyType.__members__:
        raise InvalidField("dependsOn.type", f"'{type_[:60]}' is not a type: N_TO_N or SEQUENTIAL")
    kind = None if type_ is None else DependencyType(type_)
    if job_id is None:
        return Dependency(type=kind)
    job, colon, index = job_id.rpartition(":")
    if not colon:
        job = index
    if not job or (colon and not (index.isascii() and index.isdigit() and len(index) <= 10)):
        raise InvalidField("dependsOn.jobId", f"'{job_id[:60]}' is not the id of a job or a child: write ID or ID:INDEX")
    return Dependency(job=JobId(job), index=int(index) if colon else None, type=kind)


def parse_depends_on(text: str) -> Dependency:
    """Read the value of `--depends-on`: `ID`, `ID:3` (one child) or `ID:N_TO_N` (child by child). InvalidField else."""
    job, colon, word = text.strip().rpartition(":")
    if not colon:
        job, word = word, ""
    if not job:
        raise InvalidField("--depends-on", f"'{text[:60]}' names no job: write ID, ID:3 or ID:N_TO_N")
    if word.isascii() and word.isdigit() and len(word) <= 10:
        return Dependency(job=JobId(job), index=int(word))
    if word.upper() == "SEQUENTIAL":
        raise InvalidField("--depends-on", f"'{text[:60]}': an array that runs one child after the other is asked for with --sequential")
    if colon and word.upper() != "N_TO_N":
        raise InvalidField("--depends-on", f"'{word[:60]}' in '{text[:60]}' is neither an index nor a type: write ID, ID:3 or ID:N_TO_N")
    return Dependency(job=JobId(job), type=DependencyType.N_TO_N if colon else None)


def resolve(dependencies: Sequence[Dependency], *, targets: Mapping[JobId, Target], indexes: IndexSet | None, accept_failed: bool = True) -> Waits:
    """Turn what was asked into waits, for a job with these indexes (None: a single job). What is asked twice counts once.

    Refused: more than 20 entries, a job that is not among the targets (NotFound), an index it does not have (NotFound), SEQUENTIAL on a single
    job, N_TO_N between arrays of other indexes. N_TO_N on or from a single job and SEQUENTIAL with a job are plain waits, as AWS
    Batch runs them. A failed target is accepted, and fails what waits for it, as in AWS Batch; or refused (Conflict).
    """
    if len(dependencies) > MAX_DEPENDENCIES:
        raise UsageError(f"Error executing request, Exception : Job cannot have more than {MAX_DEPENDENCIES} dependencies")
    whole: dict[JobId, None] = {}
    children: dict[tuple[JobId, int], None] = {}
    each: dict[JobId, None] = {}
    sequential = False
    for dependency in dependencies:
        if dependency.job is None:
            _check_sequential(indexes)
            sequential = True
            continue
        target = _target(dependency.job, targets)
        if dependency.index is not None:
            children[target.job, _index(target, dependency.index)] = None
        elif dependency.type is DependencyType.N_TO_N and target.indexes is not None and indexes is not None:
            _check_same(target.job, target.indexes, indexes)
            each[target.job] = None
        else:
            _check_failed(target, accept_failed)
            whole[target.job] = None
    return Waits(whole=tuple(whole), children=tuple(children), each=tuple(each), sequential=sequential)


def verdict(
    waits: Waits,
    *,
    position: int,
    index: int,
    status_of_whole: Callable[[JobId], Status],
    status_of_child: Callable[[JobId, int], Status],
    own_status: Callable[[int], Status],
) -> Verdict:
    """Whether the child at a position waits, is ready, or can never run. One failure decides, whatever else still runs.

    `status_of_child` is asked by index, `own_status` by position: in a sequential array each waits for the position before its own.
    """
    statuses = [
        *map(status_of_whole, waits.whole),
        *(status_of_child(job, other) for job, other in waits.children),
        *(status_of_child(job, index) for job in waits.each),
    ]
    if waits.sequential and position > 0:
        statuses.append(own_status(position - 1))
    if Status.FAILED in statuses:
        return Verdict.FAIL
    return Verdict.READY if all(status is Status.SUCCEEDED for status in statuses) else Verdict.WAIT


def describe_for_child(waits: Waits, *, own: JobId, index: int, before: int | None) -> tuple[str, ...]:
    """The ids that the child of an index waits for: `J`, `A:3`, `A:i`, and `OWN:before` in a sequential array.

    `before` is the index before its own, None for the first.
    """
    described = [*waits.whole, *(child_id(job, other) for job, other in waits.children), *(child_id(job, index) for job in waits.each)]
    if waits.sequential and before is not None:
        described.append(child_id(own, before))
    return tuple(described)


def _check_sequential(indexes: IndexSet | None) -> None:
    if indexes is None:
        raise InvalidField("dependsOn.type", "SEQUENTIAL orders the children of an array, and this is a single job: leave it out")


def _target(job: JobId, targets: Mapping[JobId, Target]) -> Target:
    if job not in targets:
        raise NotFound(f"There is no job '{job}' to depend on")
    return targets[job]


def _index(target: Target, index: int) -> int:
    if target.indexes is None:
        raise NotFound(f"Job '{target.job}' is a single job and has no index {index}: depend on '{target.job}'")
    if index not in target.indexes:
        raise NotFound(f"Array '{target.job}' has no index {index} to depend on: it has {target.indexes}")
    return index


def _check_same(job: JobId, theirs: IndexSet, ours: IndexSet) -> None:
    if len(theirs) != len(ours):
        raise InvalidField("dependsOn.type", f"N_TO_N needs arrays of one size: '{job}' has {len(theirs)} children, this array {len(ours)}")
    if theirs != ours:
        raise InvalidField("dependsOn.type", f"N_TO_N needs arrays of the same indexes: '{job}' has {theirs}, this array {ours}")


def _check_failed(target: Target, accept_failed: bool) -> None:
    if target.status is Status.FAILED and not accept_failed:
        raise Conflict(f"Job '{target.job}' has failed, so what waits for it would never run: retry it first, with: spawn retry {target.job}")
