"""Collecting: which files of which attempt go where, and copying those that are not there yet."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from spawn.cli.manifests import MANIFEST, Entry, Loss, Manifest, read_manifest
from spawn.client.objects import Array, Attempt, MemberDetail
from spawn.domain.errors import Conflict, SpawnError
from spawn.domain.outcomes import EXITED

_CHUNK: Final = 1 << 20


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file to collect: from where, to where below the directory, and of which attempt."""

    source: Path
    path: str
    index: int | None
    attempt: int
    log: bool


class Collection:
    """Everything one array has to collect, and where. The directory is looked at, and written only by `carry_out`."""

    def __init__(self, array: Array, directory: Path) -> None:
        self.array = array
        self.directory = directory
        self.files: list[File] = []
        self.done: list[int] = []
        self.failed: list[int] = []
        self.missing: list[int] = []
        self.passed_over: list[Path] = []
        self.absent: dict[str, list[int]] = {}  #: the missing indexes of which nobody else said why, by reason
        self.incomplete: dict[int, str] = {}  #: what is said of attempts that succeeded and of which something could not be kept, by index
        self.copied = 0
        before = read_manifest(directory, array.array_id)
        self._before = {} if before is None else {entry.path: entry for entry in before.files}

    def refuse_foreign(self, *, force: bool) -> None:
        """Conflict when a file would replace one that this array did not put there, or that was changed since; or when two go to one place."""
        seen: dict[str, File] = {}
        for file in self.files:
            if file.path in seen or file.path == MANIFEST:
                other = f"index {seen[file.path].index}" if file.path in seen else "the manifest"
                raise Conflict(f"{file.path} is written by index {file.index} and by {other}: collect without --flat")
            seen[file.path] = file
        if force:
            return
        foreign = [file.path for file in self.files if self._is_foreign(file)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            what = "was changed since it was collected" if foreign[0] in self._before else f"did not come from {self.array.array_id}"
            raise Conflict(f"{self.directory / foreign[0]}{more} {what}: move it away, or overwrite with --force")

    def carry_out(self) -> Manifest:
        """Copy what is new or changed, remove what an earlier collection left and no attempt stands behind any more, and write the manifest last."""
        self.directory.mkdir(parents=True, exist_ok=True)
        entries = [self._copied(file) for file in self.files]
        self._remove_outdated({entry.path for entry in entries})
        manifest = self._manifest(entries)
        _write_whole(self.directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        return manifest

    def manifest_if_done(self) -> Manifest:
        """The manifest that `carry_out` would write; nothing is written."""
        entries = []
        for file in self.files:
            entry = self._unchanged(file)
            self.copied += entry is None
            entries.append(entry or _entry(file, file.source.stat().st_size, _digest(file.source)))
        return self._manifest(entries)

    def _manifest(self, entries: list[Entry]) -> Manifest:
        from spawn.domain.indexes import compress

        done, failed, missing = (compress(indexes) if indexes else "" for indexes in (self.done, self.failed, self.missing))
        losses: dict[str, list[int]] = {}
        for index, why in self.incomplete.items():
            losses.setdefault(why, []).append(index)
        return Manifest(
            array_id=self.array.array_id,
            name=self.array.title,
            size=self.array.size,
            done=done,
            failed=failed,
            missing=missing,
            files=entries,
            incomplete=[Loss(indexes=compress(indexes), reason=why) for why, indexes in losses.items()],
        )

    def _is_foreign(self, file: File) -> bool:
        target = self.directory / file.path
        if not os.path.lexists(target):
            return False
        if target.is_symlink() or not target.is_file():
            return True
        if self._unchanged(file) is not None:
            return False
        digest = _digest(target)
        before = self._before.get(file.path)
        return not (before is not None and before.sha256 == digest) and digest != _digest(file.source)

    def _unchanged(self, file: File) -> Entry | None:
        """The entry of the earlier collection, when source and copy still are as they were then."""
        before = self._before.get(file.path)
        if before is None or before.attempt != file.attempt:
            return None
        try:
            there, here = os.lstat(self.directory / file.path), os.stat(file.source)
        except OSError:
            return None
        same = stat.S_ISREG(there.st_mode) and there.st_size == here.st_size == before.size and there.st_mtime_ns == here.st_mtime_ns
        return before if same else None

    def _copied(self, file: File) -> Entry:
        entry = self._unchanged(file)
        if entry is not None:
            return entry
        size, digest = _copy(file.source, self.directory / file.path)
        self.copied += 1
        return _entry(file, size, digest)

    def _remove_outdated(self, current: set[str]) -> None:
        """Files of an earlier collection that a later attempt did not write again. One that was changed since stays."""
        for path, entry in self._before.items():
            target = self.directory / path
            if path in current or not target.is_file() or entry.sha256 != _digest(target):
                continue
            target.unlink()
            try:
                target.parent.rmdir()
            except OSError:
                pass  # something else is in it


def plan(array: Array, members: Iterable[MemberDetail], directory: Path, *, flat: bool, logs: bool, unbrought: frozenset[int] | None = None) -> Collection:
    """Find what there is to collect: of every index, the output of its last successful attempt; with `logs`, the log of its latest attempt.

    `unbrought`: outputs came from elsewhere, but those of these indexes; None: they were written here.
    """
    collection = Collection(array, directory)
    for member in members:
        if member.attempt and not member.attempts:
            raise SpawnError(f"the engine did not say what the attempts of {member.name} left: nothing was copied")
        good = next((attempt for attempt in reversed(member.attempts) if attempt.status == "SUCCEEDED"), None)
        _sort_in(collection, member, good, unbrought)
        if good is not None:
            if good.status_reason not in (None, EXITED):
                collection.incomplete[member.index or 0] = str(good.status_reason).removeprefix(f"{EXITED}; ")
            below = "" if flat or member.index is None else f"{member.index}/"
            collection.files.extend(_outputs(collection, good, member.index, below))
        if logs and member.attempts and member.attempts[-1].log:
            latest = member.attempts[-1]
            name = "logs/job.log" if member.index is None else f"logs/{member.index}.log"
            if latest.log and os.path.isfile(latest.log):
                collection.files.append(File(source=Path(latest.log), path=name, index=member.index, attempt=latest.attempt, log=True))
    return collection


def _sort_in(collection: Collection, member: MemberDetail, good: Attempt | None, unbrought: frozenset[int] | None) -> None:
    """Done, failed or missing, and why; a single job counts as index 0."""
    index = member.index or 0
    if member.status == "FAILED":
        collection.failed.append(index)
        return
    if member.status != "SUCCEEDED":
        collection.absent.setdefault(f"not finished ({member.status})", []).append(index)
    elif good is None or (unbrought is None and _is_gone(good)):
        collection.absent.setdefault("its outputs were removed", []).append(index)
    elif unbrought is None or index not in unbrought:
        collection.done.append(index)
        return
    collection.missing.append(index)


def _is_gone(attempt: Attempt) -> bool:
    """Whether its files were removed by somebody. An output directory that stayed empty is not there either, but every attempt has a log."""
    return attempt.output is not None and not os.path.isdir(attempt.output) and attempt.log is not None and not os.path.isfile(attempt.log)


def _outputs(collection: Collection, attempt: Attempt, index: int | None, below: str) -> Iterator[File]:
    """The regular files of an output directory, by name; links to files count as what they point to."""
    if attempt.output is None:
        return
    root = Path(attempt.output)
    for directory, subdirectories, names in os.walk(root):
        subdirectories.sort()
        for name in sorted(names):
            source = Path(directory, name)
            if not source.is_file():
                collection.passed_over.append(source)
                continue
            yield File(source=source, path=below + str(source.relative_to(root)), index=index, attempt=attempt.attempt, log=False)


def _entry(file: File, size: int, digest: str) -> Entry:
    path = os.fsencode(file.path).decode(errors="replace")
    return Entry(index=file.index, attempt=file.attempt, path=path, size=size, sha256=digest, log=file.log)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file so that the target is whole or absent, with its times, and return its size and SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    size = 0
    try:
        with open(source, "rb") as reader, open(partial, "wb") as writer:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                writer.write(chunk)
                size += len(chunk)
        facts = os.stat(source)
        os.chmod(partial, stat.S_IMODE(facts.st_mode) & 0o777)
        os.utime(partial, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return size, digest.hexdigest()


def _write_whole(target: Path, content: bytes) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
