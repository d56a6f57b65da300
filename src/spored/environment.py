"""The environment of a child: what the whole array shares, made once, and the few variables of its own."""

from __future__ import annotations

from typing import Callable, NamedTuple

from spored.specs import Spec, text_bytes

ATTEMPT_MARK = "SPAWN_ATTEMPT_ID"
RUNNER_MARK = "SPAWN_RUNNER"
DETACHED_MARK = "SPAWN_DETACHED"
"""Set by a program that an attempt may happen to start but that does not belong to it (an engine, a runner): it is never killed with the attempt."""

_OF_ALL = ("TASK_ATTEMPT", "TASK_OUTPUT_DIR", "AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT", "AWS_BATCH_JQ_NAME", "AWS_BATCH_CE_NAME")
_OF_ARRAYS = ("TASK_ARRAY_INDEX", "TASK_ARRAY_SIZE", "TASK_ARRAY_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE")
_COMPATIBLE = (
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_ARRAY_JOB_ID",
    "JOB_COMPLETION_INDEX",
    "BATCH_TASK_INDEX",
    "BATCH_TASK_COUNT",
    "JOB_ARRAY_INDEX",
    "JOB_ARRAY_SIZE",
    "JOB_ARRAY_ID",
    "JOB_ARRAY_NAME",
)
_OF_OTHERS = ("AWS_BATCH_JOB_NODE_INDEX", "AWS_BATCH_JOB_NUM_NODES", "AWS_BATCH_JOB_MAIN_NODE_INDEX")
_STALE = frozenset((*_OF_ALL, *_OF_ARRAYS, *_COMPATIBLE, *_OF_OTHERS, ATTEMPT_MARK, RUNNER_MARK, DETACHED_MARK, "PWD", "OLDPWD"))
"""Inherited, these would tell a child of another index than its own: a child that is given none must see none."""

TOLD = frozenset((*_OF_ALL, *_OF_ARRAYS, *_COMPATIBLE))
"""The names by which an attempt is told who it is."""
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_TEMPORARY = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")


def shared(spec: Spec, runner: str, hidden: Callable[[str], bool]) -> dict[str, str]:
    """The variables every child of the array has; `runner` is the runner's directory, whose `bin` comes first in PATH.

    `hidden` tells whether the children's private /tmp, if they have one, hides a path: nothing temporary could be made there.
    """
    variables = {name: value for name, value in spec.environment.items() if name not in _STALE}
    for name in _TEMPORARY:
        if hidden(variables.get(name, "/")):
            del variables[name]
    variables["PATH"] = f"{runner}/bin:{variables.get('PATH') or _DEFAULT_PATH}"
    if spec.workdir is not None:
        variables["PWD"] = spec.workdir
    variables[RUNNER_MARK] = runner
    variables.update(told(spec))
    return variables


def told(spec: Spec) -> dict[str, str]:
    """What every child of the array is told of it."""
    variables = {"AWS_BATCH_JQ_NAME": spec.queue, "AWS_BATCH_CE_NAME": spec.compute_environment}
    if spec.is_array:
        variables.update(_shared_by_array(spec))
    return variables


def _shared_by_array(spec: Spec) -> dict[str, str]:
    size = str(spec.size)
    variables = {"TASK_ARRAY_SIZE": size, "TASK_ARRAY_ID": spec.id, "AWS_BATCH_JOB_ARRAY_SIZE": size}
    if spec.compat_env:
        variables.update(
            SLURM_ARRAY_TASK_COUNT=size,
            SLURM_ARRAY_TASK_MIN=str(spec.first),
            SLURM_ARRAY_TASK_MAX=str(spec.last),
            SLURM_ARRAY_JOB_ID=spec.id,
            BATCH_TASK_COUNT=size,
            JOB_ARRAY_SIZE=size,
            JOB_ARRAY_ID=spec.id,
            JOB_ARRAY_NAME=spec.name,
        )
    return variables


def as_bytes(variables: dict[str, str]) -> dict[bytes, bytes]:
    """The same for the kernel."""
    return {text_bytes(name): text_bytes(value) for name, value in variables.items()}


class Identity(NamedTuple):
    """What one attempt is told of itself."""

    batch_id: bytes  #: the array's id
    attempt_id: bytes
    child_index: int
    number: int
    output: bytes  #: its TASK_OUTPUT_DIR
    compute_environment: bytes | None  #: the one it was placed in; None: the array's


def own(spec: Spec, who: Identity) -> dict[bytes, bytes]:
    """The variables of one attempt alone. A single job gets no index at all, never a 0."""
    number = b"%d" % who.number
    variables = {b"SPAWN_ATTEMPT_ID": who.attempt_id, b"TASK_ATTEMPT": number, b"AWS_BATCH_JOB_ATTEMPT": number, b"AWS_BATCH_JOB_ID": who.batch_id}
    variables[b"TASK_OUTPUT_DIR"] = who.output
    if spec.workdir is None:
        variables[b"PWD"] = who.output
    if who.compute_environment is not None:
        variables[b"AWS_BATCH_CE_NAME"] = who.compute_environment
    if spec.is_array:
        told = b"%d" % who.child_index
        variables[b"AWS_BATCH_JOB_ID"] = b"%b:%b" % (who.batch_id, told)
        variables[b"TASK_ARRAY_INDEX"] = variables[b"AWS_BATCH_JOB_ARRAY_INDEX"] = told
        if spec.compat_env:
            variables[b"SLURM_ARRAY_TASK_ID"] = variables[b"JOB_COMPLETION_INDEX"] = told
            variables[b"BATCH_TASK_INDEX"] = variables[b"JOB_ARRAY_INDEX"] = told
    return variables
