"""A job's container as the runner is told of it (docs/wire.md, "container"): AWS Batch's container properties in the words of `docker create`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spawn.domain.jobs import BatchJob, Job

_VOLUME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SHARES_OF_A_VCPU: Final = 1024
_FEWEST_SHARES: Final = 2
_PERMISSIONS: Final = {"READ": "r", "WRITE": "w", "MKNOD": "m"}
_REMOTE: Final = {"efsVolumeConfiguration": "Amazon EFS", "s3filesVolumeConfiguration": "Amazon S3 Files"}
_HEEDED: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "SSH_AUTH_SOCK")
_HEEDED_PREFIXES: Final = ("DOCKER_", "CONTAINER", "PODMAN_", "REGISTRY_AUTH_", "STORAGE_", "DBUS_SESSION_", "SSL_CERT_")
_TOLD_BY_AWS: Final = ("AWS_EXECUTION_ENV",)

Json = Mapping[str, Any]


class _Refused(Exception):
    """No container can be had as asked for; the message says why, and the way out."""


def container_of(job: Job) -> dict[str, object] | None:
    """What all containers of a job have in common; None for a job without an image, as those of `spawn launch` are.

    What cannot be had here is told as `refusal`, by which each attempt fails: the job may as well be placed in an environment that runs processes.
    """
    if job.batch is None or not job.batch.container.get("image"):
        return None
    detail: Json = job.batch.container
    options: list[str] = []
    volumes: list[dict[str, object]] = []
    refusal = None
    try:
        options = list(_options(job, job.batch, detail))
        volumes = list(_volumes(detail))
    except _Refused as error:
        refusal = str(error)
    return {
        "image": str(detail["image"]),
        "command": list(job.work.command or ()),
        "environment": _environment(job, detail),
        "options": options,
        "volumes": volumes,
        "cli_environment": _cli_environment(os.environ),
        "refusal": refusal,
    }


def _environment(job: Job, detail: Json) -> dict[str, str]:
    """The job's variables, and none of this machine; what AWS tells processes and containers alike was put into the job's when it was submitted."""
    told = {name: value for name, value in job.work.environment.items() if name in _TOLD_BY_AWS}
    return {**told, **{variable["name"]: variable.get("value", "") for variable in detail.get("environment", ()) if variable.get("name")}}


def _cli_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the command line of the container engine needs to find its daemon, its storage and its registries, and nothing else of the user's."""
    found = {name: value for name, value in environment.items() if name in _HEEDED or name.startswith(_HEEDED_PREFIXES) or name.lower().endswith("_proxy")}
    return {"PATH": os.defpath, **found}


def _options(job: Job, batch: BatchJob, detail: Json) -> Iterator[str]:
    _check(detail)
    yield from _shares(job, batch)
    if job.demand.memory:
        yield f"--memory={job.demand.memory}m"
    if detail.get("user"):
        yield f"--user={detail['user']}"
    if detail.get("privileged"):
        yield "--privileged"
    if detail.get("readonlyRootFilesystem"):
        yield "--read-only"
    for limit in detail.get("ulimits", ()):
        yield f"--ulimit={limit['name']}={limit['softLimit']}:{limit['hardLimit']}"
    yield from _linux(job, detail.get("linuxParameters") or {})


def _check(detail: Json) -> None:
    if any(requirement.get("type") == "GPU" for requirement in detail.get("resourceRequirements", ())):
        raise _Refused("resourceRequirements: containers are given no GPU here; use a compute environment that runs processes")
    if detail.get("secrets"):
        raise _Refused("secrets: only AWS can look them up; give the values as environment variables")
    if detail.get("repositoryCredentials"):
        raise _Refused("repositoryCredentials: only AWS can look them up; log the container engine in to the registry instead")


def _shares(job: Job, batch: BatchJob) -> Iterator[str]:
    """On EC2 a vCPU is a share of what is busy, on Fargate the most there is (AWS Batch's and ECS's rule)."""
    if "FARGATE" in batch.platform_capabilities:
        yield f"--cpus={job.demand.cpus / 1000:g}"
    elif job.demand.cpus:
        yield f"--cpu-shares={max(job.demand.cpus * _SHARES_OF_A_VCPU // 1000, _FEWEST_SHARES)}"


def _linux(job: Job, linux: Json) -> Iterator[str]:
    if linux.get("initProcessEnabled"):
        yield "--init"
    if linux.get("sharedMemorySize"):
        yield f"--shm-size={linux['sharedMemorySize']}m"
    if linux.get("maxSwap") is not None and job.demand.memory:
        yield f"--memory-swap={job.demand.memory + linux['maxSwap']}m"
        if linux.get("swappiness") is not None:
            yield f"--memory-swappiness={linux['swappiness']}"
    for device in linux.get("devices", ()):
        permissions = "".join(_PERMISSIONS[word] for word in device.get("permissions") or ("READ", "WRITE", "MKNOD"))
        yield f"--device={device['hostPath']}:{device.get('containerPath') or device['hostPath']}:{permissions}"
    for mount in linux.get("tmpfs", ()):
        yield f"--tmpfs={_plain(mount['containerPath'])}:" + ",".join((f"size={mount['size']}m", *mount.get("mountOptions", ())))


def _volumes(detail: Json) -> Iterator[dict[str, object]]:
    known = {volume.get("name"): volume for volume in detail.get("volumes", ())}
    for volume in known.values():
        for member, service in _REMOTE.items():
            if volume.get(member):
                raise _Refused(
                    f"volumes: '{volume.get('name')}' is on {service}, which cannot be mounted here; give a directory of this machine as host.sourcePath"
                )
    for point in detail.get("mountPoints", ()):
        name = point.get("sourceVolume")
        if name not in known:
            raise _Refused(f"mountPoints: there is no volume '{name}'")
        if not _VOLUME.fullmatch(str(name)):
            raise _Refused(f"volumes: '{name}' is not a name: 1 to 255 letters, digits, hyphens and underscores")
        source = (known[name].get("host") or {}).get("sourcePath") or None
        target = _plain(point.get("containerPath") or "")
        if not target.startswith("/") or (source is not None and not source.startswith("/")):
            raise _Refused(f"mountPoints: '{target if source is None or source.startswith('/') else source}' is not an absolute path")
        yield {"source": None if source is None else _plain(source), "name": str(name), "target": target, "read_only": bool(point.get("readOnly"))}


def _plain(path: str) -> str:
    if ":" in path:
        raise _Refused(f"'{path}': container engines take no path with a colon in it")
    return path
