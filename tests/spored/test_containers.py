"""Attempts that run in containers, with podman and an image that this test makes; after each test no container may be left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.spored.containing import container, left_of, need_podman
from tests.spored.driver import Runner, alive
from tests.spored.test_enter import enter


@pytest.fixture(autouse=True)
def nothing_left(runner: Runner) -> Iterator[None]:
    """No test may leave a container or a volume."""
    need_podman()
    yield
    assert left(runner) == []


def left(runner: Runner) -> list[str]:
    """What there is of the containers of this runner's arrays."""
    return left_of(message["key"] for message in runner.said if message["op"] == "array")


def begin(runner: Runner, *command: str, size: int = 1, runtime: str = "podman", options: tuple[str, ...] = (), **members: Any) -> list[str]:
    """Start an array whose children run `command` in containers; their attempt ids."""
    described = container(command=list(command), options=list(options), **members)
    key = runner.array(size=size, argv=[], workdir=None, container=described, cpus=500)
    return runner.begin(key, *range(size), runtime=runtime, compute_environment="boxes")


def run(runner: Runner, *command: str, **members: Any) -> tuple[dict[str, Any], str]:
    """The end of one attempt in a container, and its log."""
    attempt = begin(runner, *command, **members)[0]
    return runner.ended(attempt), runner.output(attempt)


def refusal(runner: Runner, *command: str, **members: Any) -> str:
    """The reason why a container never ran."""
    attempt = begin(runner, *command, **members)[0]
    reason = str(runner.event(attempt, "refused")["reason"])
    assert "started" not in runner.of(attempt)
    return reason


def shell(runner: Runner, script: str, **members: Any) -> tuple[dict[str, Any], str]:
    """The same for a script."""
    return run(runner, "/bin/sh", "-c", script, **members)


def test_the_command_runs_in_the_image_and_its_exit_code_and_output_are_kept(runner: Runner) -> None:
    ended, log = shell(runner, "cat /etc/passwd | grep -c worker; echo oops >&2; exit 3")
    assert (ended["code"], ended["signal"], ended["why"]) == (3, None, None)
    assert log == "1\noops\n"
    assert (ended["user"], ended["system"], ended["maxrss"]) == (None, None, None)


def test_without_a_command_the_image_runs_its_own(runner: Runner) -> None:
    ended, log = run(runner)
    assert (ended["code"], log) == (0, "the image's own command\n")


def test_it_is_told_who_it_is_and_nothing_of_the_host(runner: Runner) -> None:
    variables = {"GREETING": "two\nlines and $HOME", "PATH": "/bin:/own", "AWS_BATCH_JOB_ATTEMPT": "99"}
    key = runner.array(size=7, argv=[], workdir=None, container=container(command=["/bin/env"], environment=variables), queue="q", compat_env=False)
    attempt = runner.begin(key, 5, runtime="podman", compute_environment="boxes")[0]
    runner.ended(attempt)
    told = runner.output(attempt)
    output = f"{runner.files}/a/0/5-1.out"
    expected = {
        *(
            "TASK_ARRAY_INDEX=5",
            "TASK_ARRAY_SIZE=7",
            "TASK_ATTEMPT=1",
            f"TASK_OUTPUT_DIR={output}",
            "AWS_BATCH_JOB_ARRAY_INDEX=5",
            "AWS_BATCH_JOB_ARRAY_SIZE=7",
        ),
        *("AWS_BATCH_JOB_ATTEMPT=1", "AWS_BATCH_JQ_NAME=q", "AWS_BATCH_CE_NAME=boxes", "PATH=/bin:/own", "FROM_IMAGE=yes", "GREETING=two", "lines and $HOME"),
    }
    assert expected <= set(told.splitlines())
    assert not [line for line in told.splitlines() if line.startswith(("SPAWN_", "XDG_", "CONTAINERS_", "VIRTUAL_ENV", "SLURM_"))]


def test_it_starts_where_the_image_says_and_may_write_its_output_as_any_user(runner: Runner) -> None:
    ended, log = shell(runner, "pwd; id -u; echo mine > $TASK_OUTPUT_DIR/result", options=("--user=worker",))
    assert (ended["code"], log) == (0, "/work\n1000\n")
    assert (runner.files / "a/0/0-1.out/result").read_text() == "mine\n"


