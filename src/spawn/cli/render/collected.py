"""What was collected: a sentence for people, a file a line for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spawn.cli.manifests import Entry, Manifest
from spawn.cli.render.data import Column, Kind
from spawn.cli.render.times import size

FILES: Final[Kind[Entry]] = Kind(
    (
        Column("INDEX", lambda e: e.index, right=True),
        Column("PATH", lambda e: e.path),
        Column("SIZE", lambda e: e.size, right=True),
        Column("SHA256", lambda e: e.sha256),
        Column("ATTEMPT", lambda e: e.attempt, right=True, wide=True),
    ),
    identity=lambda e: e.path,
    name=lambda e: e.path,
)


def sentence(manifest: Manifest, directory: Path, *, copied: int, dry_run: bool) -> str:
    """How much there is, and what is not."""
    done = manifest.size - _size_of(manifest.failed) - _size_of(manifest.missing)
    total = sum(entry.size for entry in manifest.files)
    files = f"{len(manifest.files)} file{'' if len(manifest.files) == 1 else 's'}, {size(total)}"
    text = f"{'Would collect' if dry_run else 'Collected'} {done} of {manifest.size} into {directory} ({files}; {copied} {'to copy' if dry_run else 'copied'})"
    for word, indexes in (("failed", manifest.failed), ("missing", manifest.missing)):
        if indexes:
            text += f"; {word}: {indexes}"
    return text


def _size_of(indexes: str) -> int:
    from spawn.domain.indexes import IndexSet

    return IndexSet.selection(indexes).size if indexes else 0
