"""An array as the runner is told of it (docs/wire.md, "spec")."""

from __future__ import annotations

import sys
from pathlib import Path

from spawn.domain.instances import OnComplete
from spawn.domain.jobs import Job

COMPUTE_ENVIRONMENT = "local"


def spec_of(job: Job, *, directory: Path, runner_directory: Path, max_concurrent: int | None, memory_limit: bool) -> dict[str, object]:
    """Everything the runner needs to make the children of this array, the same for all of them."""
    return {
        "id": job.id,
        "name": job.name,
        "size": job.size,
        "is_array": job.is_array,
        "first": job.indexes.first if job.indexes else 0,
        "last": job.indexes.last if job.indexes else 0,
        "argv": None if job.work.command is None else list(job.work.command),
        "script": job.work.script,
        "environment": dict(job.work.environment),
        "workdir": job.work.workdir,
        "directory": str(directory),
        "private_tmp": job.work.private_tmp,
        "visible": visible_paths(job, directory, runner_directory),
        "cpus": job.demand.cpus,
        "memory": job.demand.memory,
        "memory_limit": memory_limit and job.demand.memory > 0,
        "timeout_s": job.timeout.total_seconds() if job.timeout else None,
        "ttl_s": job.lifetime.ttl.total_seconds() if job.lifetime.ttl else None,
        "grace_s": job.grace.total_seconds(),
        "keep": job.lifetime.on_complete is not OnComplete.TERMINATE,
        "max_concurrent": max_concurrent,
        "compat_env": job.work.compat_env,
        "queue": job.queue,
        "compute_environment": COMPUTE_ENVIRONMENT,
        "umask": job.work.umask,
    }


def visible_paths(job: Job, directory: Path, runner_directory: Path) -> list[str]:
    """What a script with a private /tmp still sees below /tmp: where it was launched, its home, its programs, its output, and spawn's own state."""
    environment = job.work.environment
    wanted = [
        job.work.workdir,
        str(directory),
        str(runner_directory),
        str(runner_directory.parent),
        sys.prefix,
        str(Path(__file__).parents[3]),
        environment.get("HOME", ""),
        environment.get("VIRTUAL_ENV", ""),
    ]
    wanted += environment.get("PATH", "").split(":")
    below = {path.rstrip("/") for path in wanted if path.startswith("/tmp/") and path.rstrip("/") != "/tmp"}
    return sorted(path for path in below if not any(path.startswith(f"{other}/") for other in below))
