"""The end of the engine's process at any of its calls: to AWS, to its store, to its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spawn.engine.records import Batch
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.ledger import Ledger
from spawn.store.sqlite import SqliteStore


class Killed(BaseException):
    """The engine's process ended here."""


class Axe:
    """Counts the moments at which the engine could be killed, and kills it at some of them. `every` is told of each moment, before that."""

    def __init__(self, every: Callable[[str], None]) -> None:
        self.moments = 0
        self.fell: list[str] = []
        self._every = every
        self._after: list[int] = []

    def fall(self, after: list[int]) -> None:
        """Kill the engine so many moments from now, then again so many later, and so on."""
        self._after = list(after)

    def moment(self, name: str) -> None:
        """The engine is here."""
        self.moments += 1
        self._every(name)
        if self._after:
            self._after[0] -= 1
            if self._after[0] < 0:
                del self._after[0]
                self.fell.append(name)
                raise Killed(name)


class MortalStore(SqliteStore):
    """A store whose commits may be the engine's last deed."""

    def __init__(self, path: Path, axe: Axe) -> None:
        super().__init__(path)
        self._axe = axe

    def commit(self, batch: Batch) -> None:
        """Write all or nothing; the engine may end before or after it."""
        self._axe.moment("before a commit of the store")
        super().commit(batch)
        self._axe.moment("after a commit of the store")


class MortalLedger(Ledger):
    """A ledger whose transactions may be the engine's last deed."""

    def __init__(self, path: Path, axe: Axe) -> None:
        super().__init__(path)
        self._axe = axe
        self._depth = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the block writes, or nothing; the engine may end after it."""
        self._depth += 1
        try:
            with super().transaction():
                yield
        finally:
            self._depth -= 1
        if self._depth == 0:
            self._axe.moment("after a transaction of the ledger")


class MortalClients:
    """Clients of AWS of which any call may be the engine's last deed: not made, or made without anybody hearing of it."""

    def __init__(self, clients: Clients, axe: Axe) -> None:
        self._clients = clients
        self._axe = axe

    def client(self, service: str, region: str | None = None) -> Any:
        """A client of that service."""
        return _MortalClient(self._clients.client(service, region), self._axe)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)


class _MortalClient:
    def __init__(self, client: Any, axe: Axe) -> None:
        self._client = client
        self._axe = axe

    def __getattr__(self, name: str) -> Any:
        made = getattr(self._client, name)

        def call(**asked: Any) -> Any:
            self._axe.moment(f"before {name}")
            answer = made(**asked)
            self._axe.moment(f"after {name}")
            return answer

        return made if name.startswith("generate") else call
