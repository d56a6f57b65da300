"""A container as the engine (of job arrays) describes it: the `container` of a spec, and the command line that creates it."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from spored.errors import BadMessage
from spored.home import this_program

PLAN = b"container.json"
"""The file in an array's directory that says what its containers are like."""
_LIMITS = (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
_OWN_NAMES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "LANG", "LANGUAGE", "TZ", "PWD")
_OWN_PREFIXES = (
    "LD_",
    "LC_",
    "GO",
    "DOCKER_",
    "BUILDKIT_",
    "CONTAINER",
    "PODMAN_",
    "REGISTRY_",
    "STORAGE_",
    "XDG_",
    "SSL_",
    "DBUS_",
    "SSH_",
    "NOTIFY_",
    "LISTEN_",
    "_",
)


class Volume(NamedTuple):
    """A place of this machine, or a new empty volume, that the container sees at `target`."""

    source: str | None  #: an absolute path; None: the new volume `name`
    name: str
    target: str
    read_only: bool


class Plan(NamedTuple):
    """What all containers of an array have in common."""

    image: str
    command: tuple[str, ...]  #: empty: the image's own
    environment: Mapping[str, str]
    options: tuple[str, ...]  #: of `create`, as docker and podman both take them
    volumes: tuple[Volume, ...]
    cli_environment: Mapping[str, str]
    refusal: str | None  #: why no container can be made as asked for


def parse_plan(message: Any) -> Plan:
    """The `container` of a spec. BadMessage when it is none."""
    try:
        volumes = tuple(Volume(v["source"], v["name"], v["target"], v["read_only"]) for v in message["volumes"])
        plan = Plan(
            image=message["image"],
            command=tuple(message["command"]),
            environment=dict(message["environment"]),
            options=tuple(message["options"]),
            volumes=volumes,
            cli_environment=dict(message["cli_environment"]),
            refusal=message["refusal"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessage(f"spec.container is not understood: {error!r}"[:200]) from None
    words = [plan.image, *plan.command, *plan.options, *plan.environment, *plan.environment.values(), *plan.cli_environment, *plan.cli_environment.values()]
    words += [word for volume in volumes for word in (volume.name, volume.target, volume.source or "")] + [plan.refusal or ""]
    if not all(isinstance(word, str) and "\0" not in word for word in cast("list[object]", words)):
        raise BadMessage("spec.container must hold strings without NUL")
    return plan


def write_plan(path: bytes, plan: Plan) -> None:
    """Keep a plan for the supervisors, readable by its owner only."""
    draft = path + b".new"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as file:
        json.dump({**plan._asdict(), "volumes": [volume._asdict() for volume in plan.volumes]}, file)
    os.rename(draft, path)


def read_plan(path: str) -> Plan:
    """What `write_plan` wrote."""
    with open(path, encoding="ascii") as file:
        return parse_plan(json.load(file))


def supervisor(engine: str, directory: bytes) -> list[bytes]:
    """The command of the process that runs one container of the array whose files are in `directory`."""
    return [os.fsencode(word) for word in (sys.executable, "-IS", this_program(), "container", "--engine", engine, "--plan")] + [os.path.join(directory, PLAN)]


class Named(NamedTuple):
    """One container: its name, and where things of it are on this machine."""

    name: str
    output: str  #: seen in the container at the same place
    pid_file: str


def volume_names(plan: Plan, name: str) -> list[str]:
    """The volumes that exist only for the container of this name."""
    return sorted({f"{name}-{volume.name}" for volume in plan.volumes if volume.source is None})


def create_words(engine: str, plan: Plan, who: Named, told: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The words after `create` for one container, and what the environment of the call needs beyond its own.

    Values of variables stay off the command line, which every user of the machine can read; only those the engine itself would heed are on it.
    `told` are the variables that tell the attempt who it is: they win over the job's.
    """
    words = ["--name", who.name, "--pull", "never", "--network", "host", "--log-driver", "none", *plan.options]
    if engine == "podman":
        words += ["--pidfile", who.pid_file, "--http-proxy=false", *_own_limits(plan)]
        if "--read-only" in plan.options:
            words.append("--read-only-tmpfs=false")
    carried = {}
    for name, value in {**plan.environment, **told}.items():
        if _is_heeded(name):
            words += ["--env", f"{name}={value}"]
        else:
            words += ["--env", name]
            carried[name] = value
    for volume in plan.volumes:
        source = volume.source if volume.source is not None else f"{who.name}-{volume.name}"
        words += ["--volume", f"{source}:{volume.target}" + (":ro" if volume.read_only else "")]
    words += ["--volume", f"{who.output}:{who.output}"]
    return [*words, "--", plan.image, *plan.command], carried


def _is_heeded(name: str) -> bool:
    return name in _OWN_NAMES or name.startswith(_OWN_PREFIXES) or name.lower().endswith("_proxy")


def _own_limits(plan: Plan) -> list[str]:
    """podman asks for more than a user without all rights may have: where the job says nothing, the limits are those of this machine."""
    words = []
    for name, number in _LIMITS:
        if not any(option.startswith(f"--ulimit={name}=") for option in plan.options):
            soft, hard = (_capped(limit) if name == "nproc" else limit for limit in resource.getrlimit(number))
            words += ["--ulimit", f"{name}={soft}:{hard}"]
    return words


def _capped(limit: int) -> int:
    """podman lets no container have more processes than this machine has pids."""
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        most = int(file.read())
    return most if limit < 0 else min(limit, most)
