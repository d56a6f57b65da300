"""Since when AWS has not answered: known at once, also while whoever asked still waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, Final

from spawn.domain.instants import Instant

SAID_AFTER_S: Final = 30.0
"""A silence is worth a word after so long."""


class Silence:
    """Hears each request and each answer of the clients that it was made to listen to. Safe to use from any thread.

    An error that a service sends is an answer; a connection that ends, or nothing within the client's patience, is none.
    """

    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        self._guard = threading.Lock()
        self._asked: dict[tuple[str, str], Instant] = {}  #: by service and region, the first request since the last answer

    def listen(self, client: Any) -> None:
        """Hear what goes on with a client of botocore's from now on."""
        place = (str(client.meta.service_model.service_name), str(client.meta.region_name))

        def asked(**_: Any) -> None:
            with self._guard:
                self._asked.setdefault(place, self._now())

        def answered(exception: Exception | None = None, **_: Any) -> None:
            if exception is None:
                with self._guard:
                    self._asked.pop(place, None)

        client.meta.events.register("before-send", asked)
        client.meta.events.register("response-received", answered)

    def since(self, regions: Collection[str]) -> tuple[Instant, str] | None:
        """Since when a service has not answered in one of these regions, and which; None: none has been silent for long."""
        with self._guard:
            silent = sorted((asked, f"{service.upper()} in {region}") for (service, region), asked in self._asked.items() if region in regions)
        if not silent or self._now() - silent[0][0] < SAID_AFTER_S * 1000:
            return None
        return silent[0]
