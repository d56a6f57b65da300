"""The endpoint, from the request to open it to its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spawn.api.native.door import Opening
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.api.tcp import Listener, TcpServer, address_of, is_loopback, listen_tcp, tls_context
from spawn.domain.errors import Conflict, NotFound, SpawnError, Unavailable, UsageError
from spawn.endpoint.kept import Kept, forget, read, write
from spawn.endpoint.operations import Operations

if TYPE_CHECKING:
    from spawn.api.aws.app import AwsApp
    from spawn.endpoint.browsers import NoBrowsers

_log = logging.getLogger(__name__)


class _Running(NamedTuple):
    """What answers, and what it answers with."""

    server: TcpServer
    app: AwsApp | NoBrowsers

    def close(self) -> None:
        self.server.close()
        self.app.close()


class Endpoint:
    """The one endpoint of an engine, safe to use from any thread. `path` is its file; `alive` raises when the engine takes no more commands."""

    def __init__(self, path: Path, operations: Operations, alive: Callable[[], object]) -> None:
        self._path = path
        self._operations = operations
        self._alive = alive
        self._guard = threading.Lock()
        self._opening = False
        self._shut = False
        self._kept: Kept | None = None
        self._running: _Running | None = None
        self._reason: str | None = None

    # What the native API calls

    def open(self, asked: Opening) -> Mapping[str, Any]:
        """Open it, write it down, answer the Opened of docs/api.md. Again with the same settings: the keys are accepted too. Refused: all is as it was."""
        with self._guard:
            self._opening = True
            try:
                if self._shut:
                    raise Unavailable("the engine is stopping: try again")
                self._alive()
                kept = self._opened(asked)
            finally:
                self._opening = False
            told = None if asked.keys else kept.pair
            return {**self._facts(kept), "pair": told and {"access_key_id": told.access_key_id, "secret_access_key": told.secret_access_key}}

    def describe(self) -> Mapping[str, Any]:
        """The Endpoint of docs/api.md, open or waiting for its port; NotFound when none is wanted."""
        with self._guard:
            return self._facts(self._existing())

    def close(self) -> Mapping[str, Any]:
        """Close and forget it: what it was. NotFound when there is none."""
        with self._guard:
            kept = self._existing()
            forget(self._path)
            self._hang_up()
            self._kept, self._reason = None, None
            _log.info("the AWS endpoint at %s is closed", kept.url)
            return self._facts(kept)

    def batch(self, operation: str, document: object) -> bytes:
        """The answer of an operation of AWS Batch to the engine's own user, as JSON."""
        return self._operations.batch(operation, document)

    # What the engine's process calls

    @property
    def is_wanted(self) -> bool:
        """Whether one is open, or to be: the engine then does not end from idleness."""
        return self._opening or self._kept is not None

    def resume(self) -> None:
        """Open what is wanted and not open: at the start what an earlier engine had open, later what had lost its port. Raises nothing."""
        with self._guard:
            if self._shut or self._is_open():
                return
            try:
                self._kept = self._kept or read(self._path)
                if self._kept is not None:
                    with self._listening(self._kept) as listener:
                        self._start(self._kept, self._made(self._kept, listener))
            except SpawnError as error:
                self._say_once(str(error))
            except Exception as error:
                _log.debug("the AWS endpoint cannot be opened", exc_info=True)
                self._say_once(f"{type(error).__name__}: {error}")

    def shut(self) -> None:
        """Hang up for good; the next engine opens it again."""
        with self._guard:
            self._shut = True
            self._hang_up()

    # How

    def _opened(self, asked: Opening) -> Kept:
        before = self._kept
        if before is not None and not before.accepts(asked):
            raise Conflict(
                f"an endpoint with other settings is open at {before.url}: `spawn serve --print-env` prints its lines, and `spawn serve stop` closes it, "
                "so that another can be opened"
            )
        if before is not None and self._is_open():
            kept = before.joined(tuple(asked.keys))
            if kept != before:
                write(self._path, kept)
                self._kept = kept
            return kept
        with self._listening(before or asked) as listener:
            kept = (before or _fresh(asked, listener.getsockname()[1])).joined(tuple(asked.keys))
            running = self._made(kept, listener)
            write(self._path, kept)
            self._start(kept, running)
        return kept

    @contextmanager
    def _listening(self, wanted: Opening | Kept) -> Iterator[Listener]:
        """Listen there, when that may be done without danger; nothing is answered yet. The port is let go of when the block fails."""
        if (wanted.certfile is None) != (wanted.keyfile is None):
            raise UsageError("a certificate and its key go together: give --certfile and --keyfile, or neither")
        if not is_loopback(address_of(wanted.host)[1]) and not (wanted.verify and wanted.certfile):
            raise UsageError(
                f"--host {wanted.host} lets other machines in, and whoever may call runs commands as you: give --certfile and --keyfile, and not --no-verify"
            )
        self._hang_up()
        listener = listen_tcp(wanted.host, wanted.port)
        try:
            yield listener
        except BaseException:
            listener.close()
            raise

    def _made(self, kept: Kept, listener: Listener) -> _Running:
        tls = tls_context(kept.certfile, kept.keyfile) if kept.certfile and kept.keyfile else None
        app = self._operations.app(self._secrets if kept.verify else None)
        return _Running(TcpServer(app, listener, tls), app)

    def _start(self, kept: Kept, running: _Running) -> None:
        self._kept, self._running, self._reason = kept, running, None
        running.server.start()
        _log.info("the AWS endpoint is open at %s%s", kept.url, "" if kept.verify else ", and anybody who can reach it may call")

    def _secrets(self) -> Mapping[str, str]:
        return {} if self._kept is None else self._kept.secrets()

    def _hang_up(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None

    def _is_open(self) -> bool:
        return self._running is not None and self._running.server.is_alive

    def _existing(self) -> Kept:
        if self._kept is None:
            raise NotFound("no endpoint is open: `spawn serve --detach` opens one")
        return self._kept

    def _say_once(self, reason: str) -> None:
        if reason != self._reason:
            _log.error("the AWS endpoint is not open, and tried again: %s", reason)
        self._reason = reason

    def _facts(self, kept: Kept) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "open": self._is_open(),
            "url": kept.url,
            "host": kept.host,
            "port": kept.port,
            "verify": kept.verify,
            "certfile": kept.certfile,
            "keyfile": kept.keyfile,
            "access_key_ids": list(kept.secrets()),
            "reason": None if self._is_open() else self._reason,
        }


def _fresh(asked: Opening, port: int) -> Kept:
    return Kept(host=asked.host, port=port, verify=asked.verify, certfile=asked.certfile, keyfile=asked.keyfile)
