"""The agent as one file: a zipapp of the installed `spored`, the same bytes for the same sources."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_MAIN: Final = b"import sys\n\nfrom spored.cli import main\n\nif __name__ == '__main__':\n    sys.exit(main())\n"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentArchive:
    """A zipapp and its name in a bucket."""

    content: bytes
    sha256: str

    @property
    def key(self) -> str:
        """Where it is in a bucket."""
        return f"spored/{self.sha256}.pyz"


@cache
def agent_archive() -> AgentArchive:
    """The archive of the agent that belongs to this spawn; made once in a process."""
    found = sorted(_sources(files("spored"), "spored"))
    buffer = io.BytesIO(_SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in [("__main__.py", _MAIN), *found]:
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    content = buffer.getvalue()
    return AgentArchive(content=content, sha256=hashlib.sha256(content).hexdigest())


def _sources(directory: Traversable, name: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in directory.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, f"{name}/{entry.name}")
        elif entry.is_file() and not entry.name.endswith((".pyc", ".pyo")):
            found.append((f"{name}/{entry.name}", entry.read_bytes()))
    return found
