"""An array as a runner is told of it (docs/wire.md, "spec"), as far as that is the same on every machine."""

from __future__ import annotations

from spawn.domain.instances import OnComplete
from spawn.domain.jobs import Job


def common_spec(job: Job) -> dict[str, object]:
    """What does not hang on where the runner is; its provider adds the rest."""
    return {
        "id": job.id,
        "name": job.name,
        "size": job.size,
        "is_array": job.is_array,
        "first": job.indexes.first if job.indexes else 0,
        "last": job.indexes.last if job.indexes else 0,
        "argv": None if job.work.command is None else list(job.work.command),
        "script": job.work.script,
        "cpus": job.demand.cpus,
        "memory": job.demand.memory,
        "timeout_s": job.timeout.total_seconds() if job.timeout else None,
        "grace_s": job.grace.total_seconds(),
        "keep": job.lifetime.on_complete is not OnComplete.TERMINATE,
        "compat_env": job.work.compat_env,
        "queue": job.queue,
        "umask": job.work.umask,
    }
