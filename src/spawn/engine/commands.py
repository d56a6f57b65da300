"""What clients ask of the engine. Each is run in its thread, checks everything first, and is answered after the commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from spawn.domain import control
from spawn.domain.arrays import ArrayJob
from spawn.domain.dependencies import Dependency, DependencyType, Target
from spawn.domain.errors import Conflict, InvalidField, NotFound
from spawn.domain.fleets import LONGEST_LIFE, Fleet
from spawn.domain.ids import ArrayKey, AttemptId, JobId, new_job_id
from spawn.domain.instances import OnComplete
from spawn.domain.instants import Instant, later, to_datetime
from spawn.domain.jobs import Job
from spawn.domain.queues import DEFAULT_QUEUE, EC2, LOCAL, may_submit
from spawn.domain.states import NOT_STARTED, UNDER_WAY, Status
from spawn.engine.records import InstanceEnd, KeptInstance
from spawn.engine.state import EngineState
from spawn.engine.submission import LONGEST_S, Submission, Surroundings, make_job
from spawn.engine.taking import free_key, open_ec2, random_key, take, targets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job that has been taken (or, with `dry_run`, would have been), and sentences for its user."""

    job: Job
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The positions that a request changed (or would change), and those it left alone, by reason."""

    job: Job
    positions: tuple[int, ...]
    skipped: Mapping[str, tuple[int, ...]]


def submit(
    state: EngineState,
    submission: Submission,
    depends_on: tuple[Dependency, ...],
    *,
    fleet: Fleet | None = None,
    admit: Callable[[Job], None] | None = None,
    draw_key: Callable[[], ArrayKey] = random_key,
) -> Submitted:
    """Take a job: all of it is checked before anything is kept. With `dry_run` nothing is kept.

    `fleet`: where it runs on EC2; `admit` then hears of the job before it is taken, since its provider needs more than the store keeps.
    """
    may_submit(state.catalog.queues[DEFAULT_QUEUE])
    targets = targets_of(state, depends_on)
    _refuse_unknown(depends_on, targets)
    provider = state.providers[LOCAL if fleet is None else EC2]
    around = Surroundings(capacity=provider.capacity(), features=provider.features(), targets=targets, fleet=fleet)
    job, notes = make_job(submission, depends_on, around, job=_new_id(state, submission), key=free_key(state, draw_key), at=state.now)
    state.adopt_dependencies(job)
    _refuse_failed_children(state, job)
    if not submission.dry_run:
        if fleet is not None:
            open_ec2(state)
        if admit is not None:
            admit(job)
        take(state, job, targets, max_concurrent=submission.max_concurrent)
    return Submitted(job=job, notes=notes)


def in_sequence(submission: Submission) -> tuple[Dependency, ...]:
    """The dependency that `sequential` stands for."""
    return (Dependency(type=DependencyType.SEQUENTIAL),) if submission.sequential else ()


def _refuse_unknown(depends_on: Iterable[Dependency], targets: Mapping[JobId, Target]) -> None:
    for dependency in depends_on:
        if dependency.job is not None and dependency.job not in targets:
            raise NotFound(f"--depends-on: there is no array or job '{dependency.job}'")


def _refuse_failed_children(state: EngineState, job: Job) -> None:
    for parent, index in job.waits.children:
        array = state.book.by_id.get(parent)
        position = array.job.indexes.position_of(index) if array is not None and array.job.indexes is not None else 0
        if array is not None and position is not None and array.status_of(position) is Status.FAILED:
            raise Conflict(f"--depends-on: {parent}:{index} has failed, so what waits for it would never run: `spawn retry {parent} {index}` first")


def _new_id(state: EngineState, submission: Submission) -> JobId:
    taken = state.ids_taken(to_datetime(state.now).replace(microsecond=0).timestamp())
    while True:
        job = new_job_id(is_array=submission.indexes is not None, at=to_datetime(state.now), taken=taken)
        if job not in state.book.by_id and not state.store.statuses([job]):
            return job
        taken = state.take_id()


def cancel(state: EngineState, job: JobId, positions: Sequence[int] | None, *, reason: str, dry_run: bool, pending_waits: bool = False) -> Changed:
    """Fail what has not started; what runs goes on. `pending_waits`: as AWS Batch does it (`control.cancel`)."""
    array = _known(state, job)
    if dry_run:
        return _would(array, positions, NOT_STARTED | {Status.STARTING})
    change = control.cancel(state.book, array, positions, reason=reason, at=state.now, pending_waits=pending_waits)
    if change.call_back:
        state.acts.append(lambda: state.provider_of(array.job).drop(change.call_back))
    return Changed(job=array.job, positions=change.positions, skipped=change.skipped)


def terminate(state: EngineState, job: JobId, positions: Sequence[int] | None, *, reason: str, grace_s: float | None, dry_run: bool) -> Changed:
    """Fail what has not started, stop what runs, and end the instances that outlived their attempts."""
    array = _known(state, job)
    kept = [] if array.job.lifetime.on_complete is OnComplete.TERMINATE else _kept(state, array, positions)
    if dry_run:
        would = _would(array, positions, NOT_STARTED | UNDER_WAY)
        return replace(would, positions=tuple(sorted({*would.positions, *(position for position, _ in kept)})))
    change = control.terminate(state.book, array, positions, reason=reason, at=state.now)
    if change.stop:
        grace = array.job.grace.total_seconds() if grace_s is None else grace_s
        state.acts.append(lambda: state.provider_of(array.job).stop(change.stop, grace_s=grace))
    if kept:
        state.end_instances(array, kept)
    ended = {position for position, _ in kept}
    skipped = {why: left for why, which in change.skipped.items() if (left := tuple(p for p in which if p not in ended))}
    return Changed(job=array.job, positions=tuple(sorted({*change.positions, *ended})), skipped=skipped)


def _kept(state: EngineState, array: ArrayJob, positions: Sequence[int] | None) -> list[tuple[int, int]]:
    """The instances of these children (position, attempt) that outlived their attempts."""
    wanted = None if positions is None else set(positions)
    return [(k.position, k.attempt) for k in state.store.kept_instances(key=array.job.key) if wanted is None or k.position in wanted]


def retry(state: EngineState, job: JobId, positions: Sequence[int], *, dry_run: bool) -> Changed:
    """Run settled children again, under the same id and their next attempt number."""
    array = _known(state, job)
    if array.job.queue not in state.catalog.queues:
        raise Conflict(f"the job queue '{array.job.queue}' of {job} was deleted: nothing of it can run again until a queue of this name is made")
    state.adopt_dependencies(array.job)
    so_far = state.store.attempts_made(array.job.key)
    made = {position: so_far.get(position, 0) for position in positions}
    kept = {k.position: k.attempt for k in state.store.kept_instances(key=array.job.key)}
    statuses = state.whole_statuses(array, forgotten=Status.FAILED)
    change = control.retry(state.book, array, made, statuses=statuses, at=state.now, dry_run=dry_run)
    ending = [(position, kept[position]) for position in change.positions if position in kept]
    if ending and not dry_run:
        state.end_instances(array, ending)
    return Changed(job=array.job, positions=change.positions, skipped=change.skipped)


def extend(state: EngineState, job: JobId, positions: Sequence[int] | None, *, ttl_s: float, dry_run: bool) -> Changed:
    """Let instances that exist end `ttl_s` seconds from now; those of children that have not started are left alone."""
    if ttl_s <= 0:
        raise InvalidField("ttl", f"{ttl_s:g} s is not above 0")
    array = _known(state, job)
    if ttl_s > LONGEST_S:
        raise InvalidField("DURATION", f"{ttl_s / 86_400:g} days is longer than ten years")
    if array.job.fleet is not None and ttl_s > LONGEST_LIFE.total_seconds():
        raise InvalidField("DURATION", f"{ttl_s / 86_400:g} days is longer than a year: an instance cannot schedule its end so far ahead")
    ends_at = later(state.now, timedelta(seconds=ttl_s))
    wanted = range(array.size) if positions is None else positions
    kept = {k.position: k for k in state.store.kept_instances(key=array.job.key)}
    live = [position for position in wanted if position in array.under_way]
    after = [position for position in wanted if position in kept and position not in array.under_way]
    left = tuple(sorted({*wanted} - {*live} - {*after}))
    if not dry_run:
        _move_ends(state, array, live, [kept[position] for position in after], ends_at)
    skipped = {"has no instance now": left} if left and positions is not None else {}
    return Changed(job=array.job, positions=tuple(sorted(live + after)), skipped=skipped)


def _move_ends(state: EngineState, array: ArrayJob, live: Sequence[int], kept: Sequence[KeptInstance], ends_at: Instant) -> None:
    key = array.job.key
    for position in live:
        array.mark(position, ends_at=ends_at)
    if array.job.fleet is None:
        state.batch.instances += [InstanceEnd(AttemptId(key, k.position, k.attempt), k.state, ends_at) for k in kept]
    attempts = [AttemptId(key, position, array.under_way[position].attempt) for position in live]
    if array.job.fleet is not None:  # nothing but the instance itself knows when it ends
        attempts += [AttemptId(key, k.position, k.attempt) for k in kept]
    if attempts:
        state.acts.append(lambda: state.provider_of(array.job).extend(attempts, ends_at))


def expect_power_off(state: EngineState, job: JobId, positions: Sequence[int]) -> None:
    """Attempts under way of these children will end because their user stops their instances: neither lost nor to be run again."""
    array = _known(state, job)
    state.powered_off |= {AttemptId(array.job.key, position, array.under_way[position].attempt) for position in positions if position in array.under_way}


def limit(state: EngineState, job: JobId, max_concurrent: int | None) -> Job:
    """Run at most so many of an array at once from now on; None lifts the cap."""
    if max_concurrent is not None and max_concurrent < 1:
        raise InvalidField("max_concurrent", f"{max_concurrent} is not 1 or more")
    array = _known(state, job)
    array.max_concurrent, array.dirty = max_concurrent, True
    state.acts.append(lambda: state.provider_of(array.job).limit(array.job.key, max_concurrent))
    return array.job


def remove(state: EngineState, job: JobId, *, dry_run: bool) -> Changed:
    """Forget an array that has settled and whose instances have ended, with all its files."""
    array = _known(state, job)
    if not array.settled or array.under_way:
        raise Conflict(f"{job} has not finished: wait for it, or `spawn terminate {job}` first")
    if state.book.is_awaited(array):
        raise Conflict(f"{job} cannot be forgotten: another job still waits for it")
    if kept := len(state.store.kept_instances(key=array.job.key)):
        raise Conflict(f"{job} still has {kept} instance{'s' if kept > 1 else ''}: `spawn terminate {job}` ends them")
    if not dry_run:
        directory = state.provider_of(array.job).directory(array.job)
        state.batch.removed.append((array, directory))
        state.book.forget(array)
        state.discard(directory)
    return Changed(job=array.job, positions=tuple(range(array.size)), skipped={})


def _known(state: EngineState, job: JobId) -> ArrayJob:
    array = state.adopt(job)
    if array is None:
        raise NotFound(f"there is no array or job '{job}'")
    return array


def _would(array: ArrayJob, positions: Sequence[int] | None, statuses: Collection[Status]) -> Changed:
    change = control.preview(array, positions, statuses)
    return Changed(job=array.job, positions=change.positions, skipped=change.skipped)
