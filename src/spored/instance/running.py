"""How the attempts of an instance are run: what the runner is told of their array, and how many run at once."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from typing import Any

from spored.instance.config import Launch
from spored.instance.machine import processors

_SLOT = 1000
"""What each attempt takes of the runner's room, so that it shares out exactly the slots, whatever the job asks of a queue."""
_HANDED_ON = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CA_BUNDLE", "PATH", "LANG")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENDPOINT_NAMES = {"s3": "AWS_ENDPOINT_URL_S3", "sqs": "AWS_ENDPOINT_URL_SQS", "ec2": "AWS_ENDPOINT_URL_EC2"}


def slots_of(launch: Launch, assigned: int | None) -> int:
    """How many attempts run at once: as the launch says, or one for each vCPU; no more than the array may have running, or this instance has to run.

    `assigned`: how many that is; None: nobody knows yet.
    """
    limits = [launch.slots or processors()]
    if launch.checked.max_concurrent:
        limits.append(launch.checked.max_concurrent)
    if assigned is not None:
        limits.append(assigned)
    return max(min(limits), 1)


def runner_spec(launch: Launch, region: str, interruption: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The array as the runner of this instance is told of it: the launch's, with the environment that a process of this machine needs besides.

    `region`: the instance's own.
    """
    mine = {name: environ[name] for name in _HANDED_ON if environ.get(name)}
    account = pwd.getpwuid(os.geteuid())
    base = {
        "PATH": _DEFAULT_PATH,
        "LANG": "C.UTF-8",
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": account.pw_shell or "/bin/sh",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        **{variable: url for name, variable in _ENDPOINT_NAMES.items() if (url := launch.endpoints[name]) is not None},
    }
    environment = {**base, **mine, **launch.checked.environment, "SPAWN_INTERRUPTION_FILE": interruption}
    return {**launch.spec, "environment": environment, "cpus": _SLOT, "max_concurrent": None, "ttl_s": None}


def capacity(launch: Launch, slots: int) -> dict[str, int]:
    """What the runner shares out."""
    return {"cpus": slots * _SLOT, "memory": slots * launch.checked.memory}
