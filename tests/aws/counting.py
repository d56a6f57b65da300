"""What a door reads, counted: rows of the store, jobs whose bodies were decoded, and bytes of logs."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from spawn.api.aws.batch.operations import operations as batch_operations
from spawn.api.aws.logs.operations import operations as logs_operations
from spawn.domain.jobs import Job
from spawn.engine.ports import AttemptFiles, Records
from spawn.engine.records import JobRow
from tests.aws.serving import Served


class Counter:
    """The records and files of a door, and how much was read of them."""

    def __init__(self, served: Served) -> None:
        self._records, self._files = served.door.records, served.door.files
        self.rows = self.decoded = self.bytes = 0
        door = replace(served.door, records=cast(Records, self), files=cast(AttemptFiles, self))
        served.handlers = {"batch": batch_operations(door), "logs": logs_operations(door)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def read(self, query: str, parameters: Sequence[object] | dict[str, object] = ()) -> list[Any]:
        """The rows of a query."""
        rows = self._records.read(query, parameters)
        self.rows += len(rows)
        return rows

    def jobs(self, query: str, parameters: Sequence[object] | dict[str, object]) -> list[JobRow]:
        """The jobs of a query."""
        rows = self._records.jobs(query, parameters)
        self.rows += len(rows)
        self.decoded += len(rows)
        return rows

    def log(self, job: Job, position: int, attempt: int) -> Path:
        """The log of an attempt, which counts what is read of it."""
        return cast(Path, _Log(self, self._files.log(job, position, attempt)))


class _Log:
    def __init__(self, counter: Counter, path: Path) -> None:
        self._counter, self._path = counter, path

    def stat(self) -> os.stat_result:
        """What the file system says."""
        return self._path.stat()

    def open(self, mode: str) -> _Reader:
        """The file, for reading."""
        assert mode == "rb"
        return _Reader(self._counter, self._path)


class _Reader(io.FileIO):
    def __init__(self, counter: Counter, path: Path) -> None:
        super().__init__(path)
        self._counter = counter

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        content = super().read(-1 if size is None else size)
        self._counter.bytes += len(content)
        return content
