"""What each call of the native API does, apart from HTTP: values in, values out, domain errors raised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from spawn.api.native import arrays, logs
from spawn.api.native.bringing import Bringer
from spawn.api.native.changes import Changes
from spawn.api.native.instances import Instances
from spawn.api.native.members import AttemptReader, MemberReader, Wanted
from spawn.api.native.planning import Planning, check_provider, resolved_dependencies
from spawn.api.native.references import References
from spawn.api.native.remarks import HeldUp, on_the_bill, remarks, starting_groups, statuses_of, unkept
from spawn.api.native.shapes import SCHEMA_VERSION, Documents, Member
from spawn.api.native.uploads import EXAMPLES_S, Uploads
from spawn.api.native.waiting import waiting_reasons
from spawn.domain.errors import Conflict, UsageError
from spawn.domain.ids import AttemptId, child_id
from spawn.domain.jobs import Job
from spawn.domain.queues import LOCAL, LOCAL_ENVIRONMENT, provider_of
from spawn.domain.states import NOT_STARTED, SETTLED, InstanceState, Status
from spawn.engine import commands
from spawn.engine.fleets import Fleets
from spawn.engine.loop import Engine
from spawn.engine.ports import AttemptFiles, Clock, Records
from spawn.engine.records import JobRow
from spawn.engine.submission import Submission

Json = dict[str, Any]
_TAIL_LINES = 10
_MOST_BROUGHT = 20
"""Groups of failures on EC2 of which the end of a log is brought."""


class TakeDocuments(Protocol):
    """Takes job files; the layer of the AWS door has it."""

    def __call__(self, documents: Sequence[Mapping[str, Any]], *, parameters: Mapping[str, str], dry_run: bool) -> tuple[Sequence[Job], Sequence[str]]:
        """Register and submit all of it, or raise what is wrong with it and keep nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The calls of docs/api.md. Reads look at what is committed; changes go through the engine's thread."""

    engine: Engine
    records: Records
    files: AttemptFiles
    clock: Clock
    take_documents: TakeDocuments
    fleets: Fleets | None = None  #: None: this engine has no EC2
    bringer: Bringer = field(default_factory=Bringer)

    @property
    def _references(self) -> References:
        return References(self.records)

    @property
    def planning(self) -> Planning:
        """Plans for EC2, and launches there."""
        return Planning(engine=self.engine, records=self.records, fleets=self.fleets)

    @property
    def changes(self) -> Changes:
        """The calls that change children that there are."""
        return Changes(engine=self.engine, records=self.records)

    @property
    def instances(self) -> Instances:
        """The calls about instances on EC2."""
        return Instances(engine=self.engine, records=self.records, fleets=self.fleets)

    @property
    def uploads(self) -> Uploads:
        """The calls about what they have uploaded."""
        return Uploads(instances=self.instances, clock=self.clock, bringer=self.bringer)

    # --- launching ----------------------------------------------------------------------------------------------------

    def submit(self, submission: Submission, *, children: bool) -> Json:
        """Take a job; the answer comes after the commit."""
        check_provider(submission)
        depends_on = resolved_dependencies(submission, self._references)
        if submission.provider == LOCAL:
            done = self.engine.call(lambda state: commands.submit(state, submission, depends_on))
        else:
            done = self.planning.submit(submission, depends_on)
        if submission.dry_run:
            answer = arrays.array_object(
                _unborn(done.job, submission.max_concurrent), records=self.records, directory="", now=self.clock.now(), notes=done.notes
            )
            answer["array_id"] = ""
            return answer
        answer = self._array(self._references.job(done.job.id), notes=done.notes)
        if children:
            answer["children"] = list(_children(done.job))
        return answer

    def submit_documents(self, asked: Documents) -> Json:
        """Take job files as a whole; the answer comes after the commit."""
        jobs, notes = self.take_documents(asked.documents, parameters=asked.parameters, dry_run=asked.dry_run)
        if asked.dry_run:
            now = self.clock.now()
            arrays_ = [arrays.array_object(_unborn(job, None), records=self.records, directory="", now=now, notes=()) | {"array_id": ""} for job in jobs]
        else:
            arrays_ = [self._array(self._references.job(job.id)) for job in jobs]
        return {"schema_version": SCHEMA_VERSION, "arrays": arrays_, "notes": notes}

    # --- arrays -------------------------------------------------------------------------------------------------------

    def _array(self, row: JobRow, notes: Sequence[str] = ()) -> Json:
        directory, now = str(self.files.directory(row.job)), self.clock.now()
        array = arrays.array_object(row, records=self.records, directory=directory, now=now, notes=notes)
        if row.job.fleet is None:
            return array
        array["instances"] = self.instances.states(row.job)
        held_up = self._held_up(row.job)
        if row.status in SETTLED:
            found = on_the_bill(held_up)
        else:
            found = remarks(row.job, statuses_of(self.records, row.job), self.instances.facts(row.job), held_up, now)
        array["remarks"] = found + unkept(self.records, row.job)
        return array

    def _held_up(self, job: Job) -> HeldUp:
        """Why attempts that its provider was handed have not begun, as that says."""
        provider = self.engine.providers.get(provider_of(job.queue))
        return {} if provider is None else provider.why(job.key)

    def array(self, ref: str) -> Json:
        """The array that a reference names."""
        return self._array(self._references.job(ref))

    def array_id(self, ref: str) -> str:
        """The id of the array that a reference names."""
        return self._references.job_id(ref)

    def is_settled(self, job: str) -> bool:
        """Whether the job of this id has settled (or was forgotten), at the price of one number."""
        found = self.records.read("is_settled", (job,))
        return not found or bool(found[0][0])

    def arrays(self, *, statuses: Sequence[str], names: Sequence[str], tags: Mapping[str, str]) -> Json:
        """All arrays that match, newest first."""
        wanted = [_status(text) for text in statuses]
        rows = [row for row in self.records.all_jobs(tags) if (not wanted or row.status in wanted) and (not names or row.job.name in names)]
        return {"schema_version": SCHEMA_VERSION, "arrays": [self._array(row) for row in reversed(rows)]}

    def failures(self, ref: str) -> Json:
        """Failed children by cause, with the end of one log each."""
        row = self._references.job(ref)
        groups = arrays.failure_groups(row, self.records)
        self.uploads.bring_examples(row.job, [group.example for group in groups[:_MOST_BROUGHT] if group.example[1]], within_s=EXAMPLES_S)
        found = [arrays.group_object(row.job, group, lambda job, p, a: logs.tail_of(Path(self.files.log(job, p, a)), _TAIL_LINES)) for group in groups]
        return {"schema_version": SCHEMA_VERSION, "groups": found}

    def why(self, ref: str) -> Json:
        """Why the children that do not run do not run."""
        row = self._references.job(ref)
        provider = self.engine.providers.get(provider_of(row.job.queue), self.engine.provider)
        reasons = waiting_reasons(row, self.records, provider.capacity(), provider.holds_back())
        if row.job.fleet is not None:
            facts, held_up, under_way = self.instances.facts(row.job), self._held_up(row.job), statuses_of(self.records, row.job)
            starting = {position: number for position, (status, number) in under_way.items() if status is Status.STARTING}
            reasons += starting_groups(row.job, starting, facts, held_up, self.clock.now())
            running = {position: found for position, found in under_way.items() if found[0] is Status.RUNNING}
            reasons += remarks(row.job, running, facts, {}, self.clock.now())
        return {"schema_version": SCHEMA_VERSION, "reasons": reasons}

    # --- members ------------------------------------------------------------------------------------------------------

    def members(self, *, ref: str | None, indexes: str | None, wanted: Wanted, tags: Mapping[str, str], attempts: bool) -> Iterator[Sequence[object]]:
        """Blocks of members that match, arrays oldest first; what is asked wrongly is raised before the first block."""
        for text in wanted.statuses:
            _status(text)
        for text in wanted.states:
            _state(text)
        rows = [self._references.job(ref)] if ref is not None else None
        positions = self._references.positions(rows[0], indexes) if rows else None
        found = rows if rows is not None else self.records.all_jobs(tags)
        return self._blocks(found, wanted, positions, tags, attempts)

    def _blocks(
        self, rows: Iterable[JobRow], wanted: Wanted, positions: list[int] | None, tags: Mapping[str, str], attempts: bool
    ) -> Iterator[Sequence[object]]:
        for row in rows:
            if any(row.job.tags.get(name) != value for name, value in tags.items()):
                continue
            if wanted.statuses and not any(row.counts[Status[status]] for status in wanted.statuses):
                continue
            for block in self._reader(row).blocks(wanted, positions):
                yield self._with_attempts(row.job, block) if attempts else block

    def _reader(self, row: JobRow) -> MemberReader:
        return MemberReader(self.records, row, now=self.clock.now(), facts=self.instances.facts(row.job))

    def _with_attempts(self, job: Job, members: Sequence[Member]) -> list[Json]:
        places = [0 if member.index is None or job.indexes is None else job.indexes.position_of(member.index) or 0 for member in members]
        found = self._attempts(job).between(places[0], places[-1])
        return [_said(member) | {"attempts": found.get(place, [])} for place, member in zip(places, members, strict=True)]

    def _attempts(self, job: Job) -> AttemptReader:
        files = self.files
        return AttemptReader(self.records, job, lambda position, number: (str(files.log(job, position, number)), str(files.output(job, position, number))))

    def member(self, ref: str) -> Json:
        """A member, and all its attempts."""
        row, position = self._references.member(ref)
        return self._with_attempts(row.job, [self._reader(row).one(position)])[0]

    def log(self, ref: str, *, attempt: int | None, offset: int, tail: int | None, here: bool = False) -> tuple[logs.Piece, bool, int]:
        """Bytes of a log, whether no more comes, and the attempt they are of (the latest unless named). `here`: of what has been brought here already."""
        row, position = self._references.member(ref)
        member = self._reader(row).one(position)
        number = member.attempt if attempt is None else attempt
        if attempt is not None and not 1 <= attempt <= member.attempt:
            raise UsageError(f"{member.id} has no attempt {attempt}: it has had {member.attempt}")
        over = number < member.attempt or Status[member.status] in SETTLED
        if number == 0:
            return logs.Piece(b"", 0), over, 0
        if not here:
            self.uploads.bring_log(row.job, position, number)
        path = Path(self.files.log(row.job, position, number))
        piece = logs.piece_at(path, offset) if tail is None else logs.last_lines(path, tail)
        return piece, over and len(piece.content) < logs.MOST_BYTES, number

    def session(self, ref: str) -> Json:
        """What `spored enter` needs to see what a member's attempt sees; on EC2 how its instance is reached."""
        row, position = self._references.member(ref)
        member = self._reader(row).one(position)
        if row.job.fleet is not None:
            place = self.instances.session(row, position, member)
        elif member.attempt == 0 or Status[member.status] in NOT_STARTED:
            raise Conflict(f"{member.id} has not started: it is {member.status}")
        elif row.job.work.private_tmp and member.state == InstanceState.TERMINATED.value:
            raise Conflict(f"{member.id} cannot be entered: its instance {member.instance_id} has ended")
        else:
            place = {"spec": self.files.session_spec(row.job), "runner": self.files.runner_directory(row.job)}
        return place | {
            "schema_version": SCHEMA_VERSION,
            "key": row.job.key,
            "position": position,
            "index": member.index,
            "attempt": member.attempt,
            "state": member.state,
            "compute_environment": self._environment_of(row.job, position),
        }

    def _environment_of(self, job: Job, position: int) -> str:
        found = self.records.read("child_environment", (int(job.key, 16), position))
        return (found[0][0] if found else None) or LOCAL_ENVIRONMENT

    def limit(self, ref: str, max_concurrent: int | None) -> Json:
        """Change the cap on an array."""
        job = self.engine.call(lambda state: commands.limit(state, self._references.job_id(ref), max_concurrent))
        return self.array(job.id)


def _said(member: Member) -> Json:
    return {name: value for name, value in msgspec.structs.asdict(member).items() if value is not msgspec.UNSET}


def _children(job: Job) -> Iterator[Json]:
    for position in range(job.size):
        index = job.index_at(position) if job.is_array else None
        yield {
            "index": index,
            "id": job.id if index is None else child_id(job.id, index),
            "name": job.name if index is None else f"{job.name}-{index}",
            "instance_id": AttemptId(job.key, position, 1).instance_id if job.fleet is None else None,
        }


def _unborn(job: Job, max_concurrent: int | None) -> JobRow:
    counts = (job.size, 0, 0, 0, 0, 0, 0)
    return JobRow(job, Status.SUBMITTED, None, None, counts, Status.SUBMITTED, None, False, None, None, None, max_concurrent)


def _status(text: str) -> Status:
    if text not in Status.__members__:
        raise UsageError(f"'{text}' is not a status: use one of {', '.join(Status.__members__)}")
    return Status[text]


def _state(text: str) -> InstanceState:
    known = [state.value for state in InstanceState]
    if text not in known:
        raise UsageError(f"'{text}' is not an instance state: use one of {', '.join(known)}")
    return InstanceState(text)
