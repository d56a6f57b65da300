"""The command line, with every Python that spored promises to work with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import spored
from spored import cli
from tests.spored.driver import PROGRAM, ROOT, Runner

VERSIONS = ("3.9", "3.10", "3.12", "3.13")


def find_python(version: str) -> str:
    """A Python of this version, or the test is skipped."""
    name = f"python{version}"
    places = [shutil.which(name), *sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))), f"/usr/local/bin/{name}"]
    for place in places:
        if place is not None and os.access(place, os.X_OK) and subprocess.run([place, "-IS", "-c", ""], capture_output=True, check=False).returncode == 0:
            return place
    pytest.skip(f"there is no {name} here")


def call(*words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-IS", str(PROGRAM), *words], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_runner_of_another_python_runs_everything(version: str, make_runner: Callable[..., Runner]) -> None:
    runner = make_runner(python=find_python(version))
    runner.start()
    script = "spored status -o json; spored complete --status success; sleep 300"
    attempt = runner.sh(script, private_tmp=True, ttl_s=100, memory=100, memory_limit=True)
    assert runner.event(attempt, "completed")["status"] == "success"
    runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 5})
    assert runner.ended(attempt)["why"] == "stopped"
    lost = runner.sh("sleep 300", directory=str(runner.files / "b"))
    runner.event(lost, "started")
    runner.kill()
    runner.start()
    assert "lost" in runner.of(lost)


def test_it_runs_from_its_directory_from_a_zipapp_and_as_a_module(tmp_path: Path, make_runner: Callable[..., Runner]) -> None:
    expected = f"spored {spored.__version__}\n"
    assert call("version").stdout == expected
    assert call("--version").stdout == expected
    assert subprocess.run([sys.executable, str(PROGRAM.parent), "version"], capture_output=True, text=True, check=True).stdout == expected
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-m", "spored", "version"], capture_output=True, text=True, check=True, env=environment).stdout == expected
    archive = tmp_path / "spored.pyz"
    source = tmp_path / "source"
    shutil.copytree(PROGRAM.parent, source / "spored", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "__main__.py").write_text("import sys\n\nfrom spored.cli import main\n\nsys.exit(main())\n")
    subprocess.run([sys.executable, "-m", "zipapp", str(source), "-o", str(archive)], check=True)
    runner = make_runner()
    runner.program = archive
    runner.start()
    attempt = runner.sh("spored complete --status success", private_tmp=True)
    assert runner.ended(attempt)["code"] == 0, runner.output(attempt)
    assert runner.of(attempt)["completed"]["status"] == "success"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("rum",), "unknown command 'rum'; did you mean run?"),
        (("zzz",), "unknown command 'zzz' (spored --help lists all)"),
        (("run", "--directroy", "/x"), "unknown flag '--directroy'; did you mean --directory?"),
        (("run",), "run needs --directory DIR"),
        (("run", "--directory"), "--directory needs a value"),
        (("run", "--directory", "/x", "--idle-exit", "0"), "--idle-exit must be a number of seconds above 0, not '0'"),
        (("run", "--directory", "/x", "word"), "run takes no word 'word'"),
        (("enter",), "enter needs --session-fd with the number of an open descriptor, not ''"),
        (("enter", "--session-fd", "99"), "descriptor 99 cannot be read: Bad file descriptor"),
        (("enter", "ls"), "enter takes a command only after --, not 'ls'"),
    ],
)
def test_wrong_words_are_one_sentence_and_exit_2(words: tuple[str, ...], text: str) -> None:
    done = call(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"spored: {text}\n")


def test_help_lists_every_command() -> None:
    for words in (("--help",), ("-h",), ("run", "--help")):
        done = call(*words)
        assert done.returncode == 0
        assert all(f"spored {command}" in done.stdout for command in ("complete", "status", "run", "enter", "version"))
    assert call().returncode == 2


def test_a_directory_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call("run", "--directory", str(tmp_path / "file"))
    assert done.returncode == 6
    assert done.stderr == f"spored: {tmp_path / 'file'} cannot be used: File exists\n"


def test_the_entry_point_is_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"spored {spored.__version__}\n"


def test_completing_imports_little() -> None:
    loaded = subprocess.run(
        [sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); import spored.cli, spored.inside; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"argparse", "json", "ctypes", "dataclasses", "inspect", "difflib", "re", "subprocess", "typing"} & set(loaded)
