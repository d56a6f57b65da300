"""The ledger: what was asked of the provider ec2, what it has done about it, and what it has to tell. One SQLite file."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from spawn.domain.errors import ConfigurationError, StoreUnavailable
from spawn.engine.news import ProviderEvent
from spawn.providers.ec2.stored import event_row

SCHEMA: Final = 4

_MIGRATIONS: Final = {
    1: "ALTER TABLE array ADD COLUMN max_concurrent INTEGER; ALTER TABLE array ADD COLUMN limit_due INTEGER NOT NULL DEFAULT 0;",
    2: "ALTER TABLE array ADD COLUMN control_etag TEXT; ALTER TABLE instance ADD COLUMN wished_to INTEGER; ALTER TABLE attempt ADD COLUMN over_place INTEGER;",
    3: "CREATE TABLE look (key TEXT NOT NULL, region TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, region)) WITHOUT ROWID; "
    "ALTER TABLE span ADD COLUMN sure INTEGER; DROP INDEX instance_key; CREATE INDEX instance_state ON instance (key, state);",
}
"""By the version of a ledger, what makes it one of the next version."""

# states of an attempt in the ledger
WANTED: Final = "wanted"  #: handed over, and member of no launch
QUEUED: Final = "queued"  #: in the array's SQS queue, for whichever instance takes it
LAUNCHING: Final = "launching"  #: member of a launch that is not known to have happened
LAUNCHED: Final = "launched"  #: its instance exists
BEGUN: Final = "begun"  #: an instance has claimed it
OVER: Final = "over"  #: its end was told

REFUSE: Final = "refuse: "
"""Begins what stands in `attempt.stopping` for one that is to end as refused; the sentence follows."""

FREE: Final = """NOT EXISTS (SELECT 1 FROM attempt AS former
WHERE former.key = attempt.key AND former.position = attempt.position AND former.attempt < attempt.attempt AND former.state <> 'over')"""
"""Of an attempt: no process of the same child can run any more. After `spored complete` the next attempt is handed over while that of the last one goes on."""

# events of an attempt that are told once
TOLD_LAUNCHED: Final = 1
TOLD_STARTED: Final = 2
TOLD_COMPLETED: Final = 4


class Ledger:
    """Safe to use from any thread: one connection, one thread at a time, and no transaction lasts longer than its writing."""

    def __init__(self, path: Path) -> None:
        """Open it when it is there; else it is made, 0600 in a directory 0700, by the first writing. Raises ConfigurationError when it cannot be used."""
        self.path = path
        self._guard = threading.RLock()
        self._opened: sqlite3.Connection | None = None
        if path.exists():
            self._open()

    @property
    def _connection(self) -> sqlite3.Connection:
        with self._guard:
            return self._opened or self._open()

    def _open(self) -> sqlite3.Connection:
        path = self.path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._make(connection)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"the ledger {path} cannot be used ({error}): stop the engine and put back a copy, or look after its directory") from error
        self._opened = connection
        return connection

    def _make(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise ConfigurationError(f"the ledger {self.path} was written by a newer spawn: use that one, or another SPAWN_STATE_DIR")
        if version == 0:
            script = files("spawn.providers.ec2").joinpath("ledger.sql").read_text(encoding="utf-8")
            made = f"INSERT INTO meta VALUES ('{secrets.token_hex(8)}', 0);"
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n{made}\nPRAGMA user_version = {SCHEMA};\nCOMMIT;")
            return
        for old in range(version, SCHEMA):
            connection.executescript(f"BEGIN IMMEDIATE;\n{_MIGRATIONS[old]}\nPRAGMA user_version = {old + 1};\nCOMMIT;")

    @property
    def id(self) -> str:
        """What tells it from any other one; empty while it has not been made."""
        found = self.one("SELECT id FROM meta")
        return "" if found is None else str(found["id"])

    @property
    def is_writing(self) -> bool:
        """Whether somebody is in a transaction: nobody else can read or write, so that nothing may be waited for in it."""
        return self._opened is not None and self._opened.in_transaction

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the block writes, or nothing. Inside another one: part of that. Raises StoreUnavailable when it could not be written."""
        with self._guard:
            if self.is_writing:
                yield
                return
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise StoreUnavailable(f"the ledger {self.path} could not be written ({error}); nothing was recorded") from error
                raise

    def rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        """All rows of a query; none while nothing has been written."""
        with self._guard:
            return [] if self._opened is None else self._opened.execute(sql, parameters).fetchall()

    def one(self, sql: str, *parameters: Any) -> Any:
        """The first row of a query, None when there is none."""
        with self._guard:
            return None if self._opened is None else self._opened.execute(sql, parameters).fetchone()

    def write(self, sql: str, *parameters: Any) -> int:
        """Change something; how many rows were changed."""
        with self.transaction():
            return self._connection.execute(sql, parameters).rowcount

    def write_many(self, sql: str, rows: Iterable[Any]) -> int:
        """Change something for each of these; how many rows were changed."""
        with self.transaction():
            return self._connection.executemany(sql, rows).rowcount

    def tell(self, *events: ProviderEvent) -> None:
        """Write down what the engine is to hear, in this order."""
        self.write_many("INSERT INTO event (kind, key, position, attempt, at, facts) VALUES (?, ?, ?, ?, ?, ?)", [event_row(event) for event in events])

    def close(self) -> None:
        """Close the file; nothing may be asked any more."""
        with self._guard:
            if self._opened is not None:
                self._opened.close()


def marks(count: int) -> str:
    """So many places for values in a query."""
    return ", ".join("?" * count)
