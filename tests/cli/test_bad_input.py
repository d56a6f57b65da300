"""Bad input: one sentence that names the value, the right exit code, and no engine started for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from canned import array, member
from fake_engine import FakeEngine
from running import Run, command

CASES = [
    (["launch", "--array", "5-2", "--", "true"], "'5-2' is reversed"),
    (["launch", "--array", "0", "--", "true"], "'0' is no size"),
    (["launch", "--array", "1,1", "--", "true"], "names index 1 again"),
    (["launch", "--array", "", "--", "true"], "--array"),
    (["launch", "--ttl", "2x", "--", "true"], "--ttl: '2x'"),
    (["launch", "--ttl", "0", "--", "true"], "--ttl: '0'"),
    (["launch", "--cpus", "many", "--", "true"], "--cpus: 'many'"),
    (["launch", "--memory", "2X", "--", "true"], "--memory: '2X'"),
    (["launch", "--retries", "-1", "--", "true"], "--retries: '-1'"),
    (["launch", "--max-concurrent", "0", "--", "true"], "--max-concurrent: '0'"),
    (["launch", "--max-failures", "200%", "--", "true"], "--max-failures: '200%'"),
    (["launch", "--retries", "1", "--retry-on", "nonsense", "--", "true"], "--retry-on: 'nonsense'"),
    (["launch", "--retry-on", "oom", "--", "true"], "add --retries"),
    (["launch", "--depends-on", ":N_TO_N", "--array", "2", "--", "true"], "--depends-on"),
    (["launch", "--name", "a b", "--", "true"], "--name: 'a b' is not a name"),
    (["launch", "--name", "last", "--", "true"], "--name: 'last' always means the newest array"),
    (["launch", "--name", "i-0abc0000000000301", "--", "true"], "always means an instance"),
    (["launch", "--name", "@x", "--", "true"], "--name: '@x' is not a name"),
    (["launch", "--env", "TASK_ARRAY_INDEX=7", "--", "true"], "--env: TASK_ARRAY_INDEX is a variable that spawn sets itself"),
    (["launch", "--env", "TASK_OUTPUT_DIR=/x", "--", "true"], "TASK_OUTPUT_DIR is a variable that spawn sets itself"),
    (["launch", "--env", "SPAWN_RUNNER=x", "--", "true"], "SPAWN_RUNNER is a variable that spawn sets itself"),
    (["launch", "--env", "AWS_BATCH_JOB_ID=x", "--", "true"], "AWS_BATCH_JOB_ID is a variable that spawn sets itself"),
    (["launch", "--env", "SLURM_ARRAY_TASK_ID=x", "--", "true"], "SLURM_ARRAY_TASK_ID is a variable that spawn sets itself"),
    (["launch", "--user-data", "#!/bin/sh\n#SPAWN --env TASK_ATTEMPT=3\n"], "--env (from the script:2): TASK_ATTEMPT is a variable"),
    (["launch", "--workdir", "", "--", "true"], "--workdir: '' is not a directory"),
    (["launch", "--user-data", "\ufeff#!/bin/sh\ntrue\n"], "begins with a byte order mark (BOM), which hides its '#!'"),
    (["launch", "--env", "1A=x", "--", "true"], "--env: '1A'"),
    (["launch", "--env", "SURELY_NOT_SET", "--", "true"], "SURELY_NOT_SET is not set here"),
    (["launch", "--tag", "novalue", "--", "true"], "--tag: 'novalue' is not KEY=VALUE"),
    (["launch", "--tag", "array:id=x", "--", "true"], "a tag that spawn sets itself"),
    (["launch", "--workdir", "/no/such/place", "--", "true"], "/no/such/place is not there"),
    (["launch", "--on-complete", "stopp", "--", "true"], "did you mean 'stop'?"),
    (["launch", "--provider", "slurm", "--", "true"], "'slurm' is not part of this version, which knows local and ec2"),
    (["launch", "--instance-type", "huge", "--", "true"], "--instance-type: 'huge' is not an instance type"),
    (["launch", "--spot-max-price", "0.1", "--", "true"], "add --spot"),
    (["launch", "--spot", "--spot-max-price", "cheap", "--", "true"], "'cheap' is not a price"),
    (["launch", "--sequential", "--", "true"], "add --array"),
    (["launch", "--timeout-wait", "5s", "--", "true"], "add --wait"),
    (["launch", "--array", "3%2", "--max-concurrent", "1", "--", "true"], "name two limits"),
    (["launch", "--arry", "3", "--", "true"], "unknown flag '--arry'; did you mean '--array'?"),
    (["launch", "--array", "3", "true"], "a command goes last, after `--`"),
    (["launch", "--array", "3", "--"], "no command after `--`"),
    (["launch", "--user-data", "#!/bin/sh\ntrue", "--", "true"], "exclude each other"),
    (["launch", "--user-data", "@/no/such.sh"], "cannot read /no/such.sh: No such file"),
    (["launch", "--user-data", ""], "is empty"),
    (["launch", "--user-data", "echo hello\necho there"], "no '#!' in its first line"),
    (["launch", "--user-data", "#!/no/such/interpreter\n"], "/no/such/interpreter, is not there"),
    (["launch", "--user-data", "#!/bin/sh\r\ntrue\r\n"], "Windows line ends"),
    (["launch", "--", "surely-not-a-program"], "surely-not-a-program was not found in PATH"),
    (["launch", "--", "./missing.sh"], "./missing.sh is not there"),
    (["launch", "--", "echo hi"], "-- sh -c 'echo hi'"),
    (["launch", "--", "/"], "/ is a directory"),
    (["list", "--state", "runing"], "unknown state 'runing'; did you mean 'running'?"),
    (["list", "--status", "done"], "unknown status 'done' (one of SUBMITTED"),
    (["list", "-o", "xml"], "unknown output format 'xml' (one of table, wide"),
    (["list", "--tag", "array:colour=red"], "unknown tag 'array:colour'"),
    (["list", "--tag", "array:index=3-1"], "'3-1' is reversed"),
    (["list", "--array", "a", "--tag", "array:id=b"], "name two arrays"),
    (["list", "--tag", "array:index=@failed"], "needs one array: add --array"),
    (["list", "--tag", "array:index=1", "--tag", "array:index=@lost"], "give one of them"),
    (["status", "foo:9"], "'foo:9' names some indexes: the status is one for the whole array; `spawn list --array ARRAY:SET` shows members"),
    (["status", "foo@failed"], "'foo@failed' names some indexes"),
    (["wait", "foo:9"], "'foo:9' names some indexes: arrays are waited for as a whole"),
    (["watch", "foo/9"], "'foo/9' names some indexes"),
    (["collect", "x", "/etc/passwd"], "/etc/passwd is not a directory: name one to collect into"),
    (["collect", "x", "/etc/passwd/below"], "/etc/passwd is not a directory"),
    (["status", "--why"], "--why explains one array"),
    (["status", "x", "--name", "y"], "choose among all arrays"),
    (["retry", "x", "@faild"], "unknown state word '@faild'; did you mean '@failed'?"),
    (["retry", "x:3", "4"], "give them once"),
    (["extend", "x", "0"], "'0' is no time at all"),
    (["limit", "x", "0"], "'0' is not a limit"),
    (["rm"], "name the arrays to forget"),
    (["rm", "x", "--finished"], "leave out the names"),
    (["rm", "x", "--older-than", "2d"], "chooses among --finished"),
    (["logs", "x", "-f", "--attempt", "2"], "give one of them"),
    (["connect", "x", "--"], "no command after `--`"),
    (["connect"], "is missing"),
    (["completion", "tcsh"], "unknown shell 'tcsh'"),
    (["lst"], "unknown verb 'lst'; did you mean 'list'?"),
    (["engine", "stp"], "unknown verb 'stp'; did you mean 'stop'?"),
    (["--frobnicate"], "unknown flag '--frobnicate'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_bad_input_is_refused_in_one_sentence(in_process: Run, state_dir: Path, arguments: list[str], sentence: str) -> None:
    result = in_process(*arguments)
    assert result.code == 2
    assert sentence in result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert result.out == ""
    assert list(state_dir.iterdir()) == []


def test_a_program_without_the_exec_bit_is_refused_with_the_way_out(in_process: Run, home: Path) -> None:
    (home / "run me.sh").write_text("#!/bin/sh\n")
    result = in_process("launch", "--", "./run me.sh")
    assert (result.code, result.err) == (2, "error: ./run me.sh is not executable: chmod +x './run me.sh', or name its interpreter: -- bash './run me.sh'\n")


def test_a_program_that_is_text_without_a_shebang_is_refused(in_process: Run, home: Path) -> None:
    (home / "run.sh").write_text("echo hi\n")
    (home / "run.sh").chmod(0o755)
    result = in_process("launch", "--", "./run.sh")
    assert result.code == 2
    assert "./run.sh has no '#!' in its first line" in result.err


def test_a_program_in_the_working_directory_but_not_in_path_is_pointed_at(in_process: Run, home: Path) -> None:
    (home / "run.sh").write_text("#!/bin/sh\n")
    result = in_process("launch", "--", "run.sh")
    assert result.code == 2
    assert "write ./run.sh" in result.err


def test_a_user_data_file_that_is_not_text_is_refused(in_process: Run, home: Path) -> None:
    (home / "binary").write_bytes(b"\x7fELF\xff\xfe")
    result = in_process("launch", "--user-data", "@binary")
    assert result.code == 2
    assert "binary is not UTF-8 text: to run a program, give it after `--`" in result.err


def test_no_arguments_at_all_show_the_help_and_are_a_usage_error(in_process: Run) -> None:
    result = in_process()
    assert result.code == 2
    assert "spawn launch --array 100" in result.err
    assert result.out == ""


def test_a_program_with_a_byte_order_mark_is_refused_with_the_way_out(in_process: Run, home: Path) -> None:
    (home / "run.sh").write_bytes(b"\xef\xbb\xbf#!/bin/sh\n")
    (home / "run.sh").chmod(0o755)
    result = in_process("launch", "--", "./run.sh")
    assert result.code == 2
    assert "(BOM)" in result.err
    way_out = result.err.split("`")[1]
    assert subprocess.run(way_out, shell=True, cwd=home).returncode == 0
    assert (home / "run.sh").read_bytes() == b"#!/bin/sh\n"


@pytest.mark.parametrize("verb", [["list"], ["status"], ["launch", "--", "true"], ["--version"]])
def test_without_a_stdout_nothing_is_done(environment: dict[str, str], state_dir: Path, verb: list[str]) -> None:
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command(*verb)], stderr=subprocess.PIPE, text=True, env=environment)
    assert (done.returncode, done.stderr) == (2, "error: stdout is closed, so there is nowhere to print to: write >/dev/null to see nothing\n")
    assert list(state_dir.iterdir()) == []


def test_stdin_and_stderr_may_be_closed(environment: dict[str, str]) -> None:
    closed = 'exec "$@" 2>&- <&-'
    assert subprocess.run(["sh", "-c", closed, "sh", *command("engine", "status")], stdout=subprocess.PIPE, env=environment).returncode == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["version"], ["list"], ["list", "-o", "csv"], ["list", "-o", "json"], ["logs", "my-array:0"]])
def test_a_stdout_that_takes_nothing_is_one_sentence(fake: FakeEngine, environment: dict[str, str], words: list[str]) -> None:
    fake.arrays = [array()]
    fake.members = [member(0)] * 3000
    fake.logs = {fake.members[0]["id"]: b"a log\n"}
    done = subprocess.run(["sh", "-c", 'exec "$@" >/dev/full', "sh", *command(*words)], stderr=subprocess.PIPE, text=True, env=environment)
    assert (done.returncode, done.stderr) == (1, "error: stdout could not be written: No space left on device\n")
