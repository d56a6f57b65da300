"""Python values over a socket between two processes of the same Python, without ever waiting."""

from __future__ import annotations

import marshal
import select
import socket
from typing import Any, Callable

from spored.loop import Loop

_HEADER = 4


class Channel:
    """Calls `hear` for every value that comes, and `ended` once when the other side is gone. Values are plain: numbers, bytes, strings, tuples, dicts, None."""

    def __init__(self, loop: Loop, peer: socket.socket, hear: Callable[[Any], None], ended: Callable[[], None]) -> None:
        peer.setblocking(False)
        self._loop = loop
        self._peer = peer
        self._hear = hear
        self._ended = ended
        self._got = bytearray()
        self._unsent = bytearray()
        self._writing = False
        self.open = True
        loop.watch(peer.fileno(), self._ready)

    def send(self, value: Any) -> None:
        """Send one value. When the other side is gone: nothing; `ended` tells."""
        if not self.open:
            return
        data = marshal.dumps(value)
        self._unsent += len(data).to_bytes(_HEADER, "little") + data
        self._push()

    def close(self) -> None:
        """Hang up. Again: nothing."""
        if self.open:
            self.open = False
            self._loop.unwatch(self._peer.fileno())
            self._peer.close()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._push()
        if self.open and events & ~select.EPOLLOUT:
            self._pull()

    def _push(self) -> None:
        try:
            sent = self._peer.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reading side notices
        del self._unsent[:sent]
        if self._writing != bool(self._unsent):
            self._writing = bool(self._unsent)
            self._loop.watch(self._peer.fileno(), self._ready, select.EPOLLIN | (select.EPOLLOUT if self._writing else 0))

    def _pull(self) -> None:
        try:
            data = self._peer.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._got += data
        while self.open and len(self._got) >= _HEADER:
            size = int.from_bytes(self._got[:_HEADER], "little") + _HEADER
            if len(self._got) < size:
                break
            value = marshal.loads(bytes(self._got[_HEADER:size]))
            del self._got[:size]
            self._hear(value)
        if not data and self.open:
            self.close()
            self._ended()
