"""Disks that are full, read-only or damaged, and stores of another version: one clear sentence, and nothing recorded that did not happen."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Shell, alive, eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")


def one_sentence(text: str) -> bool:
    lines = [line for line in text.splitlines() if not line.startswith("note:")]
    return len(lines) == 1 and "Traceback" not in text


@pytest.fixture
def small_disk(shell: Shell) -> Iterator[Path]:
    """The state directory on a file system of 8 MiB."""
    shell.state.mkdir(mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(shell.state)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield shell.state
    shell("engine", "stop", "--terminate", "--yes", code=None)
    subprocess.run(["umount", "-l", str(shell.state)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room for another page."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    return filler


@needs_root
def test_a_full_disk_is_said_and_nothing_is_recorded(shell: Shell, small_disk: Path) -> None:
    done = shell.launch("--array", "2", "--wait", "--", "true")
    filler = fill(small_disk)
    refused = shell("launch", "--array", "5", "--", "true", code=6)
    assert one_sentence(refused.err)
    assert "no space left" in refused.err
    assert refused.out == ""
    filler.unlink()
    assert [line.split("\t")[0] for line in shell("status").lines] == [done]
    again = shell.launch("--array", "5", "--wait", "--", "true")
    assert shell.array(again)["counts"]["SUCCEEDED"] == 5


@needs_root
def test_an_array_outlasts_a_full_disk(shell: Shell, small_disk: Path) -> None:
    array = shell.launch("--array", "400", "--", "sh", "-c", "sleep 0.01")
    eventually(lambda: shell.counts(array)["SUCCEEDED"] > 20)
    filler = fill(small_disk)
    filler.unlink()
    shell("wait", array, timeout_s=120)
    assert shell.array(array)["counts"]["SUCCEEDED"] == 400
    assert {member["attempt"] for member in shell.members(array)} == {1}


@needs_root
def test_an_engine_on_a_full_disk_can_be_stopped(shell: Shell, small_disk: Path) -> None:
    array = shell.launch("--array", "2", "--", "sleep", "1000")
    engine = shell.engine()
    eventually(lambda: shell.counts(array)["RUNNING"] == 2)
    filler = fill(small_disk)
    shell("engine", "stop", "--terminate", "--yes", code=None, timeout_s=120)
    eventually(lambda: not alive(engine["pid"]) and not alive(engine["runner_pid"]), within_s=90)
    filler.unlink()
    shell("status")


def test_a_store_of_a_newer_version_is_left_alone(shell: Shell) -> None:
    shell.state.mkdir(mode=0o700)
    store = sqlite3.connect(shell.state / "store.db")
    store.execute("PRAGMA user_version = 9999")
    store.close()
    refused = shell("list", code=3)
    assert one_sentence(refused.err)
    assert "9999" in refused.err
    assert "SPAWN_STATE_DIR" in refused.err


def test_a_file_that_is_no_store_is_named(shell: Shell) -> None:
    shell.state.mkdir(mode=0o700)
    (shell.state / "store.db").write_bytes(b"this is not a database" * 1000)
    refused = shell("list", code=6)
    assert one_sentence(refused.err)
    assert "store.db" in refused.err
    assert "damaged" in refused.err


def test_a_damaged_page_is_said_and_not_guessed_around(shell: Shell) -> None:
    array = shell.launch("--array", "300", "--wait", "--", "true")
    shell("engine", "stop")
    store = shell.state / "store.db"
    connection = sqlite3.connect(store)
    page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'child'").fetchone()[0]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with store.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xff" * page_size)
    refused = shell("list", "--array", array, code=6)
    assert one_sentence(refused.err)
    assert "damaged" in refused.err


def test_a_state_directory_that_cannot_be_made_is_named(shell: Shell) -> None:
    (shell.home / "file").write_text("not a directory")
    refused = shell("list", code=3, SPAWN_STATE_DIR=str(shell.home / "file" / "state"))
    assert one_sentence(refused.err)
    assert "SPAWN_STATE_DIR" in refused.err


@needs_root
def test_a_read_only_state_directory_is_named(shell: Shell) -> None:
    shell.launch("--wait", "--", "true")
    shell("engine", "stop", "--terminate", "--yes")
    subprocess.run(["mount", "--bind", str(shell.state), str(shell.state)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(shell.state)], check=True)
        refused = shell("launch", "--", "true", code=3)
    finally:
        subprocess.run(["umount", str(shell.state)], check=True)
    assert one_sentence(refused.err)
    assert str(shell.state) in refused.err


def test_an_engine_whose_socket_was_removed_gives_way_to_another(shell: Shell) -> None:
    first = shell.engine()["pid"]
    (shell.state / "engine.sock").unlink()
    assert shell.launch("--wait", "--", "true")
    assert shell.engine()["pid"] != first


def test_a_store_that_was_removed_is_not_written_to_any_more(shell: Shell) -> None:
    shell.launch("--wait", "--", "true")
    pid = shell.engine()["pid"]
    (shell.state / "store.db").unlink()
    refused = shell("launch", "--", "true", code=None)
    assert refused.code in (0, 6)  # 0: the engine had given way to a new one, with a new store, already
    assert refused.code == 0 or "was removed" in refused.err
    eventually(lambda: not alive(pid))
    array = shell.launch("--wait", "--", "true")
    assert shell.array(array)["counts"]["SUCCEEDED"] == 1


def test_a_journal_that_was_removed_loses_what_ran_and_not_the_array(shell: Shell) -> None:
    flag = shell.cwd / "up"
    array = shell.launch(
        "--array", "3", "--retries", "1", "--", "sh", "-c", f"[ $TASK_ATTEMPT = 2 ] || [ $TASK_ARRAY_INDEX = 2 ] || {{ touch {flag}; sleep 1000; }}"
    )
    eventually(flag.exists)
    eventually(lambda: shell.counts(array)["RUNNING"] == 2)
    shutil.rmtree(shell.state / "runner" / "journal")
    shell("wait", array)
    assert [member["attempt"] for member in shell.members(array)] == [2, 2, 1]


def test_the_state_directory_of_someone_else_is_refused(shell: Shell) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory of someone else's")
    shell.state.mkdir(mode=0o777)
    os.chown(shell.state, 65534, 65534)
    refused = shell("list", code=3)
    assert one_sentence(refused.err)
    assert "another user" in refused.err


def test_a_child_with_its_own_tmp_starts_no_engine(shell: Shell) -> None:
    if why := shell.engine()["features"]["private_tmp"]:
        pytest.skip(f"no private /tmp here: {why}")
    script = f'#!/bin/sh\nSPAWN_STATE_DIR={shell.home}/other spawn status\necho "exit status $?"\n'
    array = shell.launch("--array", "1", "--wait", "--user-data", script)
    logged = shell("logs", array).lines
    assert logged[-1] == "exit status 6"
    assert "cannot start one that lasts" in logged[0]
    assert not (shell.home / "other" / "engine.lock").exists()


def test_a_terminated_engine_ends_in_good_order(shell: Shell) -> None:
    array = shell.launch("--array", "2", "--", "sh", "-c", f"while [ ! -e {shell.cwd}/gate ]; do sleep 0.02; done")
    pid = shell.engine()["pid"]
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(pid))
    assert not (shell.state / "engine.sock").exists()
    assert not (shell.state / "store.db-wal").exists()
    (shell.cwd / "gate").touch()
    shell("wait", array)


def test_stopping_the_engine_while_a_client_waits_leaves_it_stopped(shell: Shell) -> None:
    array = shell.launch("--array", "2", "--", "sleep", "1000")
    pid = shell.engine()["pid"]
    waiting = shell.start("wait", array)
    # a command, which takes as long as the other one takes to begin to wait
    eventually(lambda: shell.array(array)["counts"]["RUNNING"] == 2)
    shell("engine", "stop")
    _, error = waiting.communicate(timeout=60)
    assert waiting.returncode == 6, error
    assert not alive(pid)
    assert not (shell.state / "engine.sock").exists()


def test_everything_is_terminated_also_when_no_engine_runs(shell: Shell) -> None:
    running, ended = shell.cwd / "running", shell.cwd / "ended"
    script = f"[ $TASK_ARRAY_INDEX = 0 ] && {{ touch {ended}; exit 3; }}; touch {running}; exec sleep 1000"
    array = shell.launch("--array", "3", "--max-concurrent", "2", "--", "sh", "-c", script)
    eventually(lambda: running.exists() and ended.exists() and shell.counts(array)["RUNNING"] == 2)
    waiting = shell.launch("--depends-on", array, "--", "touch", str(shell.cwd / "never"))
    runner = shell.engine()["runner_pid"]
    shell("engine", "stop")
    assert shell("engine", "stop", "--terminate", "--yes").err == "the engine has stopped\n"
    assert not alive(runner)
    assert [(member["status"], member["exit_code"]) for member in shell.members(array)] == [("FAILED", 3), *[("FAILED", 143)] * 2]
    assert shell.array(waiting)["status"] == "FAILED"
    assert not (shell.cwd / "never").exists()
