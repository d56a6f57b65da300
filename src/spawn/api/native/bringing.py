"""Bringing to this machine what instances have uploaded: eight attempts at a time, while whoever asked for them waits as long as they like."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Final, NamedTuple

from spawn.domain.errors import ProviderUnavailable, SpawnError
from spawn.domain.ids import AttemptId
from spawn.domain.instants import Instant

_AT_ONCE: Final = 8
_FRESH_MS: Final = 3_000
"""What was brought so lately is not asked for again: whoever follows a log looks more often than instances upload."""
_MOST_REMEMBERED: Final = 100_000
_SILENT_S: Final = 30.0
"""A provider that left one errand without an answer for so long is not asked for those of the same array that wait behind it."""

_log = logging.getLogger(__name__)


class Errand(NamedTuple):
    """What is to be brought of which attempt: `log` or `outputs`."""

    what: str
    attempt: AttemptId


Work = Callable[[], str | None]
"""Brings it; returns why not all of it could be brought, and raises when its provider says nothing at all.

Whatever is not here comes as new, so doing it twice costs little.
"""


class Bringer:
    """Does errands in threads of its own. They are daemons: an engine that ends does not wait for a download, which the next collection goes on with."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._queue: deque[tuple[Errand, Work, Future[str | None]]] = deque()
        self._under_way: dict[Errand, Future[str | None]] = {}
        self._threads = 0
        self._brought: dict[Errand, Instant | None] = {}  #: None: whole

    def bring(self, works: Mapping[Errand, Work], *, within_s: float) -> dict[Errand, str | None]:
        """Have these done, and wait for them so long: by errand None, or why it failed. Absent: it is still coming, and may be asked for again."""
        futures = {errand: self._future(errand, work) for errand, work in works.items()}
        done, _ = wait(futures.values(), within_s)
        return {errand: future.result() for errand, future in futures.items() if future in done}

    def _future(self, errand: Errand, work: Work) -> Future[str | None]:
        with self._lock:
            future = self._under_way.get(errand)
            if future is None:
                future = self._under_way[errand] = Future()
                self._queue.append((errand, work, future))
                if self._threads < _AT_ONCE:
                    self._threads += 1
                    threading.Thread(target=self._run, name="bringer", daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                errand, work, future = self._queue.popleft()
            why, is_silent = self._done(work)
            with self._lock:
                del self._under_way[errand]
                behind = self._behind(errand) if is_silent else []
            for each in (future, *behind):
                each.set_result(why)

    def _done(self, work: Work) -> tuple[str | None, bool]:
        """Why it could not be brought, and whether its provider was silent for long."""
        begun = self._seconds()
        try:
            return work(), False
        except SpawnError as error:
            return str(error), isinstance(error, ProviderUnavailable) and self._seconds() - begun >= _SILENT_S
        except Exception as bug:
            _log.exception("something could not be brought")
            return f"something unexpected went wrong ({type(bug).__name__}: {bug}); see `spawn engine logs`", False

    def _behind(self, silent: Errand) -> list[Future[str | None]]:
        """Take out of the queue what nobody would answer either: the errands of the same array."""
        left = [entry for entry in self._queue if entry[0].attempt.key == silent.attempt.key]
        self._queue = deque(entry for entry in self._queue if entry[0].attempt.key != silent.attempt.key)
        for errand, _, _ in left:
            del self._under_way[errand]
        return [future for _, _, future in left]

    # --- what need not be asked for again -----------------------------------------------------------------------------

    def is_fresh(self, errand: Errand, now: Instant) -> bool:
        """Whether it was brought a moment ago, or is whole."""
        if errand not in self._brought:
            return False
        brought = self._brought[errand]
        return brought is None or now - brought < _FRESH_MS

    def note(self, errand: Errand, at: Instant, *, whole: bool) -> None:
        """Remember when it was brought; `whole`: nothing of it is still to come."""
        if len(self._brought) >= _MOST_REMEMBERED:
            self._brought.clear()
        self._brought[errand] = None if whole else at
