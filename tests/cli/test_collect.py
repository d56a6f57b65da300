"""`collect`: outputs and a manifest; again copies only what is new; partial is said and is not success."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from canned import array, attempt, check, member
from fake_engine import FakeEngine
from running import Run

ID = "array-20260127-100000"


@pytest.fixture(autouse=True)
def outputs(fake: FakeEngine, tmp_path: Path) -> Path:
    """Four indexes: two done, one failed after an earlier attempt had failed too, one that runs."""
    fake.arrays = [array(size=4, indexes="0-3", counts={"SUCCEEDED": 2, "FAILED": 1, "RUNNING": 1})]
    statuses = ["SUCCEEDED", "SUCCEEDED", "FAILED", "RUNNING"]
    fake.members = [member(index, status=status) for index, status in enumerate(statuses)]
    root = tmp_path / "outputs"
    for index in (0, 1):
        directory = root / f"{index}-2.out"
        (directory / "sub").mkdir(parents=True)
        (directory / "sub" / f"deep-{index}.txt").write_text(f"deep {index}")
        (directory / f"top-{index}.txt").write_text(f"top {index}")
        log = root / f"{index}-2.log"
        log.write_text(f"log {index}\n")
        earlier = attempt(1, status="FAILED", exit_code=1, output=str(root / "gone"))
        fake.attempts[f"{ID}:{index}"] = [earlier, attempt(2, output=str(directory), log=str(log))]
    fake.attempts[f"{ID}:2"] = [attempt(1, status="FAILED", exit_code=1)]
    fake.attempts[f"{ID}:3"] = [attempt(1, status=None, exit_code=None, stopped_at=None)]
    return root


def manifest(directory: Path) -> Any:
    return json.loads((directory / "manifest.json").read_text())


def test_outputs_lie_below_their_index_and_the_manifest_says_what_is_missing(spawn: Run, home: Path) -> None:
    result = spawn("collect", "last", "out")
    assert result.code == 7
    assert "Collected 2 of 4 into out (4 files, 22 B; 4 copied); failed: 2; missing: 3" in result.err
    assert (home / "out/1/sub/deep-1.txt").read_text() == "deep 1"
    found = manifest(home / "out")
    assert {key: found[key] for key in ("schema_version", "array_id", "size", "done", "failed", "missing")} == {
        "schema_version": 1,
        "array_id": ID,
        "size": 4,
        "done": "0-1",
        "failed": "2",
        "missing": "3",
    }
    assert [entry["path"] for entry in found["files"]] == ["0/top-0.txt", "0/sub/deep-0.txt", "1/top-1.txt", "1/sub/deep-1.txt"]
    assert found["files"][0] == {"index": 0, "attempt": 2, "path": "0/top-0.txt", "size": 5, "sha256": hashlib.sha256(b"top 0").hexdigest(), "log": False}
    assert result.lines[0].split("\t") == ["0", "0/top-0.txt", "5", hashlib.sha256(b"top 0").hexdigest()]


def test_when_everything_is_done_it_succeeds(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [array(size=2, indexes="0-1", status="SUCCEEDED", counts={"SUCCEEDED": 2}, stopped_at="2026-01-27T10:00:05Z")]
    fake.members = fake.members[:2]
    result = spawn("collect", "last", "out", "-o", "json")
    assert result.code == 0
    value = json.loads(result.out)
    check("manifest", value)
    assert value["done"] == "0-1"


def test_again_copies_nothing_that_is_there_and_everything_that_is_new(fake: FakeEngine, spawn: Run, home: Path, outputs: Path) -> None:
    spawn("collect", "last", "out")
    before = (home / "out/manifest.json").read_bytes()
    assert "0 copied" in spawn("collect", "last", "out").err
    assert (home / "out/manifest.json").read_bytes() == before
    (outputs / "2-2.out").mkdir()
    (outputs / "2-2.out/late.txt").write_text("late")
    fake.members[2] |= {"status": "SUCCEEDED"}
    fake.attempts[f"{ID}:2"].append(attempt(2, output=str(outputs / "2-2.out")))
    assert "1 copied" in spawn("collect", "last", "out").err
    assert (home / "out/2/late.txt").read_text() == "late"


def test_a_later_attempt_replaces_what_an_earlier_one_wrote(fake: FakeEngine, spawn: Run, home: Path, outputs: Path) -> None:
    spawn("collect", "last", "out")
    (outputs / "0-3.out").mkdir()
    (outputs / "0-3.out/top-0.txt").write_text("newer")
    fake.attempts[f"{ID}:0"].append(attempt(3, output=str(outputs / "0-3.out")))
    assert spawn("collect", "last", "out").code == 7
    assert (home / "out/0/top-0.txt").read_text() == "newer"
    assert not (home / "out/0/sub").exists()


def test_a_file_of_someone_else_is_not_overwritten_unless_forced(spawn: Run, home: Path) -> None:
    (home / "out/0").mkdir(parents=True)
    (home / "out/0/top-0.txt").write_text("mine")
    result = spawn("collect", "last", "out")
    assert result.code == 5
    assert f"out/0/top-0.txt did not come from {ID}: move it away, or overwrite with --force" in result.err
    assert [path.name for path in (home / "out").iterdir()] == ["0"]
    assert spawn("collect", "last", "out", "--force").code == 7
    assert (home / "out/0/top-0.txt").read_text() == "top 0"


def test_a_collected_file_that_was_changed_since_is_not_overwritten(spawn: Run, home: Path, outputs: Path) -> None:
    spawn("collect", "last", "out")
    (home / "out/0/top-0.txt").write_text("edited by hand")
    (outputs / "0-2.out/top-0.txt").write_text("written again")
    refused = spawn("collect", "last", "out")
    assert refused.code == 5
    assert "out/0/top-0.txt was changed since it was collected: move it away, or overwrite with --force" in refused.err
    assert (home / "out/0/top-0.txt").read_text() == "edited by hand"


def test_what_could_not_be_kept_of_an_attempt_that_succeeded_is_said_and_in_the_manifest(fake: FakeEngine, spawn: Run, home: Path) -> None:
    for index, why in ((0, "Essential container in task exited"), (1, "Essential container in task exited; not all that it left could be kept: x missing")):
        fake.attempts[f"{ID}:{index}"][-1]["status_reason"] = why
    result = spawn("collect", "last", "out")
    assert [line for line in result.err.splitlines() if line.startswith("warning")] == ["warning: index 1: not all that it left could be kept: x missing"]
    manifest = json.loads((home / "out" / "manifest.json").read_text())
    check("manifest", manifest)
    assert manifest["incomplete"] == [{"indexes": "1", "reason": "not all that it left could be kept: x missing"}]


def test_a_manifest_of_an_earlier_version_is_gone_on_with(spawn: Run, home: Path) -> None:
    spawn("collect", "last", "out")
    path = home / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest.pop("incomplete") == []
    path.write_text(json.dumps(manifest))
    assert "; 0 copied)" in spawn("collect", "last", "out").err


def test_two_arrays_do_not_share_a_directory(fake: FakeEngine, spawn: Run) -> None:
    spawn("collect", "last", "out")
    fake.arrays = [array("array-2", name="other")]
    fake.members = [member(0, "array-2", attempt=0, status="RUNNABLE")]
    result = spawn("collect", "other", "out")
    assert result.code == 5
    assert f"out holds {ID}" in result.err


def test_flat_has_no_directories_of_indexes_and_refuses_one_name_twice(spawn: Run, home: Path, outputs: Path) -> None:
    assert spawn("collect", "last", "flat", "--flat").code == 7
    assert sorted(path.name for path in (home / "flat").iterdir()) == ["manifest.json", "sub", "top-0.txt", "top-1.txt"]
    (outputs / "1-2.out/top-0.txt").write_text("again")
    result = spawn("collect", "last", "other", "--flat")
    assert result.code == 5
    assert "top-0.txt is written by index 1 and by index 0: collect without --flat" in result.err
    assert not (home / "other").exists()


def test_logs_come_along_when_asked_for(spawn: Run, home: Path) -> None:
    spawn("collect", "last", "out", "--logs")
    assert (home / "out/logs/1.log").read_text() == "log 1\n"
    assert [entry["path"] for entry in manifest(home / "out")["files"] if entry["log"]] == ["logs/0.log", "logs/1.log"]


def test_a_dry_run_writes_nothing(spawn: Run, home: Path) -> None:
    result = spawn("collect", "last", "out", "--dry-run")
    assert result.code == 7
    assert "Would collect 2 of 4 into out (4 files, 22 B; 4 to copy)" in result.err
    assert not (home / "out").exists()


def test_what_is_no_regular_file_is_left_and_named(spawn: Run, home: Path, outputs: Path) -> None:
    (outputs / "0-2.out/dangling").symlink_to("/no/such/file")
    (outputs / "0-2.out/linked").symlink_to(outputs / "0-2.log")
    result = spawn("collect", "last", "out")
    assert "note: not a regular file, left where it is: " in result.err
    assert (home / "out/0/linked").read_text() == "log 0\n"
    assert not (home / "out/0/linked").is_symlink()


def test_outputs_that_are_gone_make_an_index_missing(fake: FakeEngine, spawn: Run, home: Path, tmp_path: Path) -> None:
    fake.attempts[f"{ID}:0"] = [attempt(1, output=str(tmp_path / "not there"), log=str(tmp_path / "nor this"))]
    assert spawn("collect", "last", "out").code == 7
    assert manifest(home / "out")["missing"] == "0,3"


def test_an_index_that_wrote_nothing_is_done(fake: FakeEngine, spawn: Run, home: Path, outputs: Path) -> None:
    fake.attempts[f"{ID}:0"] = [attempt(1, output=str(outputs / "removed-because-empty"), log=str(outputs / "0-2.log"))]
    assert spawn("collect", "last", "out").code == 7
    assert manifest(home / "out")["done"] == "0-1"


def test_in_jsonl_every_file_has_a_schema_version(spawn: Run) -> None:
    lines = [json.loads(line) for line in spawn("collect", "last", "out", "-o", "jsonl").lines]
    assert [line.pop("schema_version") for line in lines] == [1] * 4
    assert lines[0] == {"index": 0, "attempt": 2, "path": "0/top-0.txt", "size": 5, "sha256": hashlib.sha256(b"top 0").hexdigest(), "log": False}
