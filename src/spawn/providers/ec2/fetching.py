"""Bringing logs and outputs of attempts from the bucket to this machine: again and again, by several at once, only what is new."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from spawn.domain.errors import ProviderUnavailable, SpawnError
from spawn.domain.jobs import Job
from spawn.engine.ports import AttemptFiles
from spawn.providers.ec2.asking import pages, read_object
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.downloads import Download, local_path

_AT_ONCE: Final = 16
"""Requests under way at once for one collection."""

_ATTEMPTS_AT_ONCE: Final = 64
"""Attempts whose outputs are listed, and whose directories are held, at once."""

_PART: Final = 8 << 20
"""Most bytes of a part of a log (docs/wire-ec2.md)."""

_PARTS_AT_ONCE: Final = 8


class _Part(NamedTuple):
    """A piece of a log in the bucket."""

    key: str
    offset: int
    size: int


class Fetcher:
    """Reads the bucket of arrays with somebody's access and writes the files that `files` names. Safe to use from any thread."""

    def __init__(self, clients: Clients, files: AttemptFiles) -> None:
        self._clients = clients
        self._files = files
        self._whole: dict[Path, int] = {}  #: logs here by the size to which this process has brought them

    # --- logs ---------------------------------------------------------------------------------------------------------

    def fetch_log(self, job: Job, position: int, attempt: int) -> None:
        """Bring what there is of an attempt's log to its file here. Again: only what is new. What was begun and cut off is made whole first."""
        path = self._files.log(job, position, attempt)
        prefix = f"{_prefix(job, position, attempt)}log/"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _held_file(path) as file:
            size = os.fstat(file).st_size
            parts = self._parts(job, prefix, size, lookback=size > 0 and self._whole.get(path) != size)
            self._whole[path] = self._append(job, file, size, parts)

    def _parts(self, job: Job, prefix: str, size: int, *, lookback: bool) -> Iterator[_Part]:
        """The parts that end after `size`, in order. `lookback`: the file may end in the middle of one, which began at most 8 MiB before."""
        after = max(0, size - _PART) if lookback else size
        s3, action = self._s3(job), f"list the log of {job.id}"
        asked: dict[str, object] = {"Bucket": _bucket(job), "Prefix": prefix}
        if after > 0:
            asked["StartAfter"] = f"{prefix}{after - 1:016d}"
        for page in pages(s3.list_objects_v2, action=action, **asked):
            for entry in page.get("Contents", ()):
                name = entry["Key"][len(prefix) :]
                if name.isdecimal() and int(name) + entry["Size"] > size:
                    yield _Part(entry["Key"], int(name), entry["Size"])

    def _append(self, job: Job, file: int, size: int, parts: Iterator[_Part]) -> int:
        """Write parts after one another from `size` on; the new size. Ends before a part that does not follow: the one between is still to come."""
        with ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="log") as pool:
            for batch in _batches(parts, _PARTS_AT_ONCE):
                for part, content in zip(batch, pool.map(partial(self._content, job), batch), strict=True):
                    if part.offset > size:
                        return size
                    size += _write_at(file, content[size - part.offset :], size)
        return size

    def _content(self, job: Job, part: _Part) -> bytes:
        return read_object(self._s3(job), _bucket(job), part.key, action=f"read the log of {job.id}")

    # --- outputs ------------------------------------------------------------------------------------------------------

    def fetch_outputs(self, job: Job, attempts: Collection[tuple[int, int]]) -> dict[int, str]:
        """Bring the outputs of these (position, attempt) to their directories here; by position, why where not all of it could be.

        Passed over is what is here with the size and time that it has in the bucket. A file is whole or absent; what was cut off is gone on with.
        ProviderUnavailable when AWS does not say what there is.
        """
        failed: dict[int, str] = {}
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="outputs") as pool:
            for batch in _batches(sorted(attempts), _ATTEMPTS_AT_ONCE):
                self._fetch_batch(job, batch, pool, failed)
        return failed

    def _fetch_batch(self, job: Job, batch: list[tuple[int, int]], pool: ThreadPoolExecutor, failed: dict[int, str]) -> None:
        roots = {place: self._files.output(job, *place) for place in batch}
        with _held_directories(roots.values()):
            listed = pool.map(partial(self._listed, job, roots), batch)
            downloads: list[tuple[int, Download]] = []
            for (position, _), (found, problem) in zip(batch, listed, strict=True):
                downloads += [(position, download) for download in found]
                if problem is not None:
                    failed[position] = problem
            problems = pool.map(self._carried_out(job), [download for _, download in downloads])
            for (position, _), problem in zip(downloads, problems, strict=True):
                if problem is not None:
                    failed.setdefault(position, problem)
        for root in roots.values():
            _remove_if_empty(_parts_directory(root))

    def _listed(self, job: Job, roots: Mapping[tuple[int, int], Path], place: tuple[int, int]) -> tuple[list[Download], str | None]:
        """What is to be downloaded for one attempt, and why something of it cannot be."""
        prefix, root = f"{_prefix(job, *place)}output/", roots[place]
        found: list[Download] = []
        problem: str | None = None
        try:
            for page in pages(self._s3(job).list_objects_v2, action=f"list the outputs of {job.id}", Bucket=_bucket(job), Prefix=prefix):
                for entry in page.get("Contents", ()):
                    target = local_path(root, entry["Key"][len(prefix) :])
                    if target is None:
                        problem = f"s3://{_bucket(job)}/{entry['Key']!a} has a name that no file below {root} can have: it was left there"
                    elif target != root:
                        found.append(Download.of(entry, target=target, root=root, parts=_parts_directory(root)))
        except ProviderUnavailable:
            raise
        except SpawnError as error:
            problem = str(error)
        return [download for download in found if not download.is_here()], problem

    def _carried_out(self, job: Job) -> Any:
        s3, bucket = self._s3(job), _bucket(job)

        def carry_out(download: Download) -> str | None:
            try:
                download.carry_out(s3, bucket)
            except SpawnError as error:
                return str(error)
            except OSError as error:
                return f"{download.target} could not be written: {error.strerror or error}"
            return None

        return carry_out

    def _s3(self, job: Job) -> Any:
        assert job.fleet is not None
        return self._clients.client("s3", job.fleet.bucket_region)


