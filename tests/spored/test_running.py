"""Attempts that run, and what is written down of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from spored import WIRE
from tests.spored.driver import Runner
from tests.spored.schema import hold


def test_an_attempt_is_written_down_before_it_starts_and_when_it_ends(runner: Runner) -> None:
    attempt = runner.sh("echo out; echo err >&2; exit 3")
    ended = runner.ended(attempt)
    assert (ended["code"], ended["signal"], ended["why"]) == (3, None, None)
    kinds = [event["e"] for event in runner.events() if event.get("a") == attempt]
    assert kinds == ["starting", "started", "ended"]
    assert runner.output(attempt) == "out\nerr\n"


def test_a_signal_is_no_exit_code(runner: Runner) -> None:
    ended = runner.ended(runner.sh("kill -SEGV $$"))
    assert (ended["code"], ended["signal"]) == (None, 11)


def test_the_engine_is_nudged_at_once_when_nothing_waits(runner: Runner) -> None:
    attempt = runner.one()
    while not runner.of(attempt).get("ended"):
        assert runner.receive()["op"] == "grew"


def test_an_attempt_id_starts_once_however_often_it_is_asked_for(runner: Runner) -> None:
    key = runner.array(size=3, argv=["/bin/sh", "-c", "echo ran"])
    for _ in range(3):
        runner.begin(key, 0, 1, 2)
    for position in range(3):
        runner.ended(f"{key}:{position}:1")
    runner.begin(key, 0, 1, 2)
    again = runner.begin(key, 0, attempt=2)[0]
    runner.ended(again)
    starts = [event["a"] for event in runner.events() if event["e"] == "starting"]
    assert starts == [f"{key}:0:1", f"{key}:1:1", f"{key}:2:1", again]
    assert runner.output(f"{key}:0:1") == "ran\n"


def test_children_begin_in_order(runner: Runner) -> None:
    runner.hello(cpus=1000)
    key = runner.array(size=40)
    runner.begin(key, *range(40))
    runner.ended(f"{key}:39:1")
    starts = [event["a"] for event in runner.events() if event["e"] == "starting"]
    assert starts == [f"{key}:{position}:1" for position in range(40)]


def test_no_more_run_at_once_than_there_is_room_for(runner: Runner) -> None:
    script = 'mkdir "$HOME/now/$TASK_ARRAY_INDEX"; ls "$HOME/now" | wc -l; sleep 0.05; rmdir "$HOME/now/$TASK_ARRAY_INDEX"'
    (runner.files / "now").mkdir(parents=True)
    key = runner.array(size=12, argv=["/bin/sh", "-c", script])
    attempts = runner.begin(key, *range(12))
    assert all(runner.ended(attempt)["code"] == 0 for attempt in attempts)
    assert {int(runner.output(attempt)) for attempt in attempts} <= {1, 2}


def test_a_child_that_does_not_fit_yet_keeps_later_ones_waiting(runner: Runner) -> None:
    gate = runner.files / "gate"
    runner.files.mkdir(exist_ok=True)
    os.mkfifo(gate)
    first = runner.sh(f"read line < {gate}", directory=str(runner.files / "first"))
    runner.event(first, "started")
    large = runner.sh("true", cpus=2000, directory=str(runner.files / "large"))
    small = runner.sh("true", directory=str(runner.files / "small"))
    assert set(runner.hello()["queued"]) == {large, small}
    gate.write_text("go\n")
    runner.ended(small)
    starts = [event["a"] for event in runner.events() if event["e"] == "starting"]
    assert starts == [first, large, small]


def test_memory_is_shared_out_too(runner: Runner) -> None:
    runner.files.mkdir(exist_ok=True)
    gate = runner.files / "gate"
    os.mkfifo(gate)
    first = runner.sh(f"read line < {gate}", cpus=0, memory=1000)
    runner.event(first, "started")
    second = runner.one(cpus=0, memory=100)
    assert runner.hello()["queued"] == [second]
    gate.write_text("go\n")
    runner.ended(second)


def test_an_array_at_its_limit_lets_others_pass(runner: Runner) -> None:
    runner.files.mkdir(exist_ok=True)
    gate = runner.files / "gate"
    os.mkfifo(gate)
    capped = runner.array(size=2, argv=["/bin/sh", "-c", f"read line < {gate}"], max_concurrent=1, cpus=0, directory=str(runner.files / "capped"))
    runner.begin(capped, 0, 1)
    runner.event(f"{capped}:0:1", "started")
    other = runner.one(directory=str(runner.files / "other"))
    runner.ended(other)
    assert not runner.of(f"{capped}:1:1")
    runner.send({"op": "limit", "key": capped, "max_concurrent": None})
    runner.event(f"{capped}:1:1", "started")
    with gate.open("w") as file:
        file.write("go\ngo\n")
        file.flush()
        runner.ended(f"{capped}:0:1")
        runner.send({"op": "stop", "attempts": [f"{capped}:1:1"], "why": "stopped", "grace_s": 1})
        runner.ended(f"{capped}:1:1")


def test_what_can_never_fit_is_refused(runner: Runner) -> None:
    reason = runner.event(runner.one(cpus=64000), "refused")["reason"]
    assert reason == "CannotStartContainerError: it needs 64 vCPUs and 0 MiB, more than this machine shares out (2 vCPUs and 1024 MiB)"


def test_queued_attempts_can_be_dropped_and_running_ones_not(runner: Runner) -> None:
    runner.hello(cpus=1000)
    key = runner.array(size=3, argv=["/bin/sleep", "60"])
    running, waiting, stopped = runner.begin(key, 0, 1, 2)
    runner.event(running, "started")
    runner.send({"op": "drop", "attempts": [running, waiting]})
    runner.event(waiting, "dropped")
    runner.send({"op": "stop", "attempts": [stopped], "why": "stopped", "grace_s": 0})
    runner.event(stopped, "dropped")
    runner.begin(key, 1, 2)
    welcome = runner.hello()
    assert (welcome["running"], welcome["queued"]) == ([running], [])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"nonsense\n", "the line is not JSON"),
        (b"[]\n", "a line must be a JSON object with an op"),
        (b'{"op":"dance"}\n', "unknown op 'dance'"),
        (b'{"op":"start","key":"0000000000","children":[]}\n', "array 0000000000 has not been described"),
        (b'{"op":"start","key":"xyz","children":[]}\n', "key must be ten hex digits, not 'xyz'"),
        (b'{"op":"stop","attempts":["x"],"why":"stopped","grace_s":1}\n', "an attempt id is KEY:POSITION:ATTEMPT, not 'x'"),
        (b'{"op":"stop","attempts":[],"why":"boredom","grace_s":1}\n', "why must be stopped or ttl, not 'boredom'"),
        (b'{"op":"stop","attempts":[],"why":"ttl","grace_s":"1"}\n', "grace_s must be a number of seconds, not '1'"),
        (b'{"op":"array","key":"0000000000","spec":{"argv":null}}\n', "spec needs either argv (not empty) or script"),
    ],
)
def test_a_line_that_is_wrong_is_answered_and_not_acted_on(runner: Runner, line: bytes, text: str) -> None:
    assert runner.socket is not None
    runner.socket.sendall(line)
    assert runner.error() == text


@pytest.mark.parametrize("wire", [1, WIRE + 1])
def test_an_engine_of_another_version_is_told_the_way_out_and_may_ask_otherwise(runner: Runner, wire: int) -> None:
    assert runner.process is not None
    runner.send({"op": "hello", "wire": wire, "engine": 1, "cpus": 1000, "memory": 1})
    told = runner.error()
    assert told.startswith(f"the engine speaks wire {wire}, this runner (process {runner.process.pid}, version ")
    assert told.endswith(f"wire {WIRE}: use the version that started it, or `kill {runner.process.pid}` to end it with all that it runs")
    runner.send({"op": "hello", "wire": WIRE, "engine": 1, "cpus": 1000, "memory": 1})
    runner.wait(lambda: [line for line in runner.heard if line["op"] == "welcome"][1:], "the second welcome")


def test_a_bad_child_among_good_ones_starts_none_of_them_and_each_is_refused(runner: Runner) -> None:
    key = runner.array(size=2)
    running = runner.begin(key, 1)[0]
    runner.ended(running)
    runner.send({"op": "start", "key": key, "children": [[0, 0, 1], [1, 1, 1], "x", [2, 2, 1]]})
    assert "a child must be [position, index, attempt]" in runner.error()
    runner.send({"op": "start", "key": key, "children": [[0, 0, 2], [2, 2, 2]]})
    text = f"no child of array {key} (size 2) is [2, 2, 2]"
    assert runner.error() == text
    reason = runner.event(f"{key}:0:2", "refused")["reason"]
    assert reason == f"CannotStartContainerError: the runner did not understand it: {text}"
    refused = [event["a"] for event in runner.events() if event["e"] == "refused"]
    assert refused == [f"{key}:0:1", f"{key}:2:1", f"{key}:0:2", f"{key}:2:2"]
    assert [event["a"] for event in runner.events() if event["e"] == "starting"] == [running]


def test_what_was_not_understood_never_starts_not_even_under_the_next_runner(runner: Runner) -> None:
    key = "0123456789"
    refused = runner.begin(key, 0)[0]
    assert runner.error() == f"array {key} has not been described"
    runner.event(refused, "refused")
    runner.kill()
    runner.start()
    runner.array(key)
    runner.begin(key, 0)
    runner.ended(runner.begin(key, 0, attempt=2)[0])
    assert list(runner.of(refused)) == ["refused"]


def test_an_array_that_was_described_wrongly_refuses_its_attempts_with_the_reason_until_it_is_described_well(runner: Runner) -> None:
    key = runner.array(size=2)
    runner.array(key, size=2, umask="022")
    wrong = runner.error()
    refused = runner.begin(key, 0)[0]
    assert runner.event(refused, "refused")["reason"].endswith(f"array {key} was described wrongly: {wrong}")
    runner.array(key, size=2)
    runner.ended(runner.begin(key, 1)[0])


def test_what_a_closing_runner_does_not_take_is_left_to_the_next_one(runner: Runner, place: Path) -> None:
    last = f"trap 'while [ ! -e {place}/end ]; do sleep 0.01; done; exit' TERM; touch {place}/up; while :; do sleep 0.01; done"
    key = runner.array(size=2, argv=["/bin/sh", "-c", last])
    running = runner.begin(key, 0)[0]
    runner.wait((place / "up").exists)
    runner.send({"op": "shutdown", "grace_s": 20})
    left = runner.begin(key, 1)[0]
    assert runner.error() == "the runner is shutting down and starts nothing"
    (place / "end").touch()
    runner.ended(running)
    assert not runner.of(left)


def test_secrets_in_an_environment_are_not_told_in_errors(runner: Runner) -> None:
    runner.array(environment={"TOKEN": "hush\0hush"})
    assert "hush" not in runner.error()


def test_a_new_engine_replaces_the_old_one(runner: Runner) -> None:
    old = runner.socket
    runner.socket = None
    runner.hello()
    assert old is not None
    old.settimeout(5)
    while old.recv(1000):
        pass
    old.close()
    runner.ended(runner.one())


def test_a_long_path_to_the_socket_works(place: Path) -> None:
    deep = place / ("d" * 100) / ("e" * 60)
    deep.parent.mkdir()
    with Runner(deep) as runner:
        attempt = runner.sh("spored status && spored complete --status success")
        assert runner.ended(attempt)["code"] == 0, runner.output(attempt)


def test_files_lie_in_shards_and_empty_outputs_go(runner: Runner) -> None:
    script = 'test -d "$TASK_OUTPUT_DIR" && test -z "$(ls "$TASK_OUTPUT_DIR")" && if [ "$1" = write ]; then echo x > "$TASK_OUTPUT_DIR/x"; fi'
    key = runner.array(size=3000, argv=["/bin/sh", "-c", script, "sh", "write"])
    runner.send({"op": "start", "key": key, "children": [[1500, 77, 2]]})
    runner.ended(f"{key}:1500:2")
    assert (runner.files / "a/1/77-2.log").is_file()
    assert (runner.files / "a/1/77-2.out/x").read_text() == "x\n"
    runner.array(key, size=3000, argv=["/bin/sh", "-c", script])
    attempts = runner.begin(key, *range(1000, 1020))
    assert all(runner.ended(attempt)["code"] == 0 for attempt in attempts)
    runner.wait(lambda: [path.name for path in (runner.files / "a/1").glob("*.out")] == ["77-2.out"])
    assert stat.S_IMODE((runner.files / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((runner.files / "a/1/77-2.log").stat().st_mode) == 0o600


def test_what_an_attempt_changed_about_its_output_directory_is_not_passed_on(runner: Runner) -> None:
    runner.hello(cpus=1000)
    key = runner.array(size=2, argv=["/bin/sh", "-c", 'stat -c %a "$TASK_OUTPUT_DIR"; chmod 500 "$TASK_OUTPUT_DIR"'])
    first, second = runner.begin(key, 0, 1)
    runner.ended(second)
    assert runner.output(first) == runner.output(second)


def test_a_script_is_written_and_run(runner: Runner) -> None:
    key = runner.array(argv=None, script='#!/bin/sh\necho "one $TASK_ARRAY_INDEX é"\n')
    first = runner.begin(key, 0)[0]
    runner.ended(first)
    assert runner.output(first) == "one 0 é\n"
    assert stat.S_IMODE((runner.files / "a/script").stat().st_mode) == 0o700
    runner.array(key, argv=None, script="#!/bin/sh\necho two\n")
    second = runner.begin(key, 0, attempt=2)[0]
    runner.ended(second)
    assert runner.output(second) == "two\n"


def test_a_child_starts_clean(runner: Runner) -> None:
    script = "cat; pwd; echo $PWD; grep -E 'Sig(Ign|Blk)' /proc/self/status; cut -d' ' -f1,5,6 /proc/$$/stat; ls /proc/self/fd | wc -l"
    attempt = runner.sh(script, workdir="/usr")
    pid = runner.event(attempt, "started")["pid"]
    runner.ended(attempt)
    lines = runner.output(attempt).splitlines()
    assert lines[:2] == ["/usr", "/usr"]
    assert lines[2] == "SigBlk:\t0000000000000000"
    internal = 1 << 31 | 1 << 32  # 32 and 33 are the C library's own, which sets them itself
    assert int(lines[3].split()[1], 16) & ~internal == 0
    assert lines[4] == f"{pid} {pid} {pid}"
    assert lines[5] == "4"  # 0, 1, 2 and the directory itself


def test_the_bytes_of_arguments_and_variables_are_kept(runner: Runner) -> None:
    attempt = runner.one(argv=["/bin/sh", "-c", 'printf "%s|%s" "$1" "$V"', "sh", "é\udcff"], environment={"PATH": "/bin", "V": "ü\udc80"})
    runner.ended(attempt)
    assert (runner.files / "a/0/0-1.log").read_bytes() == b"\xc3\xa9\xff|\xc3\xbc\x80"


def refusal(runner: Runner, **members: object) -> str:
    """Why an array like this cannot start."""
    reason: str = runner.event(runner.one(**members), "refused")["reason"]
    assert reason.startswith("CannotStartContainerError: ")
    return reason.partition(": ")[2]


def test_without_a_working_directory_each_attempt_starts_in_its_own_output_directory(runner: Runner) -> None:
    key = runner.array(size=2, workdir=None, argv=["/bin/sh", "-c", 'echo "$PWD $TASK_OUTPUT_DIR" && pwd -P && echo mine > result'])
    for attempt in runner.begin(key, 0, 1):
        assert runner.ended(attempt)["code"] == 0
        output = runner.files / "a" / "0" / f"{attempt.split(':')[1]}-1.out"
        assert runner.output(attempt, index=int(attempt.split(":")[1])) == f"{output} {output}\n{output.resolve()}\n"
        assert (output / "result").read_text() == "mine\n"


def test_without_a_working_directory_relative_places_of_path_hold_nothing(runner: Runner, place: Path) -> None:
    tool = place / "spored-tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    refused = runner.event(runner.one(argv=["spored-tool"], workdir=None, environment={"PATH": ".:bin"}), "refused")
    assert refused["reason"] == "CannotStartContainerError: spored-tool was not found in the PATH of the job"


def test_what_cannot_start_says_why(runner: Runner, place: Path) -> None:
    (place / "plain").write_text("echo\n")
    (place / "noshebang").write_text("echo\n")
    (place / "wrong").write_text("#!/no/such/interpreter -x\n")
    (place / "windows").write_bytes(b"#!/bin/sh\r\necho\r\n")
    for name in ("noshebang", "wrong", "windows"):
        (place / name).chmod(0o755)
    assert refusal(runner, workdir="/no/where") == "its working directory /no/where cannot be entered: No such file or directory"
    assert refusal(runner, argv=["no-such-command"]) == "no-such-command was not found in the PATH of the job"
    assert refusal(runner, argv=["/no/such"]) == "/no/such does not exist"
    assert refusal(runner, argv=["./plain"], workdir=str(place)) == "./plain is not executable (chmod +x makes it so)"
    assert refusal(runner, argv=["plain"], environment={"PATH": str(place)}) == f"{place}/plain is not executable (chmod +x makes it so)"
    assert refusal(runner, argv=["/usr"]) == "/usr is a directory"
    assert "neither a program for this machine nor a script" in refusal(runner, argv=[str(place / "noshebang")])
    assert refusal(runner, argv=[str(place / "wrong")]).endswith("names /no/such/interpreter as interpreter, which does not exist")
    assert "carriage return" in refusal(runner, argv=[str(place / "windows")])
    assert "longer than this system takes" in refusal(runner, argv=["/bin/true", *["x" * 100_000] * 40])
    assert refusal(runner, argv=[""]) == "the command is an empty word"
    (place / "file").write_text("")
    assert refusal(runner, directory=str(place / "file")).startswith("its files could not be made:")
    runner.ended(runner.one())  # and the room is given back


def test_a_command_is_found_in_the_path_of_the_job(runner: Runner, place: Path) -> None:
    tool = place / "tool"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    for number, path in enumerate((f"/nowhere:{place}", ":/bin")):
        attempt = runner.one(argv=["tool"], environment={"PATH": path}, workdir=str(place), directory=str(runner.files / str(number)))
        runner.ended(attempt)
        assert runner.output(attempt, str(number)) == "found\n"


def test_cpu_and_memory_are_measured(runner: Runner) -> None:
    small = runner.ended(runner.one())
    assert small["maxrss"] is None
    large = runner.ended(runner.one(argv=["/usr/bin/env", "python3", "-c", "x = b'x' * (100 << 20); sum(range(2_000_000))"]))
    assert 100 << 10 <= large["maxrss"] < 140 << 10
    assert large["user"] > 0.01


def test_arrays_are_forgotten_when_nothing_of_them_is_left(runner: Runner) -> None:
    key = runner.array(argv=["/bin/sleep", "60"])
    attempt = runner.begin(key, 0)[0]
    runner.send({"op": "forget", "key": key})
    runner.event(attempt, "started")
    runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 1})
    runner.ended(attempt)
    runner.send({"op": "forget", "key": key})
    runner.begin(key, 0, attempt=2)
    assert runner.error() == f"array {key} has not been described"


def test_what_the_driver_says_is_what_the_schema_says(runner: Runner) -> None:
    attempt = runner.sh("true")
    runner.ended(attempt)
    key = attempt[:10]
    runner.send({"op": "deadline", "attempts": [attempt], "at": 2e9})
    runner.send({"op": "limit", "key": key, "max_concurrent": 3})
    runner.send({"op": "ack", "segment": 1, "offset": 10})
    runner.send({"op": "release", "key": key, "directory": str(runner.files / "a"), "attempts": [[attempt, 0]], "keep_files": False})
    runner.send({"op": "forget", "key": key})
    for line in runner.said:
        hold("engine_line", line)


def test_what_was_placed_in_an_environment_that_is_gone_never_runs_as_a_process(runner: Runner) -> None:
    key = runner.array(size=1)
    attempt = runner.begin(key, 0, runtime="gone", compute_environment="boxes")[0]
    assert "runtime must be one of" in runner.event(attempt, "refused")["reason"]
    runner.begin(key, 0)
    assert list(runner.of(attempt)) == ["refused"]
