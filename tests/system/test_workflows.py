"""Dependencies, failures and what follows, from the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.system.conftest import Shell, alive, eventually, found_under


def test_a_workflow_in_which_one_index_fails(shell: Shell) -> None:
    """A -> B (100) -> C (100, N_TO_N) -> D (10, sequential) -> E."""
    gate = shell.cwd / "gate"
    a = shell.launch("--name", "A", "--", "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done")
    b = shell.launch("--name", "B", "--array", "100", "--depends-on", a, "--", "sh", "-c", '[ "$TASK_ARRAY_INDEX" != 47 ]')
    c = shell.launch("--name", "C", "--array", "100", "--depends-on", f"{b}:N_TO_N", "--", "true")
    d = shell.launch("--name", "D", "--array", "10", "--sequential", "--depends-on", c, "--", "true")
    e = shell.launch("--name", "E", "--depends-on", d, "--", "true")
    gate.touch()
    shell("wait", e, code=7)
    assert shell.array(a)["status"] == "SUCCEEDED"
    assert (shell.array(b)["status"], shell.array(b)["status_reason"]) == ("FAILED", "Array Child Job failed")
    failed = [(member["index"], member["status_reason"], member["attempt"]) for member in shell.members(c) if member["status"] == "FAILED"]
    assert failed == [(47, "Dependent Job failed", 0)]
    assert (shell.array(c)["counts"]["SUCCEEDED"], shell.array(c)["status_reason"]) == (99, "Array Child Job failed")
    for job in (d, e):
        assert (shell.array(job)["status"], shell.array(job)["status_reason"]) == ("FAILED", "Dependent Job failed")


def test_a_sequence_runs_one_after_the_other(shell: Shell) -> None:
    order = shell.cwd / "order"
    array = shell.launch("--array", "10", "--sequential", "--wait", "--", "sh", "-c", f'echo "$TASK_ARRAY_INDEX" >> {order}')
    assert order.read_text().split() == [str(index) for index in range(10)]
    assert shell.array(array)["status"] == "SUCCEEDED"


def test_retrying_runs_only_what_failed_and_collecting_gets_all(shell: Shell) -> None:
    flag = shell.cwd / "repaired"
    script = f'#!/bin/sh\necho run >> {shell.cwd}/runs-$TASK_ARRAY_INDEX\n[ "$TASK_ARRAY_INDEX" != 2 ] || [ -e {flag} ] || {{ echo bad input >&2; exit 4; }}\n'
    script += 'echo "$TASK_ARRAY_INDEX squared is $((TASK_ARRAY_INDEX * TASK_ARRAY_INDEX))" > "$TASK_OUTPUT_DIR/square.txt"\n'
    array = shell.launch("--array", "4", "--name", "squares", "--user-data", script)
    shell("wait", array, code=7)
    status = shell("status", array)
    assert "bad input" in status.out
    partial = shell("collect", array, "partly", code=7)
    assert "2" in partial.err + partial.out
    flag.touch()
    shell("retry", array, "@failed")
    shell("wait", array)
    assert [len((shell.cwd / f"runs-{index}").read_text().split()) for index in range(4)] == [1, 1, 2, 1]
    shell("collect", array, "all")
    assert sorted(path.read_text() for path in (shell.cwd / "all").rglob("square.txt")) == [f"{n} squared is {n * n}\n" for n in range(4)]


def test_terminating_stops_also_what_left_the_process_group(shell: Shell) -> None:
    script = f'#!/bin/sh\ntrap "" TERM\nsetsid sleep 4321 &\necho $! > {shell.cwd}/stray-$TASK_ARRAY_INDEX\nsleep 4321\n'
    array = shell.launch("--array", "2", "--grace", "1s", "--user-data", script)
    strays = [shell.cwd / f"stray-{index}" for index in range(2)]
    eventually(lambda: all(path.exists() and path.read_text().strip() for path in strays))
    shell("terminate", array, "--yes")
    shell("wait", array, code=8)
    eventually(lambda: not any(alive(int(path.read_text())) for path in strays))


def test_a_timeout_ends_an_attempt_in_the_words_of_aws(shell: Shell) -> None:
    array = shell.launch("--array", "1", "--timeout", "1s", "--grace", "1s", "--", "sleep", "1000")
    shell("wait", array, code=7)
    assert shell.members(array)[0]["status_reason"] == "Job attempt duration exceeded timeout"


def test_too_many_failures_stop_the_rest(shell: Shell) -> None:
    array = shell.launch("--array", "500", "--max-failures", "3", "--", "sh", "-c", "sleep 0.05; exit 1")
    shell("wait", array, code=7, timeout_s=120)
    assert shell.array(array)["counts"]["FAILED"] == 500
    tried = [member for member in shell.members(array) if member["exit_code"] is not None]
    assert 4 <= len(tried) < 100


def test_cancelling_calls_back_what_has_not_started(shell: Shell) -> None:
    gate = shell.cwd / "gate"
    array = shell.launch("--array", "300", "--", "sh", "-c", f"[ $TASK_ARRAY_INDEX -lt 100 ] || while [ ! -e {gate} ]; do sleep 0.02; done")
    eventually(lambda: shell.counts(array)["RUNNING"] == 2 and shell.counts(array)["SUCCEEDED"] == 100)
    shell("cancel", array, "--yes")
    gate.touch()
    shell("wait", array, code=8)
    counts = shell.array(array)["counts"]
    assert (counts["SUCCEEDED"], counts["FAILED"]) == (102, 198)


def test_a_cap_can_be_changed_while_the_array_runs(shell: Shell) -> None:
    gate = shell.cwd / "gate"
    array = shell.launch("--array", "4%1", "--", "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done")
    eventually(lambda: shell.counts(array)["RUNNING"] == 1)
    assert "at most 1 at once" in shell("status", array, "--why").out
    shell("limit", array, "2")
    eventually(lambda: shell.counts(array)["RUNNING"] == 2)
    gate.touch()
    shell("wait", array)


def test_memory_over_the_limit_is_reported_as_such(shell: Shell) -> None:
    if why := shell.engine()["features"]["memory_limit"]:
        pytest.skip(f"no memory limits here: {why}")
    array = shell.launch("--memory", "50M", "--", "python3", "-c", "b = bytearray(300 << 20); print(len(b))")
    shell("wait", array, code=7)
    member = shell.members(array)[0]
    assert (member["exit_code"], member["reason"]) == (137, "OutOfMemoryError: Container killed due to memory usage")


def test_forgetting_leaves_no_files(shell: Shell) -> None:
    array = shell.launch("--array", "3", "--wait", "--", "echo", "hello")
    directory = shell.array(array)["directory"]
    shell("rm", array, "--yes")
    eventually(lambda: not Path(directory).exists())
    shell("status", array, code=4)


def test_single_jobs_are_named_by_id_name_and_last(shell: Shell) -> None:
    jobs = [shell.launch("--wait", "--name", f"job-{word}", "--", "echo", word) for word in ("one", "two")]
    for reference, word in ((jobs[0], "one"), (jobs[1], "two"), ("last", "two"), ("job-one", "one")):
        assert shell("logs", reference).lines == [word]
        assert shell("connect", reference, "--", "echo", "here").lines == ["here"]


def test_children_have_the_umask_of_whoever_launched_them(shell: Shell) -> None:
    before = os.umask(0o027)
    try:
        array = shell.launch("--wait", "--", "sh", "-c", f"umask; touch {shell.cwd}/made")
    finally:
        os.umask(before)
    assert shell("logs", array).lines == ["0027"]
    assert (shell.cwd / "made").stat().st_mode & 0o777 == 0o640


def test_the_private_tmp_of_a_lost_attempt_goes_with_its_instance(shell: Shell) -> None:
    if why := shell.engine()["features"]["private_tmp"]:
        pytest.skip(f"no private /tmp here: {why}")
    array = shell.launch("--array", "1", "--user-data", "#!/bin/sh\necho big > /tmp/big\nsleep 1000\n")
    directory = Path(shell.array(array)["directory"])
    eventually(lambda: any(path.name == "big" for path in found_under(directory)))
    shell.kill(shell.engine()["runner_pid"])
    shell("wait", array, code=7)
    eventually(lambda: not any(path.suffix == ".tmp" for path in found_under(directory)))


def test_a_session_ends_with_its_instance(shell: Shell) -> None:
    array = shell.launch("--array", "1", "--wait", "--user-data", "#!/bin/sh\nspored status >/dev/null\n")
    pid = int(shell("connect", f"{array}:0", "--", "sh", "-c", "spored status >/dev/null; setsid sleep 4321 >/dev/null 2>&1 & echo $!").out)
    shell("terminate", array, "--yes")
    eventually(lambda: not alive(pid))


def test_what_waits_for_an_index_that_failed_is_refused(shell: Shell) -> None:
    array = shell("launch", "-q", "--array", "2", "--wait", "--", "sh", "-c", "exit $TASK_ARRAY_INDEX", code=7).out.strip()
    assert f"{array}:1" in shell("launch", "--depends-on", f"{array}:1", "--", "true", code=5).err
    shell("launch", "--depends-on", f"{array}:0", "--wait", "--", "true")


def test_stopped_instances_keep_their_files_also_after_spored_complete(shell: Shell) -> None:
    if why := shell.engine()["features"]["private_tmp"]:
        pytest.skip(f"no private /tmp here: {why}")
    script = "#!/bin/sh\necho kept > /tmp/f\nspored complete --status success\nsleep 1000\n"
    array = shell.launch("--array", "1", "--on-complete", "stop", "--wait", "--user-data", script)
    assert shell.members(array)[0]["state"] == "stopped"
    assert shell("connect", f"{array}:0", "--", "cat", "/tmp/f").lines == ["kept"]


def test_an_array_launched_again_after_rm_has_files_of_its_own(shell: Shell) -> None:
    for _ in range(5):
        array = shell.launch("--wait", "--", "echo", "hello")
        assert shell("logs", array).lines == ["hello"]
        shell("rm", array, "--yes")


def test_work_that_was_accepted_is_not_ended_by_idleness(shell: Shell) -> None:
    for _ in range(4):
        array = shell.launch("--", "sh", "-c", "sleep 0.3", SPAWN_ENGINE_IDLE_EXIT="1s")
        shell("wait", array, SPAWN_ENGINE_IDLE_EXIT="1s")
        eventually(lambda: not (shell.state / "engine.sock").exists())
