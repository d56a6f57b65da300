"""Job files: RegisterJobDefinition and SubmitJob documents, a list of them taken as a whole or not at all.

A `dependsOn` of such a list may name an earlier job of it by `jobName`; all else is as AWS has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from spawn.api.aws.batch.definitions import keep_revision, read_definition
from spawn.api.aws.batch.submitting import definition_for, inherited_environment, read_submission
from spawn.api.aws.callers import name_in
from spawn.api.aws.doors import Door
from spawn.api.aws.failures import AwsError
from spawn.api.aws.model import BATCH, service_api
from spawn.domain.definitions import JobDefinition
from spawn.domain.errors import ERRORS_BY_CODE, IllegalMove, SpawnError, UsageError
from spawn.domain.ids import JobId
from spawn.domain.jobs import Job
from spawn.domain.submission_rules import check_job_name
from spawn.engine.batch_jobs import submit
from spawn.engine.state import EngineState
from spawn.machine import existing_place

MOST: Final = 1000
"""Most documents that are taken at once."""

Document = Mapping[str, Any]


def submit_documents(door: Door, documents: Sequence[Document], *, parameters: Mapping[str, str], dry_run: bool) -> tuple[list[Job], list[str]]:
    """Register and submit all of it in this order, in one turn of the engine; return the jobs, and sentences for their user. With `dry_run` nothing is kept.

    A definition that says what its newest active revision says gets no new one. The first document that is refused is named with its
    place, as the error that it is, and then nothing of the list is kept. `parameters` go to every job, over its own.
    """
    if len(documents) > MOST:
        raise UsageError(f"{len(documents)} entries are more than the {MOST} that are taken at once: submit them in parts")
    ids = [door.draw_id() for _ in documents]
    clean = [_in_its_place(number, document, lambda d=document, n=number: _checked(d, documents[:n], ids)) for number, document in enumerate(documents)]

    def take(state: EngineState) -> tuple[list[Job], list[str]]:
        taking = _Taking(state, door, parameters)
        return taking.take(clean, ids, dry_run=dry_run), taking.notes

    jobs, notes = door.engine.call(take)
    return jobs, [*notes, *_unseen(jobs, parameters)]


def _unseen(jobs: Sequence[Job], parameters: Mapping[str, str]) -> Iterator[str]:
    """A warning of each place below /tmp that the jobs would not share, because it is not there yet."""
    for name, value in parameters.items():
        if value.startswith("/tmp/") and existing_place(value) is None and any(job.work.private_tmp for job in jobs):
            yield f"parameter {name}: {value} is not there, and each attempt has a /tmp of its own: make it first, or choose a place elsewhere"


class _Taking:
    """One list on its way into the book, in the engine's thread."""

    def __init__(self, state: EngineState, door: Door, parameters: Mapping[str, str]) -> None:
        self._state = state
        self._door = door
        self._parameters = parameters
        self._inherited = inherited_environment(os.environ)
        self._registered: list[JobDefinition] = []  #: the newest first
        self.notes: list[str] = []

    def take(self, documents: Sequence[Document], ids: Sequence[JobId], *, dry_run: bool) -> list[Job]:
        batch = self._state.batch
        jobs_before, definitions_before = len(batch.jobs), len(batch.definitions)
        jobs: list[Job] = []
        kept = False
        try:
            for number, (document, job) in enumerate(zip(documents, ids, strict=True)):
                if "jobName" in document:
                    jobs.append(_in_its_place(number, document, lambda d=document, j=job: self._submit(d, j)))
                else:
                    _in_its_place(number, document, lambda d=document: self._register(d))
            kept = not dry_run
        finally:
            if not kept:
                # nothing has been written, and nothing of it has started: the turn goes on as if the list had not come
                for array in reversed(batch.jobs[jobs_before:]):
                    self._state.book.forget(array)
                del batch.jobs[jobs_before:]
                del batch.definitions[definitions_before:]
        return jobs

    def _register(self, document: Document) -> None:
        draft = read_definition(document)
        of_list = [definition for definition in self._registered if definition.name == draft.name]
        newest = next(iter(of_list or self._door.records.definitions("active_definition", (draft.name,))), None)
        if newest is None or replace(draft, revision=newest.revision) != newest:
            newest = keep_revision(self._state, self._door.records, draft)
        self._registered.insert(0, newest)

    def _submit(self, document: Document, job: JobId) -> Job:
        asked = {**document, "parameters": {**document.get("parameters", {}), **self._parameters}}
        submission = read_submission(self._definition(asked["jobDefinition"]), asked, queue=_queue(asked), inherited=self._inherited)
        self.notes += [f"{submission.name}: {sentence}" for sentence in submission.merged.notes]
        return submit(self._state, submission, draw_id=lambda: job)

    def _definition(self, reference: str) -> JobDefinition:
        name = name_in(reference, "job-definition", "jobDefinition")
        for definition in self._registered:
            if name in (definition.name, definition.reference):
                return definition
        return definition_for(self._door.records, reference, self._state.now)


