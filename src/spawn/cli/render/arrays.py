"""Arrays and members as records, and one array as a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from spawn.cli.render import data
from spawn.cli.render.data import Column, Kind
from spawn.cli.render.terminal import has_colour, paint, paint_status, printable
from spawn.cli.render.times import between, duration
from spawn.client.instances import FleetPlace
from spawn.client.objects import Array, FailureGroup, Member, Reason

_BAR: Final = 30

RUNNING: Final = "RUNNING"
# what is STARTING may have been handed over early, to wait at the provider for a slot
WAITING: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING")


def _count(array: Array, *statuses: str) -> int:
    return sum(array.counts.get(status, 0) for status in statuses)


def _took(array: Array) -> float | None:
    return between(array.started_at, array.stopped_at)


def _age(array: Array) -> float | None:
    age = between(array.created_at, None)
    return None if age is None else round(age)


def _tags(tags: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in tags.items())


ARRAYS: Final[Kind[Array]] = Kind(
    (
        Column("ARRAY", lambda a: a.array_id),
        Column("NAME", lambda a: a.name),
        Column("STATUS", lambda a: a.status),
        Column("SIZE", lambda a: a.size, right=True),
        Column("SUCCEEDED", lambda a: _count(a, "SUCCEEDED"), right=True),
        Column("FAILED", lambda a: _count(a, "FAILED"), right=True),
        Column("RUNNING", lambda a: _count(a, RUNNING), right=True),
        Column("WAITING", lambda a: _count(a, *WAITING), right=True),
        Column("AGE", _age, lambda a: duration(_age(a)), right=True),
        Column("LEFT", lambda a: a.seconds_left, lambda a: duration(a.seconds_left), wide=True, right=True),
        Column("REASON", lambda a: a.status_reason, wide=True),
        Column("CREATED", lambda a: a.created_at, wide=True),
        Column("STARTED", lambda a: a.started_at, wide=True),
        Column("STOPPED", lambda a: a.stopped_at, wide=True),
        Column("TAGS", lambda a: _tags(a.tags), wide=True),
    ),
    identity=lambda a: a.array_id,
    name=lambda a: a.title,
)

MEMBERS: Final[Kind[Member]] = Kind(
    (
        Column("NAME", lambda m: m.name),
        Column("INDEX", lambda m: m.index, right=True),
        Column("ARRAY", lambda m: m.array_id),
        Column("INSTANCE", lambda m: m.instance_id),
        Column("STATE", lambda m: m.state),
        Column("STATUS", lambda m: m.status),
        Column("EXIT", lambda m: m.exit_code, right=True),
        Column("ATTEMPT", lambda m: m.attempt, right=True),
        Column("AGE", lambda m: None if m.age_s is None else round(m.age_s), lambda m: duration(m.age_s), right=True),
        Column("ID", lambda m: m.id, wide=True),
        Column("REASON", lambda m: m.reason or m.status_reason, wide=True),
        Column("CREATED", lambda m: m.created_at, wide=True),
        Column("STARTED", lambda m: m.started_at, wide=True),
        Column("STOPPED", lambda m: m.stopped_at, wide=True),
        Column("TAGS", lambda m: _tags(m.tags), wide=True),
        Column("TYPE", lambda m: m.machine and m.machine.type, wide=True),
        Column("ZONE", lambda m: m.machine and m.machine.zone, wide=True),
        Column("MARKET", lambda m: m.machine and m.machine.market, wide=True),
        Column("ADDRESS", lambda m: m.machine and m.machine.address, wide=True),
        Column("LAUNCHED", lambda m: m.machine and m.machine.launched_at, wide=True),
        Column("ENDS", lambda m: m.machine and m.machine.ends_at, wide=True),
    ),
    identity=lambda m: m.id,
    name=lambda m: m.name,
)


def page(array: Array, *, colour: bool) -> list[str]:
    """An array and its progress, as lines for people."""
    title = (
        f"{paint(array.title, 'bold', on=colour)}  {array.array_id}"
        if array.name and array.name != array.array_id
        else paint(array.array_id, "bold", on=colour)
    )
    lines = [f"{title}  {paint_status(array.status, on=colour)}", progress(array, colour=colour)]
    counted = [f"{count} {paint_status(status, on=colour)}" for status, count in array.counts.items() if count]
    lines.append("  ".join(counted))
    if array.lost:
        lines.append(f"{array.lost} of them lost: their machine or runner died")
    if isinstance(array.interrupted, int) and array.interrupted:
        lines.append(f"{array.interrupted} of them interrupted: the spot market took their instances back")
    if isinstance(array.fleet, FleetPlace):
        lines.append(_instances(array, colour=colour))
    if isinstance(array.remarks, list):
        lines += [f"  {remark.count} × {printable(remark.reason)}{f'  indexes {remark.indexes}' if remark.indexes else ''}" for remark in array.remarks]
    if array.status_reason:
        lines.append(f"Reason: {printable(array.status_reason)}")
    if array.settled:
        lines.append(f"Took {duration(_took(array))}" if array.started_at else "Never started")
    return lines


def _instances(array: Array, *, colour: bool) -> str:
    """`Instances: 5 running  3 terminated`, with what they are."""
    assert isinstance(array.fleet, FleetPlace)
    counted = "  ".join(f"{count} {paint_status(state, on=colour)}" for state, count in array.instances.items() if count)
    return f"Instances: {counted or 'none'}  ({'/'.join(array.fleet.instance_types)} {array.fleet.market} in {', '.join(array.fleet.regions)})"


def progress(array: Array, *, colour: bool) -> str:
    """`[#####.....] 50/100 (50%)  12.3/s  4s left`, on one line."""
    good, bad = array.counts.get("SUCCEEDED", 0), array.counts.get("FAILED", 0)
    size = max(1, array.size)
    filled = (good + bad) * _BAR // size
    red = max(1, bad * _BAR // size) if bad else 0
    green = max(0, filled - red)
    bar = paint("█" * green, "green", on=colour) + paint("█" * red, "red", on=colour) + "░" * (_BAR - green - red)
    parts = [f"[{bar}] {array.done}/{array.size} ({array.done * 100 // size}%)"]
    if bad:
        parts.append(paint(f"{bad} failed", "red", on=colour))
    if running := _count(array, RUNNING):
        parts.append(f"{running} running")
    if array.rate_per_s and not array.settled:
        parts.append(f"{array.rate_per_s:.1f}/s")
    if array.seconds_left is not None and not array.settled:
        parts.append(f"{duration(array.seconds_left)} left")
    return "  ".join(parts)


def cause(group: FailureGroup) -> str:
    """Why the members of a group failed: the exit code or signal, and the reason when there is one; that a process exited is none."""
    from spawn.domain.outcomes import EXITED

    what = f"exit code {group.exit_code}" if group.exit_code is not None else ""
    if group.signal is not None:
        what = f"signal {group.signal}" + (f" ({what})" if what else "")
    reason = printable(group.reason or ("" if what and group.status_reason == EXITED else group.status_reason or ""))
    return ": ".join(part for part in (what, reason) if part) or "unknown"


def failures(groups: Sequence[FailureGroup], *, colour: bool) -> list[str]:
    """The groups, each with its indexes and the end of one log, as lines for people."""
    lines = []
    for group in groups:
        indexes = f"  indexes {group.indexes}" if group.indexes else ""
        lines.append(f"  {paint(str(group.count), 'red', on=colour)} × {paint(cause(group), 'bold', on=colour)}{indexes}")
        example = group.example
        if example is not None and example.log_tail:
            of = f"index {example.index}, " if example.index is not None else ""
            lines.append(paint(f"    end of the log of {of}attempt {example.attempt}:", "dim", on=colour))
            lines.extend(f"      {printable(text)}" for text in example.log_tail)
    return lines


def show_page(array: Array, groups: Sequence[FailureGroup], reasons: Sequence[Reason]) -> None:
    """The page of one array, on stdout, for people."""
    colour = has_colour(sys.stdout)
    lines = page(array, colour=colour)
    if groups:
        lines += ["", "Failures:", *failures(groups, colour=colour)]
    if reasons:
        lines += [
            "",
            "Not running:",
            *(f"  {reason.count} × {printable(reason.reason)}{f'  indexes {reason.indexes}' if reason.indexes else ''}" for reason in reasons),
        ]
    data.write("\n".join(lines) + "\n")


def show_facts(array: Array, groups: Sequence[FailureGroup], reasons: Sequence[Reason]) -> None:
    """The same for programs: a fact a line, as key, tab, value."""
    facts: list[tuple[str, object]] = [("array_id", array.array_id), ("name", array.title), ("status", array.status), ("status_reason", array.status_reason)]
    facts += [("size", array.size), ("done", array.done)]
    facts += [(status.lower(), count) for status, count in array.counts.items()]
    if array.on_ec2:
        facts += [(f"instances_{state.replace('-', '_')}", count) for state, count in array.instances.items()]
        facts.append(("interrupted", array.interrupted if isinstance(array.interrupted, int) else 0))
    facts += [("lost", array.lost), ("cancelled", array.cancelled), ("rate_per_s", array.rate_per_s), ("seconds_left", array.seconds_left)]
    facts += [("created_at", array.created_at), ("started_at", array.started_at), ("stopped_at", array.stopped_at)]
    colour = has_colour(sys.stdout)
    lines = [f"{key}\t{paint_status(_fact(value), on=colour)}" for key, value in facts]
    for group in groups:
        lines.append(f"failure\t{group.count}\t{_fact(group.indexes)}\t{_fact(group.exit_code)}\t{cause(group)}")
        if group.example is not None:
            lines.extend(f"log\t{_fact(group.example.index)}\t{group.example.attempt}\t{printable(text)}" for text in group.example.log_tail)
    lines += [f"remark\t{remark.count}\t{_fact(remark.indexes)}\t{printable(remark.reason)}" for remark in (array.remarks or ())]
    lines += [f"why\t{reason.count}\t{_fact(reason.indexes)}\t{printable(reason.reason)}" for reason in reasons]
    data.write("\n".join(lines) + "\n")


def _fact(value: object) -> str:
    return "-" if value is None else printable(f"{value:.10g}" if isinstance(value, float) else str(value))
