"""Job files: all of a list is taken, or none of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spawn.api.aws.batch.documents import MOST, submit_documents
from spawn.domain.errors import Conflict, NotFound, SpawnError, UsageError
from spawn.domain.jobs import Job
from tests.aws.serving import Scripted

DEFINITION: dict[str, Any] = {
    "jobDefinitionName": "work",
    "type": "container",
    "containerProperties": {
        "image": "busybox",
        "command": ["echo", "Ref::what"],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    },
    "parameters": {"what": "nothing"},
}
A = {"jobName": "JobA", "jobQueue": "default", "jobDefinition": "work"}
B = A | {"jobName": "JobB", "arrayProperties": {"size": 4}, "dependsOn": [{"jobName": "JobA"}]}
C = B | {"jobName": "JobC", "dependsOn": [{"jobName": "JobB", "type": "N_TO_N"}, {"type": "SEQUENTIAL"}]}


def take(served: Scripted, *documents: Mapping[str, Any], dry_run: bool = False, **parameters: str) -> list[Job]:
    return submit_documents(served.door, documents, parameters=parameters, dry_run=dry_run)[0]


def known(served: Scripted) -> tuple[int, int]:
    """How many jobs and how many revisions of `work` there are, in memory and on disk."""
    jobs = served.do(lambda state: len(state.book.by_id))
    assert jobs == served.store.counts()[0]
    return served.store.counts()[1], len(served.store.revisions("work"))


def test_a_list_runs_in_the_order_of_its_names(scripted: Scripted) -> None:
    a, b, c = take(scripted, DEFINITION, A, B, C)
    assert [job.name for job in (a, b, c)] == ["JobA", "JobB", "JobC"]
    assert (b.waits.whole, c.waits.each, c.waits.sequential) == ((a.id,), (b.id,), True)
    scripted.finish({2: 1})
    assert [scripted.status(job.id) for job in (a, b, c)] == ["SUCCEEDED", "FAILED", "FAILED"]


def test_a_definition_that_says_the_same_gets_no_new_revision(scripted: Scripted) -> None:
    assert [take(scripted, DEFINITION, A)[0].batch.definition for _ in range(2)] == ["work:1", "work:1"]  # type: ignore[union-attr]
    changed = DEFINITION | {"parameters": {"what": "something"}}
    first, second = take(scripted, changed, A, DEFINITION, A)
    assert (first.batch and first.batch.definition, second.batch and second.batch.definition) == ("work:2", "work:3")
    assert known(scripted) == (4, 3)


def test_two_revisions_of_one_list_are_both_to_be_had(scripted: Scripted) -> None:
    changed = DEFINITION | {"parameters": {"what": "something"}}
    jobs = take(scripted, DEFINITION, changed, A | {"jobDefinition": "work:1"}, A | {"jobDefinition": "work"})
    assert [job.work.command for job in jobs] == [("echo", "nothing"), ("echo", "something")]


def test_a_deregistered_definition_is_registered_anew(scripted: Scripted) -> None:
    take(scripted, DEFINITION, A)
    scripted.call("DeregisterJobDefinition", jobDefinition="work:1")
    (job,) = take(scripted, DEFINITION, A)
    assert job.batch is not None
    assert job.batch.definition == "work:2"


@pytest.mark.parametrize("reference", ["work", "work:1", "arn:aws:batch:eu-west-1:123456789012:job-definition/work:1"])
def test_a_definition_of_the_list_is_found_however_it_is_named(scripted: Scripted, reference: str) -> None:
    (job,) = take(scripted, DEFINITION, A | {"jobDefinition": reference})
    assert job.work.command == ("echo", "nothing")


def test_parameters_go_to_every_job_over_its_own(scripted: Scripted) -> None:
    own = B | {"parameters": {"what": "own"}}
    assert [job.work.command for job in take(scripted, DEFINITION, A, own, what="given")] == [("echo", "given"), ("echo", "given")]


def test_a_dry_run_checks_all_of_it_and_keeps_nothing(scripted: Scripted) -> None:
    jobs = take(scripted, DEFINITION, A, B, C, dry_run=True)
    assert [job.size for job in jobs] == [1, 4, 4]
    assert known(scripted) == (0, 0)
    with pytest.raises(UsageError, match="entry 3, JobB"):
        take(scripted, DEFINITION, A, B | {"arrayProperties": {"size": 1}}, dry_run=True)


REFUSED = [
    (B | {"arrayProperties": {"size": 1}}, UsageError, "arrayProperties.size: 1 is not between 2 and 10000"),
    (B | {"jobQueue": "nowhere"}, NotFound, "nowhere"),
    (B | {"jobDefinition": "unknown"}, NotFound, "unknown"),
    (B | {"dependsOn": [{"jobName": "JobX"}]}, UsageError, "no earlier job of the list is called 'JobX'; did you mean 'JobA'"),
    (B | {"dependsOn": [{"jobName": "JobB"}]}, UsageError, "no earlier job of the list is called 'JobB'"),
    (B | {"dependsOn": [{"jobName": "JobA", "jobId": "x"}]}, UsageError, "both the jobName 'JobA' and a jobId"),
    (B | {"dependsOn": [{"jobId": "0f8fad5b-d9cb-469f-a165-70867728950e"}]}, NotFound, "0f8fad5b"),
    (B | {"arrayPropertys": {"size": 3}}, UsageError, "arrayPropertys: AWS Batch knows no such member"),
    (B | {"arrayProperties": {"size": 3, "sise": 4}}, UsageError, "arrayProperties.sise: AWS Batch knows no such member"),
    (B | {"jobQueue": 5}, UsageError, "jobQueue"),
    ({"jobName": "JobB"}, UsageError, "jobQueue"),
    (B | {"jobName": "not a name"}, UsageError, "Job name should match valid pattern"),
    (B | {"containerOverrides": {"command": ["Ref::missing"]}}, UsageError, "No parameter found for reference missing"),
]


@pytest.mark.parametrize(("wrong", "kind", "said"), REFUSED)
def test_what_is_wrong_with_one_keeps_all_out_and_names_its_place(scripted: Scripted, wrong: dict[str, Any], kind: type[SpawnError], said: str) -> None:
    with pytest.raises(kind, match=r"^entry 3, ") as refusal:
        take(scripted, DEFINITION, A, wrong, A)
    assert said in str(refusal.value)
    assert known(scripted) == (0, 0)
    assert scripted.running() == []
    take(scripted, DEFINITION, A)
    assert known(scripted) == (1, 1)


def test_two_earlier_jobs_of_one_name_cannot_be_waited_for_by_it(scripted: Scripted) -> None:
    with pytest.raises(UsageError, match="2 earlier jobs of the list are called 'JobA'"):
        take(scripted, DEFINITION, A, A, B)


def test_what_was_there_before_stays_as_it_was_when_a_list_is_refused(scripted: Scripted) -> None:
    (before,) = take(scripted, DEFINITION, A)
    waiting = B | {"dependsOn": [{"jobId": before.id}]}
    with pytest.raises(UsageError, match="entry 2"):
        take(scripted, waiting, B | {"arrayProperties": {"size": 1}, "dependsOn": []})
    scripted.finish()
    assert scripted.status(before.id) == "SUCCEEDED"
    assert known_ids(scripted) == [before.id]


def known_ids(served: Scripted) -> list[str]:
    return [row.job.id for row in served.store.all_jobs({})]


def test_a_queue_that_takes_no_jobs_is_a_conflict(scripted: Scripted) -> None:
    scripted.call("UpdateJobQueue", jobQueue="default", state="DISABLED")
    with pytest.raises(Conflict, match=r"entry 2, JobA: .*DISABLED"):
        take(scripted, DEFINITION, A)
    assert known(scripted) == (0, 0)


def test_a_long_list_is_refused(scripted: Scripted) -> None:
    with pytest.raises(UsageError, match=f"{MOST + 1} entries are more than the {MOST}"):
        take(scripted, *[A] * (MOST + 1))


def test_an_override_that_loses_to_the_definition_is_told_of(scripted: Scripted) -> None:
    jobs, notes = submit_documents(scripted.door, [DEFINITION, A | {"containerOverrides": {"vcpus": 32}}], parameters={}, dry_run=False)
    assert jobs[0].demand.cpus == 1000
    (note,) = notes
    assert note.startswith("JobA: containerOverrides.vcpus: This value was submitted in a deprecated key")


def test_a_place_below_tmp_that_is_not_there_is_told_of(scripted: Scripted, tmp_path: Path) -> None:
    _, notes = submit_documents(scripted.door, [DEFINITION, A], parameters={"out": "/tmp/not-there-yet", "what": str(tmp_path / "new")}, dry_run=False)
    assert [note.split(":")[0] for note in notes] == ["parameter out"]
