"""An array as the runner is told of it (docs/wire.md, "spec")."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spawn.domain.jobs import Job
from spawn.engine.specs import common_spec
from spawn.machine import existing_place
from spawn.providers.local.containers import container_of

COMPUTE_ENVIRONMENT = "local"


def spec_of(job: Job, *, directory: Path, runner_directory: Path, max_concurrent: int | None, memory_limit: bool) -> dict[str, object]:
    """Everything the runner needs to make the children of this array, the same for all of them."""
    return {
        **common_spec(job),
        "environment": dict(job.work.environment),
        "workdir": job.work.workdir or None,
        "directory": str(directory),
        "private_tmp": job.work.private_tmp,
        "visible": visible_paths(job, directory, runner_directory),
        "memory_limit": memory_limit and job.demand.memory > 0,
        "ttl_s": job.lifetime.ttl.total_seconds() if job.lifetime.ttl else None,
        "max_concurrent": max_concurrent,
        "compute_environment": COMPUTE_ENVIRONMENT,
        "container": container_of(job),
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
    wanted += [place for path in _named_by(job) if (place := existing_place(path)) is not None]
    below = {path.rstrip("/") for path in wanted if path.startswith("/tmp/") and path.rstrip("/") != "/tmp"}
    return sorted(path for path in below if not any(path.startswith(f"{other}/") for other in below))


def _named_by(job: Job) -> Iterator[str]:
    """The paths that a Batch job names by its command, parameters and volumes: it has no directory that it was launched from."""
    if job.batch is None:
        return
    yield from job.work.command or ()
    yield from job.batch.parameters.values()
    volumes: Any = job.batch.container.get("volumes")
    for volume in volumes or ():
        yield str((volume.get("host") or {}).get("sourcePath") or "")
