"""The example's own programs, run as its script runs them; `make demo` runs the whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "process-files"


def run(program: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, EXAMPLE / program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("example")
    assert run("make_inputs.py", cwd=directory).returncode == 0
    return directory / "inputs"


class Child:
    """process.sh as one child runs it, with a directory in the place of its private /tmp."""

    def __init__(self, index: int, inputs: Path, directory: Path) -> None:
        workdir, tmp, output, programs = inputs.parent, directory / "tmp", directory / "output", directory / "bin"
        for made in (tmp, output, programs):
            made.mkdir()
        (programs / "spored").write_text(f'#!/bin/sh\necho "$@" >> {directory}/said\n')
        (programs / "spored").chmod(0o755)
        (programs / "python3").symlink_to(sys.executable)
        script = directory / "process.sh"
        script.write_text((EXAMPLE / "process.sh").read_text().replace("/tmp/", f"{tmp}/").replace("summarise.py", str(EXAMPLE / "summarise.py")))
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "TASK_ARRAY_INDEX": str(index), "TASK_OUTPUT_DIR": str(output)}
        done = subprocess.run(["bash", script], cwd=workdir, env=environment, capture_output=True, text=True, check=False)
        self.status = done.returncode
        self.log = done.stdout + done.stderr
        self.summary = json.loads((output / "summary.json").read_text()) if (output / "summary.json").exists() else None
        self.said = (directory / "said").read_text() if (directory / "said").exists() else ""


def test_the_inputs_are_a_hundred_files_and_the_same_every_time(inputs: Path, tmp_path: Path) -> None:
    run("make_inputs.py", tmp_path / "again", cwd=tmp_path)
    names = sorted(path.name for path in inputs.iterdir())
    assert names == [f"file-{index:03}.csv" for index in range(100)]
    assert all((tmp_path / "again" / name).read_bytes() == (inputs / name).read_bytes() for name in names)


def test_a_plain_file_is_summarised_and_the_child_says_that_it_is_done(inputs: Path, tmp_path: Path) -> None:
    child = Child(1, inputs, tmp_path)
    assert child.status == 0
    assert child.said == "complete --status success\n"
    assert child.summary is not None
    assert (child.summary["rows"], child.summary["country"]) == (366, "GERMANY")
    flow = child.summary["columns"]["FLOW_M3S"]
    assert flow["min"] < flow["mean"] < flow["max"]


@pytest.mark.parametrize(("index", "rows"), [(13, 0), (29, 0), (41, 366), (43, 366), (62, 366), (77, 366), (98, 366)])
def test_the_other_faults_of_real_files_are_no_failure(index: int, rows: int, inputs: Path, tmp_path: Path) -> None:
    child = Child(index, inputs, tmp_path)
    assert (child.status, child.said) == (0, "complete --status success\n")
    assert child.summary is not None
    assert child.summary["rows"] == rows


def test_the_file_without_a_column_fails_its_child_with_the_name_of_the_column(inputs: Path, tmp_path: Path) -> None:
    child = Child(37, inputs, tmp_path)
    assert child.status == 1
    assert "no column FLOW_M3S" in child.log
    assert (child.summary, child.said) == (None, "")


def test_exactly_one_file_fails_and_repairing_it_changes_no_other(inputs: Path, tmp_path: Path) -> None:
    lacking = [path.name for path in sorted(inputs.iterdir()) if path.stat().st_size and "flow_m3s" not in path.read_text().splitlines()[0]]
    assert lacking == ["file-037.csv"]
    run("make_inputs.py", tmp_path, "--repair", 37, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file-037.csv"]
    assert "flow_m3s" in (tmp_path / "file-037.csv").read_text()


def test_an_index_that_no_file_has_cannot_be_repaired(tmp_path: Path) -> None:
    refused = run("make_inputs.py", "--repair", 100, cwd=tmp_path)
    assert refused.returncode == 2
    assert "there is no file 100" in refused.stderr


def test_the_table_counts_files_without_a_reading_apart(inputs: Path, tmp_path: Path) -> None:
    for index in (0, 13, 60):
        (tmp_path / str(index)).mkdir()
        child = Child(index, inputs, tmp_path / str(index))
        assert child.status == 0
    table = run("aggregate.py", tmp_path, cwd=tmp_path)
    lines = table.stdout.splitlines()
    assert lines[-1] == "3 files, 1 of them without a reading"
    assert [line.split()[:3] for line in lines if line.startswith("Switzerland")] == [["Switzerland", "2", "732"]]


def test_the_table_names_the_indexes_that_the_manifest_says_are_not_there(inputs: Path, tmp_path: Path) -> None:
    assert Child(0, inputs, tmp_path).status == 0
    (tmp_path / "manifest.json").write_text(json.dumps({"done": "0", "failed": "37", "missing": ""}))
    table = run("aggregate.py", tmp_path, cwd=tmp_path)
    assert table.stdout.splitlines()[-1] == "not among them, because failed: 37"


def test_the_table_of_nothing_is_refused(tmp_path: Path) -> None:
    refused = run("aggregate.py", tmp_path, cwd=tmp_path)
    assert refused.returncode == 1
    assert "no summary.json below it" in refused.stderr


def test_the_readme_shows_the_commands_that_the_demo_types() -> None:
    typed = [
        re.sub(r"^(-x \d+ )?", "", line.removeprefix("run ")).replace(' ${ONE_AT_A_TIME[@]+"${ONE_AT_A_TIME[@]}"}', "")
        for line in (EXAMPLE / "demo.sh").read_text().splitlines()
        if line.startswith("run ")
    ]
    shown = (EXAMPLE / "README.md").read_text()
    assert len(typed) == 9
    missing = [command for command in typed if command.removesuffix(" --yes") not in shown]
    assert missing == []
