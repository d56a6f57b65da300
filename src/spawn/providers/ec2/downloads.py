"""One object of a bucket as one file here: whole or absent, gone on with after a cut, never outside of its directory."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.errors import Conflict, ProviderUnavailable
from spawn.providers.ec2.asking import TRIES, patiently
from spawn.providers.ec2.clients import translate

_CHUNK: Final = 1 << 20
_LONGEST_NAME: Final = 255


def local_path(root: Path, name: str) -> Path | None:
    """Where the object of this name below an output prefix is to be here; None when no file of that name can be below `root`.

    Names are what instances and others wrote: `..`, absolute paths and empty parts lead nowhere. The marker of the directory itself is `root`.
    """
    if not name:
        return root
    words = name.removesuffix("/").split("/")
    if any(word in ("", ".", "..") or "\0" in word or len(os.fsencode(word)) > _LONGEST_NAME for word in words):
        return None
    return root.joinpath(*words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """An object that is to become a file."""

    key: str
    size: int
    etag: str
    modified_ns: int
    target: Path
    root: Path  #: nothing is written outside of it, but for what is not whole yet
    parts: Path  #: where that is

    @classmethod
    def of(cls, entry: Mapping[str, Any], *, target: Path, root: Path, parts: Path) -> Download:
        """The download of an entry of a listing."""
        modified_ns = round(entry["LastModified"].timestamp()) * 1_000_000_000
        return cls(key=entry["Key"], size=entry["Size"], etag=entry["ETag"], modified_ns=modified_ns, target=target, root=root, parts=parts)

    def is_here(self) -> bool:
        """Whether the file is here as it is in the bucket, by size and time."""
        if self._is_directory:
            return self.target.is_dir()
        try:
            facts = os.lstat(self.target)
        except OSError:
            return False
        return facts.st_size == self.size and facts.st_mtime_ns == self.modified_ns

    @property
    def _is_directory(self) -> bool:
        return self.key.endswith("/") and self.size == 0

    @property
    def _unfinished(self) -> Path:
        # of this very content: what was begun of another one is not gone on with
        return self.parts / hashlib.sha256(f"{self.etag}\n{self.key}".encode()).hexdigest()[:32]

    def carry_out(self, s3: Any, bucket: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Bring it here. Raises SpawnError or OSError; what had come by then is kept for the next try."""
        if self._is_directory:
            self._make_directory(self.target)
            return
        self._make_directory(self.target.parent)
        self.parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._unfinished
        with open(unfinished, "ab") as file:
            self._fill(s3, bucket, file, pause)
            os.fchmod(file.fileno(), 0o644)
        os.utime(unfinished, ns=(self.modified_ns, self.modified_ns))
        os.replace(unfinished, self.target)

    def _make_directory(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not directory.resolve().is_relative_to(self.root.resolve()):
            raise Conflict(f"{directory} leads out of {self.root} by a link: {self.key!a} was left in the bucket")

    def _fill(self, s3: Any, bucket: str, file: Any, pause: Callable[[float], None]) -> None:
        """Append what is missing; a connection that ends early is gone on with where it ended."""
        action = f"read s3://{bucket}/{self.key}"
        for tried in range(TRIES):
            if file.tell() > self.size:
                file.truncate(0)
                file.seek(0)
            if file.tell() == self.size:
                return
            pause(0.25 * tried)
            asked = {"Bucket": bucket, "Key": self.key, "IfMatch": self.etag} | ({"Range": f"bytes={file.tell()}-"} if file.tell() else {})
            answer = patiently(partial(s3.get_object, **asked), action=action, pause=pause)
            try:
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    file.write(chunk)
            except (BotoCoreError, ClientError) as error:
                if tried == TRIES - 1:
                    raise translate(error, action=action) from error
        if file.tell() != self.size:
            raise ProviderUnavailable(f"cannot {action}: {file.tell()} of {self.size} bytes came: try again")
