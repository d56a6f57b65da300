"""The files of attempts, wherever these ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spawn.domain.jobs import Job
from spawn.engine.ports import AttemptFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesByPlace:
    """Names the files of this machine's attempts, and the copies of what attempts on EC2 left in their bucket."""

    here: AttemptFiles
    copies: AttemptFiles

    def directory(self, job: Job) -> Path:
        """Everything of one job."""
        return self._of(job).directory(job)

    def log(self, job: Job, position: int, attempt: int) -> Path:
        """Standard output and error of an attempt, together."""
        return self._of(job).log(job, position, attempt)

    def output(self, job: Job, position: int, attempt: int) -> Path:
        """The attempt's TASK_OUTPUT_DIR."""
        return self._of(job).output(job, position, attempt)

    def runner_directory(self, job: Job) -> str:
        """The directory of the runner that makes the attempts of a job."""
        return self._of(job).runner_directory(job)

    def session_spec(self, job: Job) -> Mapping[str, object]:
        """What `spored enter` has to know of the array."""
        return self._of(job).session_spec(job)

    def _of(self, job: Job) -> AttemptFiles:
        return self.here if job.fleet is None else self.copies
