"""The credentials of the instance's role, renewed before they expire."""

from __future__ import annotations

import threading
from typing import Any, Callable, Protocol

from spored.instance.metadata import instant_of
from spored.instance.signing import Credentials
from spored.instance.web import Unreachable

_RENEWED_BEFORE_S = 600.0
"""AWS has the next ones ready at least five minutes before the end of these."""
_ASKED_AGAIN_AFTER_S = 30.0


class Source(Protocol):
    """Who has them."""

    def role_credentials(self) -> dict[str, Any]:
        """What is valid now; asked again, the same or newer ones."""


class RoleCredentials:
    """Gives credentials that are good for a while. May be used by several threads."""

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._held: Credentials | None = None
        self._asked_at = float("-inf")
        self._lock = threading.Lock()

    def get(self) -> Credentials:
        """Credentials to sign with. Unreachable when there are none that have not expired."""
        with self._lock:
            now = self._clock()
            held = self._held
            if held is not None and (now < held.expires_at - _RENEWED_BEFORE_S or now < min(self._asked_at + _ASKED_AGAIN_AFTER_S, held.expires_at)):
                return held
            self._asked_at = now
            try:
                self._held = credentials_of(self._source.role_credentials())
            except Unreachable:
                if held is None or now >= held.expires_at:
                    raise
            assert self._held is not None
            return self._held

    def refused(self, credentials: Credentials) -> None:
        """A service takes these no more: ask for others at once. Again, or for ones no longer held: nothing."""
        with self._lock:
            if self._held == credentials:
                self._held = None


def credentials_of(found: dict[str, Any]) -> Credentials:
    """Credentials as the metadata service tells them."""
    expires_at = instant_of(str(found.get("Expiration")))
    token = found.get("Token")
    return Credentials(
        str(found["AccessKeyId"]),
        str(found.get("SecretAccessKey", "")),
        None if token is None else str(token),
        float("inf") if expires_at is None else expires_at,
    )