def test_volumes_are_shared_with_the_host_or_with_nobody(runner: Runner, place: Path) -> None:
    data = place / "data"
    data.mkdir()
    (data / "in").write_text("from the host\n")
    volumes = [
        {"source": str(data), "name": "data", "target": "/data", "read_only": True},
        {"source": str(place / "made/deep"), "name": "made", "target": "/made", "read_only": False},
        {"source": None, "name": "scratch", "target": "/scratch", "read_only": False},
        {"source": None, "name": "scratch", "target": "/same", "read_only": False},
    ]
    ended, log = shell(runner, "exec 2>&1; cat /data/in; touch /data/x; echo out > /made/out; echo shared > /scratch/f; cat /same/f", volumes=volumes)
    assert ended["code"] == 0
    assert log.splitlines() == ["from the host", "touch: /data/x: Read-only file system", "shared"]
    assert (place / "made/deep/out").read_text() == "out\n"


def test_limits_hold(runner: Runner) -> None:
    options = ("--ulimit=nofile=100:200", "--read-only", "--shm-size=8m", "--tmpfs=/fast:size=1m", "--cpu-shares=512")
    script = "ulimit -Sn; ulimit -Hn; touch /here || touch /tmp/here || touch /fast/here && echo written; grep ' /dev/shm ' /proc/mounts | grep -c size=8"
    _, log = shell(runner, script, options=options)
    assert [line for line in log.splitlines() if "Read-only" not in line] == ["100", "200", "written", "1"]
    assert log.count("Read-only") == 2


def test_more_memory_than_the_limit_is_an_out_of_memory_kill(runner: Runner) -> None:
    ended, _ = shell(runner, "x=a; while :; do x=$x$x; done", options=("--memory=16m",))
    assert (ended["code"], ended["why"]) == (137, "oom")


def test_an_image_that_cannot_be_pulled_says_so(runner: Runner) -> None:
    # nothing listens on the discard port of this machine
    reason = refusal(runner, "/bin/true", image="127.0.0.1:9/nothing:1")
    assert reason.startswith("CannotPullContainerError: ")
    assert "127.0.0.1:9" in reason


@pytest.mark.parametrize(
    ("changes", "beginning", "telling"),
    [
        ({"command": ["/no/such/program"]}, "CannotStartContainerError: ", "/no/such/program"),
        ({"options": ["--user=nobody-at-all"]}, "CannotStartContainerError: ", "nobody-at-all"),
        ({"options": ["--no-such-option"]}, "CannotCreateContainerError: ", "no-such-option"),
        ({"refusal": "volumes: 'x' is elsewhere"}, "CannotCreateContainerError: ", "volumes: 'x' is elsewhere"),
        ({"cli_environment": {"PATH": "/nowhere"}}, "CannotStartContainerError: podman is not installed", "/nowhere"),
        (
            {"volumes": [{"source": "/dev/null/below", "name": "x", "target": "/x", "read_only": False}]},
            "CannotCreateContainerError: the volume's host path /dev/null/below cannot be made",
            "Not a directory",
        ),
    ],
)
def test_what_cannot_start_says_why(runner: Runner, changes: dict[str, Any], beginning: str, telling: str) -> None:
    key = runner.array(argv=[], workdir=None, container=container(**{"command": ["/bin/true"], **changes}))
    attempt = runner.begin(key, 0, runtime="podman")[0]
    reason = runner.event(attempt, "refused")["reason"]
    assert reason.startswith(beginning)
    assert telling in reason
    assert not (runner.directory / "containers" / attempt).exists()


def test_a_timeout_reaches_the_process_in_the_container(runner: Runner) -> None:
    described = container(command=["/bin/sh", "-c", "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done"])
    attempt = runner.one(argv=[], workdir=None, container=described, timeout_s=1)
    assert runner.event(attempt, "refused")["reason"].startswith("CannotStartContainerError: it names no command")
    key = runner.array(argv=[], workdir=None, container=described, timeout_s=1, grace_s=20)
    attempt = runner.begin(key, 0, attempt=2, runtime="podman")[0]
    ended = runner.ended(attempt)
    assert (ended["code"], ended["why"]) == (7, "timeout")
    assert runner.output(attempt) == "ready\nasked\n"


