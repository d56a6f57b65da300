"""What a supervisor asks of a container engine, word by word, and what it makes of the answers: a script stands in for the engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spored.engines import Cli
from tests.spored.containing import StandIn, container, words_after
from tests.spored.driver import Runner


@pytest.fixture
def docker(place: Path) -> StandIn:
    """A docker that has nothing to say."""
    return StandIn(place / "engine")


def run(runner: Runner, docker: StandIn, **members: Any) -> dict[str, dict[str, Any]]:
    """The events of one attempt under a stand-in."""
    described = container(image="img:1", cli_environment=docker.cli_environment, **members)
    key = runner.array(argv=[], workdir=None, container=described)
    attempt = runner.begin(key, 0, runtime="docker")[0]
    runner.wait(lambda: {"ended", "refused"} & set(runner.of(attempt)))
    assert not (runner.directory / "containers" / attempt).exists()
    return runner.of(attempt)


def test_a_container_is_created_started_looked_at_and_removed(runner: Runner, docker: StandIn) -> None:
    docker.end(ExitCode=3)
    docker.answer(start="echo out; echo err >&2; exit 3")
    events = run(runner, docker, command=["prog", "--flag", "a b"], options=["--cpu-shares=512", "--memory=64m"])
    attempt = events["ended"]["a"]
    name = f"spawn-{attempt.replace(':', '-')}"
    verbs = [call[0] for call in docker.calls() if call[0] != "container"]
    assert verbs == ["create", "start", "rm"]
    create = docker.calls("create")[0]
    assert create[1:12] == ["--name", name, "--pull", "never", "--network", "host", "--log-driver", "none", "--cpu-shares=512", "--memory=64m", "--env"]
    assert create[create.index("--") :] == ["--", "img:1", "prog", "--flag", "a b"]
    assert docker.calls("start") == [["start", "--attach", "--sig-proxy=false", name]]
    assert docker.calls("rm") == [["rm", "--force", "--volumes", name]]
    assert (events["ended"]["code"], events["ended"]["why"]) == (3, None)
    assert sorted(runner.output(attempt).split()) == ["err", "out"]


def test_values_of_variables_stay_off_the_command_line_unless_the_engine_itself_would_heed_them(runner: Runner, docker: StandIn) -> None:
    given = {"SECRET": "s3cret", "PATH": "/opt/bin", "LD_PRELOAD": "x.so", "DOCKER_HOST": "tcp://elsewhere", "https_proxy": "http://p", "TASK_ATTEMPT": "99"}
    run(runner, docker, environment=given)
    create = docker.calls("create")[0]
    told = set(words_after(create, "--env"))
    assert {"SECRET", "TASK_ATTEMPT", "AWS_BATCH_JOB_ID", "TASK_OUTPUT_DIR"} <= told
    assert {"PATH=/opt/bin", "LD_PRELOAD=x.so", "DOCKER_HOST=tcp://elsewhere", "https_proxy=http://p"} <= told
    assert not [word for word in create if "s3cret" in word]
    environment = docker.environment("create")
    assert (environment["SECRET"], environment["TASK_ATTEMPT"], environment["HOME"]) == ("s3cret", "1", "/home/of/the/engine")
    assert environment["PATH"] == docker.cli_environment["PATH"]
    assert environment["LC_ALL"] == docker.environment("start")["LC_ALL"] == docker.environment("rm")["LC_ALL"] == "C.UTF-8"
    assert "LD_PRELOAD" not in environment
    assert "SECRET" not in docker.environment("start")


def test_volumes_that_are_made_for_a_container_go_with_it(runner: Runner, docker: StandIn, place: Path) -> None:
    volumes = [
        {"source": None, "name": "scratch", "target": "/a", "read_only": False},
        {"source": None, "name": "scratch", "target": "/b", "read_only": True},
        {"source": str(place), "name": "host", "target": "/c", "read_only": True},
    ]
    attempt = run(runner, docker, volumes=volumes)["ended"]["a"]
    made = f"spawn-{attempt.replace(':', '-')}-scratch"
    output = f"{runner.files}/a/0/0-1.out"
    assert list(words_after(docker.calls("create")[0], "--volume")) == [f"{made}:/a", f"{made}:/b:ro", f"{place}:/c:ro", f"{output}:{output}"]
    assert docker.calls("volume") == [["volume", "rm", "--force", made]]


@pytest.mark.parametrize(("code", "why"), [(137, "oom"), (1, "oom"), (0, None)])
def test_what_the_engine_says_was_killed_for_want_of_memory_was(runner: Runner, docker: StandIn, code: int, why: str | None) -> None:
    docker.end(ExitCode=code, OOMKilled=True)
    ended = run(runner, docker)["ended"]
    assert (ended["code"], ended["why"]) == (code, why)


def test_a_missing_image_is_pulled_once(runner: Runner, docker: StandIn, place: Path) -> None:
    here = place / "pulled"
    docker.answer(create=f"[ -e {here} ] || {{ echo 'No such image' >&2; exit 1; }}", image=f"[ -e {here} ]", pull=f"touch {here}")
    assert run(runner, docker)["ended"]["code"] == 0
    assert [call[0] for call in docker.calls() if call[0] != "container"] == ["create", "image", "info", "pull", "create", "start", "rm"]
    assert docker.calls("pull") == [["pull", "img:1"]]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (
            {"create": "exit 1", "image": "exit 1", "pull": "echo 'Error response from daemon: no such thing' >&2; exit 1"},
            "CannotPullContainerError: no such thing",
        ),
        ({"create": "echo 'Error response from daemon: bad option' >&2; exit 1"}, "CannotCreateContainerError: bad option"),
        (
            {"create": "exit 1", "image": "exit 1", "info": "echo 'Cannot connect to the Docker daemon' >&2; exit 1"},
            "CannotStartContainerError: docker does not answer: Cannot connect to the Docker daemon",
        ),
        ({"create": "exit 1"}, "CannotCreateContainerError: it did not say why"),
    ],
)
def test_what_the_engine_refuses_is_refused_with_its_words(runner: Runner, docker: StandIn, answers: dict[str, str], reason: str) -> None:
    docker.answer(**answers)
    events = run(runner, docker)
    assert events["refused"]["reason"] == reason
    assert "started" not in events


def test_a_container_that_never_started_says_what_the_engine_says(runner: Runner, docker: StandIn) -> None:
    docker.end(Status="created", StartedAt="0001-01-01T00:00:00Z", ExitCode=127, Error="exec: not found")
    calls = docker.calls_file
    docker.answer(start="exit 127", ps=f"grep -q '^rm' {calls} || grep -ao 'spawn-[0-9a-f]*-0-1' {calls} | head -1")
    assert run(runner, docker)["refused"]["reason"] == "CannotStartContainerError: exec: not found"
    assert len(docker.calls("rm")) == 1


def not_started(runner: Runner, docker: StandIn, *said: str, error: str = "") -> str:
    """The reason given for a container that never started when the engine says these lines."""
    docker.end(Status="created", StartedAt="0001-01-01T00:00:00Z", ExitCode=127, Error=error)
    docker.answer(start="".join(f"echo '{line}' >&2; " for line in said) + "exit 125")
    return str(run(runner, docker)["refused"]["reason"])


def test_the_sentence_that_names_the_cause_is_told_also_when_it_is_not_the_last_one(runner: Runner, docker: StandIn) -> None:
    identity = "0123456789abcdef" * 4
    said = ("runc: rlimit type 7: operation not permitted", "", f"Error: unable to start container {identity}: exit status 1")
    expected = "CannotStartContainerError: runc: rlimit type 7: operation not permitted; unable to start container 0123456789ab: exit status 1"
    assert not_started(runner, docker, *said) == expected


def test_what_the_engine_says_twice_or_only_to_say_that_it_failed_is_left_out(runner: Runner, docker: StandIn) -> None:
    said = ("Error response from daemon: no such user", "Error: failed to start containers: spawn-x-0-1")
    assert not_started(runner, docker, *said, error="no such user") == "CannotStartContainerError: no such user"


def test_a_long_reason_keeps_its_end_where_the_cause_is(runner: Runner, docker: StandIn) -> None:
    reason = not_started(runner, docker, "Error: " + "while doing this: " * 40 + "too many open files")
    assert reason.startswith("CannotStartContainerError: …")
    assert reason.endswith(" while doing this: too many open files")
    assert 235 < len(reason) <= 255


def test_a_stop_is_passed_on_until_the_engine_takes_it(runner: Runner, docker: StandIn, place: Path) -> None:
    tries, ended = place / "tries", place / "ended"
    docker.end(Running=True, Status="running")
    docker.answer(start=f"while [ ! -e {ended} ]; do sleep 0.02; done", kill=f"echo x >> {tries}; [ $(wc -l < {tries}) -ge 3 ] && touch {ended}")
    docker.answer(
        container=f"if [ -e {ended} ]; then echo '{json.dumps({**docker.state, 'Status': 'exited', 'Running': False, 'ExitCode': 143})}'; "
        f"else echo '{json.dumps({**docker.state})}'; fi"
    )
    key = runner.array(argv=[], workdir=None, container=container(image="img:1", cli_environment=docker.cli_environment))
    attempt = runner.begin(key, 0, runtime="docker")[0]
    runner.event(attempt, "started")
    runner.send({"op": "stop", "attempts": [attempt], "why": "stopped", "grace_s": 10})
    end = runner.ended(attempt)
    assert (end["code"], end["why"]) == (143, "stopped")
    name = f"spawn-{attempt.replace(':', '-')}"
    assert docker.calls("kill") == [["kill", "--signal", "TERM", name]] * 3


def test_what_cannot_be_removed_now_is_removed_by_the_next_runner(make_runner: Callable[..., Runner], docker: StandIn, place: Path) -> None:
    runner = make_runner()
    runner.start()
    docker.answer(rm="echo 'Error response from daemon: device or resource busy' >&2; exit 1")
    key = runner.array(argv=[], workdir=None, container=container(image="img:1", cli_environment=docker.cli_environment))
    attempt = f"{key}:0:1"
    name = f"spawn-{attempt.replace(':', '-')}"
    gone = place / "gone"
    docker.answer(ps=f"[ -e {gone} ] || echo {name}")
    runner.begin(key, 0, runtime="docker")
    assert runner.ended(attempt)["code"] == 0
    assert "device or resource busy" in runner.output(attempt)
    assert (runner.directory / "containers" / attempt / "note.json").exists()
    runner.end()
    before = len(docker.calls("rm"))
    docker.answer(rm=f"touch {gone}")
    runner.start()
    assert docker.calls("rm")[before:] == [["rm", "--force", "--volumes", name]]
    assert not (runner.directory / "containers" / attempt).exists()


def test_of_several_only_those_that_are_there_are_killed_and_removed_and_the_list_decides(docker: StandIn, place: Path) -> None:
    cli = Cli(str(docker.directory / "docker"), docker.cli_environment, "/")
    rounds = place / "rounds"
    docker.answer(ps=f"echo x >> {rounds}; case $(wc -l < {rounds}) in 1) echo a; echo c ;; 2) echo c ;; esac", kill="exit 1", rm="exit 0")
    assert cli.remove(["a", "b", "c"], ["v"]) is None
    acted = [call for call in docker.calls() if call[0] != "ps"]
    kill, remove = ["kill", "--signal", "KILL"], ["rm", "--force", "--volumes"]
    first = [[*kill, "a", "c"], [*kill, "a"], [*kill, "c"], [*remove, "a", "c"]]
    assert acted == [*first, [*kill, "c"], [*remove, "c"], ["volume", "rm", "--force", "v"]]


def test_a_call_that_does_not_answer_is_given_up(docker: StandIn) -> None:
    docker.answer(info="exec sleep 60")
    done = Cli(str(docker.directory / "docker"), docker.cli_environment, "/").call("info", patience=0.2)
    assert done.code != 0
    assert done.complaint == "`docker info` did not answer within 0.2 s"