def _queue(asked: Document) -> str:
    return name_in(asked["jobQueue"], "job-queue", "jobQueue")


def _checked(document: Document, before: Sequence[Document], ids: Sequence[JobId]) -> Document:
    """A document without anything that the service model does not know, its dependencies by id. Unlike a call's, a file's misspelt member is refused."""
    operation = service_api(BATCH).operation("SubmitJob" if "jobName" in document else "RegisterJobDefinition")
    assert operation is not None
    if "jobName" in document and isinstance(document.get("dependsOn"), list):
        document = {**document, "dependsOn": [_by_id(entry, before, ids) for entry in document["dependsOn"]]}
    try:
        clean = operation.check(document)
    except AwsError as error:
        raise UsageError(error.message.removeprefix(f"{operation.name}: ")) from error
    _refuse_unknown(document, clean, "")
    if "jobName" in clean:
        check_job_name(clean["jobName"])
    return clean


def _by_id(entry: object, before: Sequence[Document], ids: Sequence[JobId]) -> object:
    if not isinstance(entry, Mapping) or "jobName" not in entry:
        return entry
    name = entry["jobName"]
    if "jobId" in entry:
        raise UsageError(f"dependsOn has both the jobName '{name}' and a jobId: write one of them")
    found = [job for document, job in zip(before, ids, strict=False) if document.get("jobName") == name]
    if not found:
        known = [str(document["jobName"]) for document in before if "jobName" in document]
        near = get_close_matches(str(name), known, n=1)
        guess = f"did you mean '{near[0]}'?" if near else "a job can only wait for one that stands before it"
        raise UsageError(f"dependsOn: no earlier job of the list is called '{str(name)[:140]}'; {guess}")
    if len(found) > 1:
        raise UsageError(f"dependsOn: {len(found)} earlier jobs of the list are called '{name}': give them different names")
    return {**{member: value for member, value in entry.items() if member != "jobName"}, "jobId": found[0]}


def _refuse_unknown(given: object, clean: object, path: str) -> None:
    if isinstance(given, Mapping) and isinstance(clean, Mapping):
        for member, value in given.items():
            where = f"{path}.{member}" if path else str(member)
            if member in clean:
                _refuse_unknown(value, clean[member], where)
            elif value is not None:
                raise UsageError(f"{where[:200]}: AWS Batch knows no such member")
    elif isinstance(given, list) and isinstance(clean, list):
        for number, (one, other) in enumerate(zip(given, clean, strict=False)):
            _refuse_unknown(one, other, f"{path}[{number}]")


def _in_its_place(number: int, document: Document, step: Any) -> Any:
    """Take a step; what it refuses says which entry of the list it was."""
    try:
        return step()
    except IllegalMove:
        raise
    except SpawnError as error:
        name = str(document.get("jobName", document.get("jobDefinitionName", "")))[:140]
        raise ERRORS_BY_CODE.get(error.code, SpawnError)(f"entry {number + 1}, {name}: {error}") from error
