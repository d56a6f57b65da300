"""`spawn submit`: what is read of files, what is asked of the engine, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from canned import array
from fake_engine import FakeEngine, refuse
from running import Run

JOB = {"jobName": "JobA", "jobQueue": "default", "jobDefinition": "work:1"}
OTHER = {"jobName": "JobB", "jobQueue": "default", "jobDefinition": "work", "dependsOn": [{"jobName": "JobA"}, {"type": "SEQUENTIAL"}]}
DEFINITION = {"jobDefinitionName": "work", "type": "container", "containerProperties": {"image": "busybox", "command": ["true"]}}

FIRST = "0f8fad5b-d9cb-469f-a165-70867728950e"
SECOND = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture(autouse=True)
def two(fake: FakeEngine) -> None:
    fake.arrays = [array(FIRST, name="JobA"), array(SECOND, name="JobB")]


def written(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.write_text(text)
    return str(path)


def sent(fake: FakeEngine) -> list[object]:
    (body,) = fake.bodies("/documents")
    documents: list[object] = body["documents"]
    return documents


def test_a_json_object_is_one_job(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    result = spawn("submit", written(tmp_path, "job.json", json.dumps(JOB)))
    assert result.code == 0
    assert sent(fake) == [JOB]


def test_a_list_keeps_its_order_and_may_hold_definitions(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    spawn("submit", written(tmp_path, "jobs.json", json.dumps([DEFINITION, JOB, OTHER])))
    assert sent(fake) == [DEFINITION, JOB, OTHER]


def test_yaml_says_the_same_with_anchors_and_several_documents(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    text = """
- &a {jobName: JobA, jobQueue: default, jobDefinition: "work:1"}
- <<: *a
  jobName: JobC
  parameters: {day: 2026-11-22, size: "010"}
---
jobName: JobB
jobQueue: default
jobDefinition: work
dependsOn: [{jobName: JobA}, {type: SEQUENTIAL}]
"""
    spawn("submit", written(tmp_path, "jobs.yaml", text))
    assert sent(fake) == [JOB, JOB | {"jobName": "JobC", "parameters": {"day": "2026-11-22", "size": "010"}}, OTHER]


@pytest.mark.parametrize(
    "text", ["{jobName: JobA, jobQueue: default, jobDefinition: 'work:1'}", "[{jobName: JobA, jobQueue: default, jobDefinition: 'work:1'}]"]
)
def test_yaml_in_flow_style_is_yaml(fake: FakeEngine, spawn: Run, tmp_path: Path, text: str) -> None:
    spawn("submit", written(tmp_path, "job.yaml", text))
    assert sent(fake) == [JOB]


def test_several_files_and_standard_input_are_one_list(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    result = spawn("submit", written(tmp_path, "definitions.json", json.dumps(DEFINITION)), "-", stdin=json.dumps(JOB))
    assert result.code == 0
    assert sent(fake) == [DEFINITION, JOB]


def test_parameters_are_for_every_job(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    spawn("submit", written(tmp_path, "job.json", json.dumps(JOB)), "-p", "work=/data/a=b", "--parameter", "empty=")
    assert fake.bodies("/documents")[0]["parameters"] == {"work": "/data/a=b", "empty": ""}


def test_quiet_prints_the_ids_alone_and_a_pipe_gets_one_record_a_line(spawn: Run, tmp_path: Path) -> None:
    job = written(tmp_path, "job.json", json.dumps([JOB, OTHER]))
    assert spawn("submit", "-q", job).out == f"{FIRST}\n{SECOND}\n"
    assert [line.split("\t")[:2] for line in spawn("submit", job).out.splitlines()] == [[FIRST, "JobA"], [SECOND, "JobB"]]
    assert [one["array_id"] for one in json.loads(spawn("submit", "-o", "json", job).out)] == [FIRST, SECOND]


def test_a_dry_run_is_passed_on_and_said(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    result = spawn("submit", "--dry-run", written(tmp_path, "job.json", json.dumps(JOB)))
    assert fake.bodies("/documents")[0]["dry_run"] is True
    assert "nothing was submitted" in result.err


def test_wait_exits_as_the_jobs_ended(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    counts = {"SUCCEEDED": 4, "FAILED": 1}
    fake.arrays = [array(FIRST, name="JobA", status="SUCCEEDED", counts={"SUCCEEDED": 5}), array(SECOND, name="JobB", status="FAILED", counts=counts)]
    result = spawn("submit", "--wait", written(tmp_path, "job.json", json.dumps([JOB, OTHER])))
    assert result.code == 7


def test_what_the_engine_refuses_is_said_and_nothing_printed(fake: FakeEngine, spawn: Run, tmp_path: Path) -> None:
    fake.documents_answer = refuse(400, "usage", "job 1, JobA: there is no job queue 'default'")
    result = spawn("submit", written(tmp_path, "job.json", json.dumps(JOB)))
    assert (result.code, result.out) == (2, "")
    assert "job 1, JobA: there is no job queue 'default'" in result.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no job"),
        ("[]", "holds no job"),
        ("[1]", "entry 1: a job is a mapping"),
        ('{"jobNam": "x"}', "neither a jobName"),
        ('{"jobName": "x",\n"jobQueue" "y"}', "line 2"),
        ('{"jobName": "x", "jobName": "y"}', "'jobName' stands there twice"),
        ("jobName: x\njobName: y\n", "line 2: not YAML: 'jobName' stands there twice"),
        ("- jobName: x\n  - y", "line 2: not YAML"),
        ("!!python/object:os.system {}", "not YAML"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_job_is_refused_with_its_place(fake: FakeEngine, spawn: Run, tmp_path: Path, content: str, said: str) -> None:
    result = spawn("submit", written(tmp_path, "job.txt", content))
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "job.txt" in result.err
    assert len(result.err.splitlines()) == 1
    assert fake.bodies("/documents") == []


def test_files_that_cannot_be_read_are_named(spawn: Run, tmp_path: Path) -> None:
    assert "nowhere.json cannot be read: No such file" in spawn("submit", str(tmp_path / "nowhere.json")).err
    assert f"{tmp_path} cannot be read: Is a directory" in spawn("submit", str(tmp_path)).err
    (tmp_path / "latin").write_bytes(b"jobName: caf\xe9")
    result = spawn("submit", str(tmp_path / "latin"))
    assert (result.code, "not UTF-8" in result.err) == (2, True)


@pytest.mark.parametrize(
    "words", [["submit"], ["submit", "-", "-"], ["submit", "x", "-p", "novalue"], ["submit", "x", "-p", "a b=c"], ["submit", "x", "--timeout-wait", "1m"]]
)
def test_wrong_flags_are_refused(fake: FakeEngine, spawn: Run, words: list[str]) -> None:
    assert spawn(*words).code == 2
    assert fake.bodies("/documents") == []
