"""Every call that was made to a laboratory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One API call and how it went."""

    service: str
    action: str
    region: str
    at: float  #: seconds since the epoch, by the laboratory's clock
    status: int  #: 0: the connection ended without an answer
    code: str | None  #: the error's code
    caller: str  #: `user`, the name of a role, or `nobody`
    token: str  #: ClientToken, where the action has one
    retry: int  #: which of the client's attempts of one call it is, from 1
    resource: str  #: `BUCKET/KEY` for S3, empty else


class Calls:
    """The calls in the order in which they ended."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def note(self, call: Call) -> None:
        """Add one."""
        with self._lock:
            self._calls.append(call)

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(list(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def of(self, action: str, *, service: str | None = None, code: str | None = None, caller: str | None = None) -> list[Call]:
        """Those of an action, with this error code, by this caller."""
        return [
            call for call in self if call.action == action and service in (None, call.service) and code in (None, call.code) and caller in (None, call.caller)
        ]

    def count(self, action: str, *, service: str | None = None, code: str | None = None, caller: str | None = None) -> int:
        """How many there are of them."""
        return len(self.of(action, service=service, code=code, caller=caller))

    def tally(self, service: str | None = None) -> Counter[str]:
        """How many calls of each action."""
        return Counter(call.action for call in self if service in (None, call.service))

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._calls.clear()