def test_who_does_not_heed_a_stop_is_killed_after_the_grace(runner: Runner) -> None:
    attempt = begin(runner, "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")[0]
    runner.wait(lambda: "ready" in runner.output(attempt))
    runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 0.3})
    ended = runner.ended(attempt)
    assert (ended["code"], ended["why"]) == (137, "stopped")


def test_a_stop_is_heeded_at_whatever_moment_it_comes(runner: Runner) -> None:
    attempts = begin(runner, "/bin/sleep", "300", size=4)
    for attempt, kind in zip(attempts, ("starting", "starting", "started", "started"), strict=True):
        runner.event(attempt, kind)
        runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 1})
    for attempt in attempts:
        ended = runner.ended(attempt)
        # before it could heed a signal, the supervisor itself dies by it
        assert ended["code"] in (137, 143) or ended["signal"] == signal.SIGTERM
        assert ended["why"] == "stopped"


def test_an_array_of_containers(runner: Runner) -> None:
    attempts = begin(runner, "/bin/sh", "-c", "seq $TASK_ARRAY_INDEX; exit $((TASK_ARRAY_INDEX % 2))", size=20)
    for index, attempt in enumerate(attempts):
        assert runner.ended(attempt)["code"] == index % 2
        assert runner.output(attempt) == "".join(f"{number}\n" for number in range(1, index + 1))
    assert list((runner.directory / "containers").iterdir()) == []


def test_a_long_output_is_complete(runner: Runner) -> None:
    ended, log = shell(runner, "seq 200000")
    assert ended["code"] == 0
    assert log == "".join(f"{number}\n" for number in range(1, 200001))


def test_a_supervisor_that_is_killed_takes_its_container_with_it(runner: Runner) -> None:
    attempt = begin(runner, "/bin/sh", "-c", "echo ready; sleep 300")[0]
    runner.wait(lambda: "ready" in runner.output(attempt))
    os.kill(runner.event(attempt, "started")["pid"], signal.SIGKILL)
    ended = runner.ended(attempt)
    assert (ended["code"], ended["signal"], ended["why"]) == (None, signal.SIGKILL, None)
    assert left(runner) == []


def test_after_a_kill_of_the_runner_the_next_one_removes_what_it_left(runner: Runner) -> None:
    attempts = begin(runner, "/bin/sh", "-c", "echo ready; sleep 300", size=3)
    for attempt in attempts:
        runner.wait(lambda attempt=attempt: "ready" in runner.output(attempt))
        runner.event(attempt, "started")
    pids = [int(path.read_text()) for path in (runner.directory / "containers").glob("*/pid")]
    runner.kill()
    assert len([pid for pid in pids if alive(pid)]) == 3
    runner.start()
    for attempt in attempts:
        runner.event(attempt, "lost")
    assert not [pid for pid in pids if alive(pid)]
    assert left(runner) == []
    key = attempts[0].split(":")[0]
    runner.array(key, size=3, argv=[], workdir=None, container=container(command=["/bin/true"]))
    runner.begin(key, 0, 1, 2, runtime="podman")
    second = runner.begin(key, 0, attempt=2, runtime="podman")[0]
    assert runner.ended(second)["code"] == 0
    assert [event["e"] for event in runner.events() if event.get("a") == attempts[0]] == ["starting", "started", "lost"]


