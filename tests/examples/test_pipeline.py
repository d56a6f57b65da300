"""The example pipeline: its programs as its jobs run them, and its file as the engine takes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "pipeline"


def run(program: str, work: Path, index: int | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin"} | ({} if index is None else {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)})
    return subprocess.run(["sh", str(EXAMPLE / program), str(work)], env=environment, capture_output=True, text=True, check=False)


def steps(number: int) -> int:
    count = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        count += 1
    return count


def test_a_child_finds_the_longest_of_its_hundred_numbers_and_the_next_how_high_it_climbs(tmp_path: Path) -> None:
    assert run("prepare.sh", tmp_path / "work").returncode == 0
    for index in (0, 8377, 9999):
        assert run("longest.sh", tmp_path / "work", index).returncode == 0
        number, count = map(int, (tmp_path / "work" / "longest" / str(index // 1000) / str(index)).read_text().split())
        assert count == max(steps(n) for n in range(100 * index + 1, 100 * index + 101)) == steps(number)
        assert run("peak.sh", tmp_path / "work", index).returncode == 0
    assert (tmp_path / "work" / "peak" / "8" / "8377").read_text() == "837799 524 2974984576\n"


def test_a_result_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    run("prepare.sh", tmp_path / "work")
    (tmp_path / "work" / "longest" / "0" / "5").write_text("27 110\n")
    done = run("peak.sh", tmp_path / "work", 5)
    assert (done.returncode, done.stderr) == (1, "JobB says 110 steps, and it is 111\n")
    assert not (tmp_path / "work" / "peak" / "0" / "5").exists()


def test_validation_fails_when_results_are_missing_and_takes_the_best_of_all_steps(tmp_path: Path) -> None:
    work = tmp_path / "work"
    run("prepare.sh", work)
    done = run("validate.sh", work, 0)
    assert (done.returncode, done.stderr) == (1, "step 0: 0 results instead of 1000\n")
    for step in range(10):
        for number in range(1000):
            (work / "peak" / str(step) / str(1000 * step + number)).write_text(f"{1000 * step + number} {number + step % 7} {number}\n")
        assert run("validate.sh", work, step).returncode == 0
    assert run("summary.sh", work).stdout == "Below a million, 6999 takes longest: 1005 steps, climbing to 999\n"
    assert sorted(path.name for path in work.iterdir()) == ["result.txt"]


def test_the_file_holds_five_definitions_and_five_jobs_that_use_them() -> None:
    entries = yaml.safe_load((EXAMPLE / "pipeline.yaml").read_text())
    definitions = {entry["jobDefinitionName"]: entry for entry in entries if "jobDefinitionName" in entry}
    jobs = [entry for entry in entries if "jobName" in entry]
    assert [job["jobName"] for job in jobs] == ["JobA", "JobB", "JobC", "JobD", "JobE"]
    assert {job["jobDefinition"] for job in jobs} == set(definitions)
    for definition in definitions.values():
        script = definition["containerProperties"]["command"][1].removeprefix("Ref::here/")
        assert (EXAMPLE / script).is_file()
