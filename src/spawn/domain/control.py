"""What users ask of jobs that are already in the book: cancel, terminate, run again (spec 2.9; wishes 1 and 2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from spawn.domain.arrays import ArrayJob
from spawn.domain.book import JobBook
from spawn.domain.ids import MAX_ATTEMPTS, AttemptId, JobId
from spawn.domain.instants import Instant
from spawn.domain.states import NOT_STARTED, SETTLED, UNDER_WAY, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a request changed: the positions concerned, those left alone and why, and the attempts that a provider has to stop or drop."""

    positions: tuple[int, ...]
    skipped: Mapping[str, tuple[int, ...]]
    stop: tuple[AttemptId, ...] = ()
    call_back: tuple[AttemptId, ...] = ()  #: to be dropped by the provider, unless they have begun


def cancel(book: JobBook, array: ArrayJob, positions: Collection[int] | None, *, reason: str, at: Instant, pending_waits: bool) -> Change:
    """Fail what has not started; what runs goes on. Nothing happens to what has settled.

    What is STARTING is to be called back from its provider: it fails when it had not begun, and goes on when it had.
    `pending_waits` is AWS's reading: a PENDING child fails only once all it depends on has been decided, and what is STARTING goes on (spec 2.9).
    """
    wanted = _wanted(array, positions, NOT_STARTED)
    handed_over = [] if pending_waits else _wanted(array, positions, {Status.STARTING})
    skipped = _skipped(array, positions, [*wanted, *handed_over])
    if positions is None and (wanted or handed_over):
        array.cancelled, array.reason, array.dirty = True, reason, True
    if positions is not None:
        array.cancelled_children.update(dict.fromkeys(handed_over, reason))
    later = {position for position in wanted if pending_waits and array.status_of(position) is Status.PENDING}
    now = [position for position in wanted if position not in later]
    if positions is not None:
        for position in later:
            array.mark_cancelled(position, reason)
    if not later and positions is None:
        book.fail_waiting(array, reason, at)
    else:
        book.fail_waiting(array, reason, at, now)
    book.settle_news(at)
    call_back = tuple(AttemptId(array.job.key, position, array.under_way[position].attempt) for position in handed_over)
    return Change(positions=tuple(sorted({*wanted, *handed_over})), skipped=skipped, call_back=call_back)


def terminate(book: JobBook, array: ArrayJob, positions: Collection[int] | None, *, reason: str, at: Instant) -> Change:
    """Fail what has not started, and have what runs stopped; nothing of it is retried."""
    wanted = _wanted(array, positions, NOT_STARTED | UNDER_WAY)
    skipped = _skipped(array, positions, wanted)
    if positions is None and wanted:
        array.cancelled, array.reason, array.dirty = True, reason, True
        array.terminated_at = at
    stop: list[AttemptId] = []
    for position in wanted:
        if array.status_of(position) in UNDER_WAY:
            array.mark(position, stopping=reason)
            stop.append(AttemptId(array.job.key, position, array.under_way[position].attempt))
    waiting = None if positions is None else [position for position in wanted if array.status_of(position) in NOT_STARTED]
    book.fail_waiting(array, reason, at, waiting)
    book.settle_news(at)
    return Change(positions=tuple(wanted), skipped=skipped, stop=tuple(stop))


def retry(book: JobBook, array: ArrayJob, made: Mapping[int, int], *, statuses: Mapping[JobId, Status], at: Instant, dry_run: bool = False) -> Change:
    """Run settled children again, under their next attempt number; `made` gives each position's attempts so far.

    A child whose dependency has failed stays as it is and is named in `skipped`: the dependency has to be run again first.
    `statuses` tells of the jobs waited for as wholes that are not in the book. The rounds of retries begin anew.
    """
    book.unlink(array)
    blocked = book.link(array, statuses=statuses)
    skipped: dict[str, list[int]] = {}
    chosen: dict[int, None] = {}
    for position in sorted(made):
        obstacle = "a job that it depends on has failed, or was forgotten: retry that one first" if blocked else _obstacle(array, position, made, chosen)
        if obstacle is None:
            chosen[position] = None
        else:
            skipped.setdefault(obstacle, []).append(position)
    if chosen and not dry_run:
        _begin_round(book, array, {position: made[position] for position in chosen}, at)
    return Change(positions=tuple(chosen), skipped={reason: tuple(which) for reason, which in skipped.items()})


def preview(array: ArrayJob, positions: Collection[int] | None, statuses: Collection[Status]) -> Change:
    """What a change to children of these statuses would concern, without making it."""
    wanted = _wanted(array, positions, statuses)
    return Change(positions=tuple(wanted), skipped=_skipped(array, positions, wanted))


def _begin_round(book: JobBook, array: ArrayJob, made: Mapping[int, int], at: Instant) -> None:
    array.cancelled = array.halted = False
    array.terminated_at = None
    array.failed_attempts = 0
    array.reason = array.stopped_at = None
    array.dirty = True
    for position, attempts in made.items():
        array.cancelled_children.pop(position, None)
        array.losses.pop(position, None)
        array.move(position, Status.PENDING, attempt=attempts, round_start=attempts)
    book.release_waiting(array, at)


def _obstacle(array: ArrayJob, position: int, made: Mapping[int, int], chosen: Collection[int]) -> str | None:
    if array.status_of(position) not in SETTLED:
        return f"is {array.status_of(position).name} already"
    if made[position] >= MAX_ATTEMPTS:
        return f"has had {MAX_ATTEMPTS} attempts, the most there can be"
    for target in array.each:
        if target.status_of(position) is Status.FAILED:
            return f"depends on {target.job.child_id(position)}, which failed: retry that one first"
    if array.job.waits.sequential and position > 0 and position - 1 not in chosen and array.status_of(position - 1) is Status.FAILED:
        return f"comes after {array.job.child_id(position - 1)}, which failed: retry that one too"
    return None


def _wanted(array: ArrayJob, positions: Collection[int] | None, statuses: Collection[Status]) -> list[int]:
    if positions is None:
        return list(array.positions(*statuses))
    return [position for position in sorted(positions) if array.status_of(position) in statuses]


def _skipped(array: ArrayJob, positions: Collection[int] | None, wanted: Collection[int]) -> dict[str, tuple[int, ...]]:
    """The positions asked for by name and left alone, by the status that kept them; taken before anything is moved."""
    if positions is None:
        return {}
    left: dict[str, list[int]] = {}
    done = set(wanted)
    for position in sorted(set(positions) - done):
        left.setdefault(f"is {array.status_of(position).name}", []).append(position)
    return {reason: tuple(which) for reason, which in left.items()}