def test_kills_of_the_runner_at_any_stage_start_no_container_twice(runner: Runner, place: Path) -> None:
    data = place / "data"
    data.mkdir()
    volumes = [{"source": str(data), "name": "data", "target": "/data", "read_only": False}]
    described = container(command=["/bin/sh", "-c", "echo begun >> /data/$TASK_ARRAY_INDEX; sleep 0.2"], volumes=volumes)
    key = runner.array(size=20, argv=[], workdir=None, container=described, cpus=500)
    attempts = runner.begin(key, *range(20), runtime="podman")
    for stage in ("starting", "started", "ended", "started"):
        seen = len([event for event in runner.events() if event["e"] == stage])
        runner.wait(lambda stage=stage, seen=seen: len([event for event in runner.events() if event["e"] == stage]) > seen)
        runner.kill()
        runner.start()
        runner.array(key, size=20, argv=[], workdir=None, container=described, cpus=500)
        runner.begin(key, *range(20), runtime="podman")
    for attempt in attempts:
        runner.wait(lambda attempt=attempt: {"ended", "lost"} & set(runner.of(attempt)))
        starts = [event for event in runner.events() if event.get("a") == attempt and event["e"] == "starting"]
        begun = data / attempt.split(":")[1]
        times = len(begun.read_text().splitlines()) if begun.exists() else 0
        assert len(starts) == 1
        assert times == 1 if "ended" in runner.of(attempt) else times <= 1
    runner.wait(lambda: not keepers(runner), "the end of podman's own processes")


def keepers(runner: Runner) -> list[str]:
    """The command lines that name a file of this runner's containers, such as those of podman's keepers."""
    place = f"{os.path.realpath(runner.directory)}/containers/"
    lines = []
    for entry in Path("/proc").iterdir():
        try:
            lines.append((entry / "cmdline").read_text() if entry.name.isdigit() else "")
        except OSError:
            continue
    return [line for line in lines if place in line]


def test_a_runner_that_shuts_down_ends_its_containers(runner: Runner) -> None:
    attempt = begin(runner, "/bin/sh", "-c", "echo ready; sleep 300")[0]
    runner.wait(lambda: "ready" in runner.output(attempt))
    runner.end()
    assert runner.of(attempt)["ended"]["why"] == "stopped"
    assert left(runner) == []


def test_whoever_enters_such_an_attempt_is_in_its_container(runner: Runner) -> None:
    described = container(command=["/bin/sh", "-c", "echo mine > /tmp/seen; echo ready; exec sleep 300"], environment={"WHO": "me"}, options=["--user=worker"])
    key = runner.array(argv=[], workdir=None, container=described)
    attempt = runner.begin(key, 0, runtime="podman")[0]
    runner.wait(lambda: "ready" in runner.output(attempt))
    spec = runner.spec(argv=[], workdir=None, container=described)
    session = {"spec": spec, "position": 0, "index": 0, "attempt": 1, "key": key, "runner": str(runner.directory)}
    done = enter(runner, session, "/bin/sh", "-c", "cat /tmp/seen; pwd; id -u; echo $WHO $TASK_ARRAY_INDEX; exit 7")
    assert (done.returncode, done.stdout) == (7, "mine\n/work\n1000\nme 0\n")
    runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 0})
    assert runner.ended(attempt)["code"] == 137


def test_the_directories_of_this_machine_may_have_any_name(make_runner: Callable[..., Runner]) -> None:
    runner = make_runner("jürgen's 箱")
    runner.start()
    ended, log = shell(runner, "echo $TASK_OUTPUT_DIR; echo mine > $TASK_OUTPUT_DIR/result")
    assert ended["code"] == 0
    assert log == f"{runner.files}/a/0/0-1.out\n"
    assert (runner.files / "a/0/0-1.out/result").read_text() == "mine\n"


def test_one_array_may_run_in_both_ways(runner: Runner) -> None:
    described = container(command=["/bin/echo", "in a box"])
    key = runner.array(size=2, argv=["/bin/echo", "on the host"], container=described)
    attempts = [*runner.begin(key, 0), *runner.begin(key, 1, runtime="podman")]
    for attempt in attempts:
        runner.ended(attempt)
    assert [runner.output(attempt) for attempt in attempts] == ["on the host\n", "in a box\n"]


def test_a_job_without_an_image_is_refused_where_containers_run(runner: Runner) -> None:
    attempt = runner.begin(runner.array(), 0, runtime="podman")[0]
    assert runner.event(attempt, "refused")["reason"] == "CannotStartContainerError: it names no image: this compute environment runs containers (podman)"
