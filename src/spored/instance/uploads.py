"""What an attempt leaves, on its way into the bucket: its log as it grows, and its output files at the end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable, NamedTuple

from spored.instance.s3 import PART_BYTES, Bucket, GaveUp, UnreadableFile, is_key
from spored.instance.service import ServiceError

OFFSET_DIGITS = 16
MOST_NAMED = 1000
"""How many paths a record names that could not be uploaded."""

_OF_THE_OBJECT = frozenset(["KeyTooLongError", "InvalidURI", "EntityTooLarge", "MethodNotAllowed", "400", "404", "405", "414"])
"""What is said of one object that will never be taken, however often that is asked; as numbers, by something between here and the bucket."""


class LogUpload:
    """The log of one attempt. Parts are never rewritten: one whose fate is unknown is sent again with the same bytes."""

    def __init__(self, bucket: Bucket, prefix: str, path: str, *, is_new: bool, part_bytes: int = PART_BYTES) -> None:
        """`prefix`: of the parts' keys; they end with the offset of their first byte. `is_new`: certainly none was sent yet; else it is found out."""
        self._bucket = bucket
        self._prefix = prefix
        self._path = path
        self._part_bytes = part_bytes
        self._offset: int | None = 0 if is_new else None  #: None: not yet found out what is there
        self._sending = 0  #: the end of a part that was begun at `_offset` and may be there

    @property
    def sent(self) -> int:
        """How many bytes are in the bucket for certain."""
        return self._offset or 0

    def has_news(self) -> bool:
        """Whether the file has bytes that were not sent."""
        return _size(self._path) > self.sent

    def send(self, is_late: Callable[[], bool]) -> bool:
        """Send what is new, part by part. False: it was too late for all of it, or the file cannot be read."""
        if self._offset is None:
            self._offset = self._found()
        while True:
            end = self._sending or min(_size(self._path), self._offset + self._part_bytes)
            if end <= self._offset:
                return os.path.exists(self._path) or self._offset == 0
            if is_late():
                return False
            data = _read(self._path, self._offset, end - self._offset)
            if not data:
                return False
            self._sending = self._offset + len(data)
            self._bucket.put(f"{self._prefix}{self._offset:0{OFFSET_DIGITS}d}", data)
            self._offset, self._sending = self._sending, 0

    def _found(self) -> int:
        """Where the next part begins: after the last one that is there."""
        end = 0
        for part in self._bucket.list(self._prefix):
            name = part.key.rpartition("/")[2]
            if name.isdigit() and len(name) == OFFSET_DIGITS:
                end = max(end, int(name) + part.size)
        return end


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _read(path: str, offset: int, length: int) -> bytes:
    """So many bytes of the file, less where it ends before; nothing when it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError:
        return b""


class Sent(NamedTuple):
    """What of an attempt's outputs is in the bucket, and the paths that are not."""

    files: int
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Outputs:
    """The output directory of one attempt."""

    bucket: Bucket
    prefix: str
    directory: str

    def send(self, is_late: Callable[[], bool]) -> Sent:
        """Send every file, also what a link names. What is no file, cannot be read or named, is refused for ever, or came too late, is told as failed.

        Raises when the bucket does not take it: call again, all is sent anew.
        """
        sent = 0
        failed = []
        for path in _walk(os.fsencode(self.directory)):
            if is_late() or not self._send_one(path, is_late):
                failed.append(_shown(path))
            else:
                sent += 1
        return Sent(sent, tuple(failed[:MOST_NAMED]))

    def unsent(self) -> Sent:
        """What to tell when there is no time for any of it."""
        return Sent(0, tuple(_shown(path) for path, _ in zip(_walk(os.fsencode(self.directory)), range(MOST_NAMED))))

    def _send_one(self, path: bytes, is_late: Callable[[], bool]) -> bool:
        if not is_key(path, self.prefix):
            return False
        try:
            # A pipe would wait for whoever writes into it.
            fd = os.open(os.path.join(os.fsencode(self.directory), path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return False
        with open(fd, "rb") as file:
            try:
                self.bucket.put_stream(self.prefix + path.decode("utf-8"), file, status.st_size, is_late)
            except (GaveUp, UnreadableFile):
                return False
            except ServiceError as error:
                if error.code not in _OF_THE_OBJECT:
                    raise
                return False
        return True


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _walk(top: bytes) -> Iterator[bytes]:
    """Everything in a directory that is no directory, by its path in it, in order. A link to a directory is not followed, as it may lead anywhere."""
    todo = [b""]
    while todo:
        below = todo.pop()
        try:
            entries = sorted(os.scandir(os.path.join(top, below)), key=lambda entry: entry.name, reverse=True)
        except FileNotFoundError:
            continue
        except OSError:
            yield below or b"."
            continue
        for entry in reversed(entries):
            if not entry.is_dir(follow_symlinks=False):
                yield os.path.join(below, entry.name)
        todo += [os.path.join(below, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
