"""The verbs that stand alone: help, version, doctor, completion; and what happens when something of ours breaks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from canned import array, check, engine
from fake_engine import FakeEngine
from running import Result, Run

from spawn import __version__
from spawn.cli.verbs import VERBS


@pytest.mark.parametrize("verb", [*VERBS, "engine start", "engine stop", "engine status", "engine logs"])
def test_help_shows_examples_before_flags(in_process: Run, verb: str) -> None:
    short, long = in_process(*verb.split(), "-h"), in_process(*verb.split(), "--help")
    assert (short.code, short.out) == (0, long.out)
    assert 0 < short.out.index("Examples:") < short.out.index("Usage:") < short.out.index("Options:")


def test_the_overview_lists_every_verb(spawn: Run) -> None:
    shown = spawn("--help")
    assert shown.code == 0
    assert all(f"\n  {verb} " in shown.out for verb in VERBS)


def test_the_version_needs_nothing(spawn: Run) -> None:
    assert spawn("--version").out == f"spawn {__version__}\n"
    assert spawn("version").out == f"spawn {__version__}\n"
    value = json.loads(spawn("version", "-o", "json").out)
    check("version", value)
    assert value["version"] == __version__


def test_doctor_works_without_an_engine_and_starts_none(spawn: Run, state_dir: Path) -> None:
    result = spawn("doctor")
    assert result.code == 0, result.out
    found = {line.split("\t")[1]: line.split("\t") for line in result.lines}
    assert found["engine"][0] == "ok"
    assert "none runs" in found["engine"][2]
    assert {"python", "sqlite", "settings", "state directory", "free space", "file system", "clock", "spored", "private /tmp", "memory limit"} < set(found)
    assert list(state_dir.iterdir()) == []


def test_doctor_in_json_keeps_to_its_schema(spawn: Run) -> None:
    for finding in json.loads(spawn("doctor", "-o", "json").out):
        check("finding", finding)


def test_doctor_says_why_a_feature_is_not_here(fake: FakeEngine, spawn: Run) -> None:
    fake.about = engine(version="0.0.1")
    lines = spawn("doctor").lines
    assert "warn\tmemory limit\tnot here: no writable cgroup" in lines
    assert any(line.startswith("warn\tengine\t0.0.1") and "`spawn engine stop`" in line for line in lines)


def a_store(state_dir: Path, version: int = 1) -> Path:
    path = state_dir / "store.db"
    with closing(sqlite3.connect(path)) as store:
        store.executescript("PRAGMA journal_mode = wal; CREATE TABLE t (x); CREATE INDEX i ON t (x);")
        store.executemany("INSERT INTO t VALUES (?)", [(f"row {number}",) for number in range(20000)])
        store.execute(f"PRAGMA user_version = {version}")
        store.commit()
    return path


def store_finding(result: Result) -> tuple[str, str]:
    (line,) = [line.split("\t") for line in result.lines if line.split("\t")[1] == "store"]
    return line[0], line[2]


def test_doctor_reads_a_sound_store_and_leaves_nothing_behind(spawn: Run, state_dir: Path) -> None:
    path = a_store(state_dir)
    before = path.read_bytes()
    result = spawn("doctor")
    assert result.code == 0
    assert store_finding(result)[0] == "ok"
    assert path.read_bytes() == before
    assert [one.name for one in state_dir.iterdir()] == ["store.db"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda content: b"not a database at all" + content[21:], "is no SQLite database"),
        (lambda content: content[:40000] + b"\xff" * 40000 + content[80000:], "is damaged"),
        (lambda content: content[: len(content) // 2], "is damaged"),
    ],
)
def test_doctor_finds_a_damaged_store(spawn: Run, state_dir: Path, damage: Callable[[bytes], bytes], found: str) -> None:
    path = a_store(state_dir)
    path.write_bytes(damage(path.read_bytes()))
    result = spawn("doctor")
    assert result.code == 3
    kind, sentence = store_finding(result)
    assert kind == "fail"
    assert found in sentence
    assert "put back a copy, or move the file away" in sentence


def test_doctor_finds_a_store_of_a_newer_version(spawn: Run, state_dir: Path) -> None:
    a_store(state_dir, version=99)
    kind, sentence = store_finding(spawn("doctor"))
    assert kind == "fail"
    assert "has schema 99" in sentence
    assert "use the newer spawn, or another SPAWN_STATE_DIR" in sentence


def test_doctor_fails_with_3_and_names_what(spawn: Run, home: Path) -> None:
    (home / "spawn.toml").write_text("[launch]\nttll = '3h'\n")
    result = spawn("doctor", SPAWN_STATE_DIR="/dev/null/state")
    assert result.code == 3
    assert "fail\tsettings\t" in result.out
    assert "error: not fit to run: settings, state directory" in result.err


UNSOUND = [
    ("[engine]\nec2-poll = '0s'\n", "config.toml: engine.ec2-poll: '0s'"),
    ("[engine]\nidle_exit = 5\n", "config.toml: engine.idle_exit: '5'"),
    ("[engine]\ncpus = 'many'\n", "config.toml: engine.cpus: 'many'"),
    ("[launch]\nttl = 5\n", "config.toml: launch.ttl: '5'"),
    ("[launch]\nregion = ['us-east-1', 'mars']\n", "config.toml: launch.region: 'mars' is not a region"),
    ("[launch.tag]\n'' = 'x'\n", "config.toml: launch.tag: "),
    ("[launch]\nretries = 'lots'\nttl = 'soon'\n", "config.toml: launch.ttl: 'soon'"),
]


@pytest.mark.parametrize(("settings", "found"), UNSOUND, ids=[found for _, found in UNSOUND])
def test_doctor_finds_a_setting_whose_value_nothing_would_take(in_process: Run, home: Path, settings: str, found: str) -> None:
    path = home / ".config" / "spawn" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(settings)
    result = in_process("doctor")
    assert result.code == 3
    (line,) = [line for line in result.lines if "\tsettings\t" in line]
    assert line.startswith("fail\t")
    assert found in line


def test_doctor_takes_sound_settings(in_process: Run, home: Path) -> None:
    (home / "spawn.toml").write_text("[launch]\nttl = '3h'\nspot = true\nregion = ['us-east-1']\nretry-on = ['oom']\n[launch.tag]\na = 1\n")
    assert "ok\tsettings\t5 set" in in_process("doctor").lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_spawn(spawn: Run, shell: str) -> None:
    result = spawn("completion", shell)
    assert result.code == 0
    assert "_SPAWN_COMPLETE" in result.out


def test_live_names_and_ids_are_completed(fake: FakeEngine, spawn: Run) -> None:
    fake.arrays = [array(), array("array-2", name="other")]
    result = spawn(COMP_WORDS="spawn status ", COMP_CWORD="2", _SPAWN_COMPLETE="bash_complete")
    assert [line.split(",")[1] for line in result.lines] == ["my-array", "array-20260127-100000", "other", "array-2", "last"]


def test_completion_is_silent_without_an_engine(spawn: Run, state_dir: Path) -> None:
    result = spawn(COMP_WORDS="spawn status ", COMP_CWORD="2", _SPAWN_COMPLETE="bash_complete")
    assert (result.out.strip(), result.err) == ("", "")
    assert list(state_dir.iterdir()) == []


def test_states_and_verbs_are_completed(spawn: Run) -> None:
    assert spawn(COMP_WORDS="spawn list --state te", COMP_CWORD="3", _SPAWN_COMPLETE="bash_complete").out == "plain,terminated\n"
    assert spawn(COMP_WORDS="spawn stat", COMP_CWORD="1", _SPAWN_COMPLETE="bash_complete").out == "plain,status\n"


def test_a_bug_of_ours_is_one_sentence_and_its_traceback_is_kept(fake: FakeEngine, spawn: Run, state_dir: Path) -> None:
    fake.arrays = [array() | {"created_at": "yesterday"}]
    result = spawn("status")
    assert result.code == 1
    assert result.err.startswith("error: something unexpected went wrong (ValueError: ")
    assert f"details are in {state_dir / 'cli.log'}" in result.err
    assert "Traceback" in (state_dir / "cli.log").read_text()
    assert "Traceback" in spawn("status", SPAWN_DEBUG="1").err
