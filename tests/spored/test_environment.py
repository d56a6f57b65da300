"""What a child is told, and what it must not be told."""

from __future__ import annotations

from typing import Any

from spored.environment import Identity, own, shared
from spored.specs import parse_spec
from tests.spored.driver import Runner


def told(runner: Runner, *, placed: bytes | None = None, hidden: bool = False, **members: Any) -> dict[str, str]:
    """The environment of one child."""
    spec = parse_spec(runner.spec(**members))
    variables = shared(spec, "/run/dir", lambda path: hidden and path.startswith("/tmp/"))
    mine = own(spec, Identity(spec.id.encode(), b"aaaaaaaaaa:3:2", 7, 2, b"/out", placed))
    return {**variables, **{name.decode(): value.decode() for name, value in mine.items()}}


def test_an_array_child_knows_itself_by_every_name(runner: Runner) -> None:
    variables = told(runner, size=20, first=5, last=40, id="id", name="words", queue="q", compute_environment="ce", environment={"PATH": "/bin", "KEEP": "me"})
    assert variables == {
        "PATH": "/run/dir/bin:/bin",
        "KEEP": "me",
        "PWD": "/",
        "SPAWN_RUNNER": "/run/dir",
        "SPAWN_ATTEMPT_ID": "aaaaaaaaaa:3:2",
        "TASK_ARRAY_INDEX": "7",
        "TASK_ARRAY_SIZE": "20",
        "TASK_ARRAY_ID": "id",
        "TASK_ATTEMPT": "2",
        "TASK_OUTPUT_DIR": "/out",
        "AWS_BATCH_JOB_ID": "id:7",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "AWS_BATCH_JQ_NAME": "q",
        "AWS_BATCH_CE_NAME": "ce",
        "AWS_BATCH_JOB_ARRAY_INDEX": "7",
        "AWS_BATCH_JOB_ARRAY_SIZE": "20",
        "SLURM_ARRAY_TASK_ID": "7",
        "SLURM_ARRAY_TASK_COUNT": "20",
        "SLURM_ARRAY_TASK_MIN": "5",
        "SLURM_ARRAY_TASK_MAX": "40",
        "SLURM_ARRAY_JOB_ID": "id",
        "JOB_COMPLETION_INDEX": "7",
        "BATCH_TASK_INDEX": "7",
        "BATCH_TASK_COUNT": "20",
        "JOB_ARRAY_INDEX": "7",
        "JOB_ARRAY_SIZE": "20",
        "JOB_ARRAY_ID": "id",
        "JOB_ARRAY_NAME": "words",
    }


def test_the_environment_it_was_placed_in_is_named_before_the_one_of_the_array(runner: Runner) -> None:
    assert told(runner, placed=b"spot", compute_environment="local")["AWS_BATCH_CE_NAME"] == "spot"


def test_attempts_of_one_array_may_be_placed_in_different_environments(runner: Runner) -> None:
    key = runner.array(size=3, argv=["/bin/sh", "-c", "echo $AWS_BATCH_CE_NAME"], compute_environment="first")
    attempts = [*runner.begin(key, 0), *runner.begin(key, 1, compute_environment="second"), *runner.begin(key, 2, compute_environment="third")]
    for attempt in attempts:
        runner.ended(attempt)
    assert [runner.output(attempt) for attempt in attempts] == ["first\n", "second\n", "third\n"]


def test_the_names_of_others_can_be_left_out(runner: Runner) -> None:
    variables = told(runner, compat_env=False)
    assert not [name for name in variables if name.startswith(("SLURM", "JOB_", "BATCH_"))]
    assert variables["TASK_ARRAY_INDEX"] == variables["AWS_BATCH_JOB_ARRAY_INDEX"] == "7"


def test_a_single_job_has_no_index_not_even_0(runner: Runner) -> None:
    variables = told(runner, is_array=False, id="id")
    assert set(variables) == {
        *("PATH", "HOME", "PWD", "SPAWN_RUNNER", "SPAWN_ATTEMPT_ID", "TASK_ATTEMPT", "TASK_OUTPUT_DIR"),
        *("AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT", "AWS_BATCH_JQ_NAME", "AWS_BATCH_CE_NAME"),
    }
    assert variables["AWS_BATCH_JOB_ID"] == "id"


def test_the_index_of_whoever_launched_is_not_inherited(runner: Runner) -> None:
    stale = dict.fromkeys(
        (
            "TASK_ARRAY_INDEX",
            "TASK_ARRAY_SIZE",
            "AWS_BATCH_JOB_ARRAY_INDEX",
            "SLURM_ARRAY_TASK_ID",
            "SLURM_ARRAY_TASK_STEP",
            "JOB_COMPLETION_INDEX",
            "SPAWN_DETACHED",
        ),
        "0",
    )
    variables = told(runner, is_array=False, environment={"PATH": "/bin", **stale})
    assert not set(stale) & set(variables)
    assert "SLURM_ARRAY_TASK_ID" not in told(runner, compat_env=False, environment=stale)


def test_an_empty_path_is_still_a_path(runner: Runner) -> None:
    assert told(runner, environment={})["PATH"] == "/run/dir/bin:/usr/local/bin:/usr/bin:/bin"


def test_temporary_directories_that_are_hidden_are_not_named(runner: Runner) -> None:
    environment = {"TMPDIR": "/tmp/mine", "TMP": "/scratch"}
    assert "TMPDIR" not in told(runner, hidden=True, environment=environment)
    variables = told(runner, environment=environment)
    assert (variables["TMPDIR"], variables["TMP"]) == ("/tmp/mine", "/scratch")


def test_it_is_all_exported_to_the_process(runner: Runner) -> None:
    attempt = runner.one(argv=["/usr/bin/env", "python3", "-c", "import os; print(os.environ['TASK_ARRAY_INDEX'], os.environ['SLURM_ARRAY_TASK_ID'])"])
    runner.ended(attempt)
    assert runner.output(attempt) == "0 0\n"
