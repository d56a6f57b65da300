"""The runner's socket: lines of JSON from the engine and from scripts, and answers to them."""

from __future__ import annotations

import json
import os
import select
import socket
from typing import Any, Callable

from spored.address import SOCKET, socket_address
from spored.home import log
from spored.loop import Loop

_LONGEST_LINE = 256 << 20


class Connection:
    """One peer. What cannot be sent now is sent when the peer reads."""

    def __init__(self, server: Server, peer: socket.socket) -> None:
        self._server = server
        self._peer = peer
        self._got = bytearray()
        self._unsent = bytearray()
        self._scanned = 0
        self.open = True

    def fileno(self) -> int:
        """Its descriptor."""
        return self._peer.fileno()

    def ready(self, events: int) -> None:
        """There is something to read, or room to write."""
        if events & select.EPOLLOUT:
            self._push()
        if self.open and events & ~select.EPOLLOUT:
            self._pull()

    def _pull(self) -> None:
        try:
            data = self._peer.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._got += data
        while self.open:
            end = self._got.find(b"\n", self._scanned)
            if end < 0:
                self._scanned = len(self._got)
                if self._scanned > _LONGEST_LINE:
                    self.close()
                return
            line = bytes(self._got[:end])
            del self._got[: end + 1]
            self._scanned = 0
            self._server.hear(self, line)

    def send(self, message: dict[str, Any]) -> None:
        """Send one line. To a peer that has gone: nothing."""
        if not self.open:
            return
        self._unsent += json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        if len(self._unsent) > _LONGEST_LINE:
            self.close()
        else:
            self._push()

    def _push(self) -> None:
        try:
            sent = self._peer.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._unsent[:sent]
        self._server.expect(self, bool(self._unsent))

    def close(self) -> None:
        """Hang up. Again: nothing."""
        if self.open:
            self.open = False
            self._server.forget(self)
            self._peer.close()


class Server:
    """Listens in a directory. `hear` gets every line with the connection it came on."""

    def __init__(self, loop: Loop, directory: str, hear: Callable[[Connection, bytes], None], *, name: str = SOCKET) -> None:
        self._loop = loop
        self.hear = hear
        self.engine: Connection | None = None
        self._writers: set[Connection] = set()
        self._connections: set[Connection] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._path = os.path.join(directory, name)
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        address, fd = socket_address(directory, name)
        mask = os.umask(0o177)
        try:
            self._listener.bind(address)
        finally:
            os.umask(mask)
            if fd >= 0:
                os.close(fd)
        self._listener.listen(128)
        loop.watch(self._listener.fileno(), self._accept)

    def _accept(self, _events: int) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError as error:
            log(f"a connection could not be taken: {error}")
            return
        peer.setblocking(False)
        connection = Connection(self, peer)
        self._connections.add(connection)
        self._loop.watch(peer.fileno(), connection.ready)

    def expect(self, connection: Connection, to_write: bool) -> None:
        """Watch for room to write only while there is something unsent."""
        if to_write != (connection in self._writers):
            events = select.EPOLLIN | (select.EPOLLOUT if to_write else 0)
            self._loop.watch(connection.fileno(), connection.ready, events)
            (self._writers.add if to_write else self._writers.discard)(connection)

    def take_engine(self, connection: Connection) -> None:
        """This is the engine now; a former one is hung up on."""
        if self.engine is not None and self.engine is not connection:
            self.engine.close()
        self.engine = connection

    def forget(self, connection: Connection) -> None:
        """It is about to be closed."""
        self._loop.unwatch(connection.fileno())
        self._writers.discard(connection)
        self._connections.discard(connection)
        if self.engine is connection:
            self.engine = None

    def close(self) -> None:
        """Hear no one any more."""
        for connection in list(self._connections):
            connection.close()
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        try:
            os.unlink(self._path)
        except OSError:
            pass
