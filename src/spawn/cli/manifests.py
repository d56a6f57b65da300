"""The manifest of a collected array: what is there, what failed, what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from spawn.domain.errors import Conflict

MANIFEST: Final = "manifest.json"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One collected file; `path` is relative to the directory."""

    index: int | None
    attempt: int
    path: str
    size: int
    sha256: str
    log: bool = False


class Record(Entry, frozen=True, kw_only=True):
    """The same, printed alone."""

    schema_version: int = 1


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts that succeeded could not keep."""

    indexes: str
    reason: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Index sets of what is done, has failed, and is missing (has not settled, or its files are gone); and every file. `done` may have written nothing.

    `incomplete`: what is done and not all there, since it could not be kept before its instance ended.
    """

    schema_version: int = 1
    array_id: str
    name: str
    size: int
    done: str
    failed: str
    missing: str
    files: list[Entry]
    incomplete: list[Loss] = []


def read_manifest(directory: Path, array_id: str) -> Manifest | None:
    """The manifest of an earlier collection of this array; None when there is none. One of another array is refused: two arrays do not share a directory."""
    try:
        content = (directory / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise Conflict(f"{directory / MANIFEST} was not written by spawn: collect into another directory, or move it away") from error
    if manifest.array_id != array_id:
        raise Conflict(f"{directory} holds {manifest.array_id}: collect into another directory")
    return manifest
