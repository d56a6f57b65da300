"""What the user of an array on EC2 should know of its instances while it runs: what keeps them from being launched, and which of them are not well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from spawn.api.native.changes import indexes_of
from spawn.api.native.members import facts_of
from spawn.domain.fleets import InstanceFacts
from spawn.domain.hindrances import Because, Hindrance
from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant, iso, later
from spawn.domain.jobs import Job
from spawn.domain.outcomes import EXITED
from spawn.domain.states import UNDER_WAY, InstanceState, Status
from spawn.engine.ports import Records

Json = dict[str, Any]

CHECKS_IN_WITHIN: Final = timedelta(minutes=5)
"""An instance that has not said a word so long after its launch is worth a look: most take one minute, few take three."""

SPEAKS_WITHIN: Final = timedelta(minutes=6)
"""An instance says every two minutes that it is alive."""

_LOSSES: Final = 5
"""Losses that differ from one another and are each told."""

HeldUp = Mapping[Hindrance, int]
"""Why children have not begun, as their provider says it, and how many."""


def _about_launches(held_up: HeldUp) -> dict[Hindrance, int]:
    """Without what is about instances there are: their facts tell the same, and of which children."""
    return {why: count for why, count in held_up.items() if why.because is not Because.INSTANCE}


def _reason(indexes: str | None, count: int, why: Hindrance) -> Json:
    return {"indexes": indexes, "count": count, "reason": why.sentence, "kind": why.because.value}


def _of_instances(job: Job, groups: Mapping[str, list[int]]) -> list[Json]:
    return [_reason(indexes_of(job, positions), len(positions), Hindrance(Because.INSTANCE, said)) for said, positions in groups.items()]


def statuses_of(records: Records, job: Job) -> dict[int, tuple[Status, int]]:
    """Status and latest attempt of every child with an attempt under way, by position."""
    return {position: (Status(row.status), row.attempt) for position, row in records.rows(job.key) if Status(row.status) in UNDER_WAY}


def remarks(job: Job, under_way: Mapping[int, tuple[Status, int]], facts: Mapping[int, InstanceFacts], held_up: HeldUp, now: Instant) -> list[Json]:
    """Sentences with how many children each is about: what holds up launches (`held_up`, as the provider says it), then what is wrong with instances."""
    groups: dict[str, list[int]] = {}
    silent: list[tuple[Instant, int]] = []
    is_unheard = any(why.because in (Because.ACCESS, Because.UNHEARD) for why in held_up)  # then nothing can be said of who is silent
    for position, (status, number) in sorted(under_way.items()):
        known = facts_of(facts.get(position), status, AttemptId(job.key, position, number))
        if known is None or known.state is not InstanceState.RUNNING:
            continue
        if known.unsent is not None:
            groups.setdefault(f"cannot upload, and keeps trying until its end: {known.unsent}", []).append(position)
        if is_unheard:
            continue
        if known.checked_in_at is None:
            if known.launched_at is not None and later(known.launched_at, CHECKS_IN_WITHIN) < now:
                groups.setdefault(never_checked_in(), []).append(position)
        elif known.heard_at is not None and later(known.heard_at, SPEAKS_WITHIN) < now:
            silent.append((known.heard_at, position))
    if silent:
        groups[f"not heard from since {iso(min(silent)[0])}"] = [position for _, position in silent]
    held = [_reason(None, count, why) for why, count in _about_launches(held_up).items()]
    return held + _of_instances(job, groups)


def on_the_bill(held_up: HeldUp) -> list[Json]:
    """Which instances go on costing that should have ended, also when their array has settled."""
    return [_reason(None, count, why) for why, count in held_up.items() if why.because is Because.BILLED]


def unkept(records: Records, job: Job) -> list[Json]:
    """What of children that succeeded could not be kept: the most common losses one by one, the others together."""
    groups: dict[str, list[int]] = {}
    for position, said in records.read("incomplete", {"key": int(job.key, 16), "ended": EXITED}):
        groups.setdefault(said.removeprefix(f"{EXITED}; "), []).append(position)
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    if left := sorted(position for _, positions in ranked[_LOSSES:] for position in positions):
        ranked[_LOSSES:] = [(f"not all that they left could be kept: `spawn list --array {job.id} -o wide` says what", left)]
    return [_reason(indexes_of(job, positions), len(positions), Hindrance(Because.UNKEPT, said)) for said, positions in ranked]


def never_checked_in() -> str:
    """Said of instances whose agent did not start."""
    return "never checked in: its agent has not started (`spawn connect` shows the instance), and it ends at its TTL"


def starting_groups(job: Job, starting: Mapping[int, int], facts: Mapping[int, InstanceFacts], held_up: HeldUp, now: Instant) -> list[Json]:
    """Why children that were handed to EC2 (their attempt by position) have not begun: what launches wait for, or how far their instances are."""
    held_up = {why: count for why, count in _about_launches(held_up).items() if why.because is not Because.BILLED}
    groups: dict[str, list[int]] = {}
    waiting: list[int] = []
    for position, number in sorted(starting.items()):
        known = facts_of(facts.get(position), Status.STARTING, AttemptId(job.key, position, number))
        if known is None:
            waiting.append(position)
        else:
            groups.setdefault(_progress(known, now), []).append(position)
    found = _of_instances(job, groups)
    if len(held_up) == 1 and sum(held_up.values()) >= len(waiting) > 0:
        return [_reason(indexes_of(job, waiting), len(waiting), next(iter(held_up))), *found]
    found += [_reason(None, count, why) for why, count in held_up.items() if waiting]
    rest = len(waiting) - sum(held_up.values())
    if rest > 0:
        whole = indexes_of(job, waiting) if rest == len(waiting) else None
        found.append(_reason(whole, rest, Hindrance(Because.PREPARING, "is being launched")))
    return found


def _progress(facts: InstanceFacts, now: Instant) -> str:
    if facts.state is InstanceState.PENDING:
        return "its instance was launched and is being started"
    if facts.state is not InstanceState.RUNNING:
        return f"its instance is {facts.state.value}"
    if facts.checked_in_at is not None:
        return "its instance is up, and begins it as soon as a slot there is free"
    late = facts.launched_at is not None and later(facts.launched_at, CHECKS_IN_WITHIN) < now
    return never_checked_in() if late else "its instance runs, and its agent has not checked in yet"
