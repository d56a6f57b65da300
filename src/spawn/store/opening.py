"""A store's file: made, brought to this version's schema, read through a few connections, and what is in the way of it in one sentence."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spawn.domain.errors import ConfigurationError, StoreUnavailable
from spawn.store.named import migrations

_LEAST_ROOM: Final = 256 * 1024
"""Bytes that must be free before a commit: so that the log and the answer still find room, too."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be handed from thread to thread, and begins no transaction by itself."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size=-8192")
    return connection


class Readers:
    """Connections that only read, used again by whatever thread reads next; as many as ever read at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection for as long as the block lasts."""
        with self._guard:
            connection = self._free.pop() if self._free else None
        if connection is None:
            connection = connect(self._path)
            connection.execute("PRAGMA query_only=1")
            connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            with self._guard:
                self._free.append(connection)

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._guard:
            while self._free:
                self._free.pop().close()


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's schema; ConfigurationError when a newer version wrote it."""
    known = migrations()
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > known[-1][0]:
        raise ConfigurationError(
            f"the store {path} has schema {version}, and this version of spawn knows {known[-1][0]}: use the newer spawn, or another SPAWN_STATE_DIR"
        )
    for number, script in known:
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def has_room(directory: Path) -> bool:
    """Whether there is space left to record something; also when that cannot be found out."""
    try:
        free = os.statvfs(directory)
    except OSError:
        return True
    return free.f_bavail * free.f_frsize >= _LEAST_ROOM


def require_room(directory: Path) -> None:
    """Raise StoreUnavailable when there is hardly any space left."""
    if not has_room(directory):
        raise StoreUnavailable(f"no space left in {directory}: free some, then try again; nothing was recorded")


def explain(error: sqlite3.Error, path: Path) -> str:
    """One sentence with the way out for what SQLite says."""
    text = str(error)
    if "disk is full" in text:
        return f"no space left for the store {path}: free some, then try again; nothing was recorded"
    if "malformed" in text or "not a database" in text:
        return f"the store {path} is damaged ({text}): stop the engine, put back a copy or move the file away, then try again; nothing was recorded"
    if "readonly" in text or "unable to open" in text:
        return f"the store {path} cannot be written ({text}): check the permissions of {path.parent} ({os.strerror(errno.EACCES)})"
    return f"the store {path} failed ({text}); nothing was recorded"