def _bucket(job: Job) -> str:
    assert job.fleet is not None
    return job.fleet.bucket


def _prefix(job: Job, position: int, attempt: int) -> str:
    return f"arrays/{job.id}/{job.index_at(position)}/{attempt}/"


def _parts_directory(root: Path) -> Path:
    # beside the output directory: whatever is in it counts as output
    return root.with_name(f"{root.name}.part")


def _batches(items: Any, size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_at(file: int, content: bytes, offset: int) -> int:
    """Write all of it, or take back what was written and raise."""
    view, at = memoryview(content), offset
    try:
        while view:
            written = os.pwrite(file, view, at)
            view, at = view[written:], at + written
    except OSError as error:
        os.ftruncate(file, offset)
        raise SpawnError(f"a log could not be written: {error.strerror}") from error
    return len(content)


@contextmanager
def _held_file(path: Path) -> Iterator[int]:
    """A file open for writing that nobody else brings anything to meanwhile."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SpawnError(f"{path} could not be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


@contextmanager
def _held_directories(paths: Collection[Path]) -> Iterator[None]:
    """Directories, made if need be, to which nobody else brings anything meanwhile; always taken in the same order, so that nobody waits for ever."""
    opened: list[int] = []
    try:
        for path in paths:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            fcntl.flock(opened[-1], fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise SpawnError(f"{error.filename or 'the output directory'} could not be used: {error.strerror}") from error
    finally:
        for directory in opened:
            os.close(directory)


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        pass  # it never was, or holds what a later try goes on with
