"""Where the files of local attempts are (docs/wire.md, "Files of an attempt")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spawn.domain.jobs import Job
from spawn.providers.local.spec import spec_of

_SHARD = 1000
"""Children whose files share a directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFiles:
    """Names the files of all arrays below one directory, for the runner in another; makes and reads none."""

    arrays: Path
    runner: Path

    def directory(self, job: Job) -> Path:
        """Everything of one array."""
        # an id may be given out again after `spawn rm`, while the files of the first one are still being deleted
        return self.arrays / f"{job.id}.{job.key}"

    def log(self, job: Job, position: int, attempt: int) -> Path:
        """Standard output and error of an attempt, together."""
        return self._stem(job, position, attempt, "log")

    def output(self, job: Job, position: int, attempt: int) -> Path:
        """The attempt's TASK_OUTPUT_DIR."""
        return self._stem(job, position, attempt, "out")

    def private_tmp(self, job: Job, position: int, attempt: int) -> Path:
        """What the attempt sees as /tmp, when it has one of its own."""
        return self._stem(job, position, attempt, "tmp")

    def runner_directory(self, _: Job) -> str:
        """The directory of this machine's runner."""
        return str(self.runner)

    def session_spec(self, job: Job) -> Mapping[str, object]:
        """What `spored enter` has to know of the array."""
        return spec_of(job, directory=self.directory(job), runner_directory=self.runner, max_concurrent=None, memory_limit=False)

    def _stem(self, job: Job, position: int, attempt: int, suffix: str) -> Path:
        return self.directory(job) / str(position // _SHARD) / f"{job.index_at(position)}-{attempt}.{suffix}"
