"""HTTP/1.1 over the engine's unix socket: one request a connection, a body that may be streamed.

The standard library's client would do, but importing it takes longer than everything else `spawn status` does.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from spawn.client.lock import way_out
from spawn.domain.errors import Unavailable

_LONGEST_ADDRESS: Final = 107  # sun_path has 108 bytes, the last one zero
_CHUNK: Final = 1 << 18
_CONNECT_AGAIN_S: Final = 0.05


class NotListening(Unavailable):
    """Nobody answers at the socket. `stopped`: there is no socket, so the engine ended on purpose or never ran."""

    def __init__(self, message: str, *, stopped: bool) -> None:
        super().__init__(message)
        self.stopped = stopped


class CutOff(Unavailable):
    """The connection ended in the middle of an answer, or before one: what was asked may or may not have happened."""


class NoAnswer(Unavailable):
    """The engine is there and says nothing: it hangs, is paused or has far too much to do."""


class Patience(NamedTuple):
    """How long the engine may be silent: `on_slow` is called after `slow_s`, once for every answer, and NoAnswer raised after `longest_s`."""

    longest_s: float
    slow_s: float = 3.0
    on_slow: Callable[[], None] | None = None


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Connect to a unix socket, however long its path is; NotListening when nobody listens, NoAnswer when the queue of those who wait is full for so long."""
    end = time.monotonic() + timeout_s
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            _connect_any_length(connection, path)
        except BlockingIOError as error:
            connection.close()
            if time.monotonic() > end:
                raise _silent(path, timeout_s) from error
            time.sleep(_CONNECT_AGAIN_S)
        except OSError as error:
            connection.close()
            stopped = isinstance(error, (FileNotFoundError, NotADirectoryError))
            raise NotListening(f"no engine answers at {path}: {error.strerror or error}", stopped=stopped) from error
        else:
            return connection


def _silent(path: Path, after_s: float) -> NoAnswer:
    return NoAnswer(f"the engine at {path} did not answer within {after_s:.0f} s; {way_out(path.parent)}")


def _connect_any_length(connection: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        connection.connect(str(path))
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


class Answer:
    """The status and headers of an answer; the body is read by `read` or `lines`, once."""

    def __init__(self, connection: socket.socket, path: Path, patience: Patience) -> None:
        self._connection = connection
        self._path = path
        self._patience = patience
        self._buffer = b""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(head[0].split(" ", 2)[1])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}

    @property
    def trouble(self) -> str | None:
        """Why the engine can record nothing, as it says beside every answer; None: it can."""
        said = self.headers.get("x-engine-trouble")
        if said is None:
            return None
        from urllib.parse import unquote

        return unquote(said)

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def lines(self) -> Iterator[bytes]:
        """Blocks of whole lines, as large as they come, each ended by a newline."""
        rest = b""
        for piece in self.pieces():
            whole, newline, tail = piece.rpartition(b"\n")
            if newline:
                yield rest + whole + newline
                rest = tail
            else:
                rest += piece
        if rest:
            raise self._cut_off()

    def pieces(self) -> Iterator[bytes]:
        """The body in pieces, as they come; CutOff when it ends too early."""
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                yield from self._chunks()
            elif "content-length" in self.headers:
                yield from self._exactly(int(self.headers["content-length"]))
            else:
                yield from self._to_the_end()
        finally:
            self._connection.close()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            yield b"".join(self._exactly(size))
            self._until(b"\r\n")

    def _exactly(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._buffer or self._receive()
            self._buffer = piece[left:]
            piece = piece[:left]
            left -= len(piece)
            yield piece

    def _to_the_end(self) -> Iterator[bytes]:
        if self._buffer:
            yield self._buffer
        while piece := self._receive(at_end_ok=True):
            yield piece

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._buffer += self._receive()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _receive(self, *, at_end_ok: bool = False) -> bytes:
        try:
            piece = self._next_bytes()
        except TimeoutError as error:
            raise _silent(self._path, self._patience.longest_s) from error
        except OSError as error:
            raise self._cut_off() from error
        if not piece and not at_end_ok:
            raise self._cut_off()
        return piece

    def _next_bytes(self) -> bytes:
        longest_s, slow_s, on_slow = self._patience
        if on_slow is None or slow_s >= longest_s:
            self._connection.settimeout(longest_s)
            return self._connection.recv(_CHUNK)
        self._connection.settimeout(slow_s)
        try:
            return self._connection.recv(_CHUNK)
        except TimeoutError:
            on_slow()
            self._patience = Patience(longest_s)
            self._connection.settimeout(longest_s - slow_s)
            return self._connection.recv(_CHUNK)

    def _cut_off(self) -> CutOff:
        self._connection.close()
        return CutOff(f"the engine at {self._path} went away while it answered")


def request(path: Path, method: str, target: str, body: bytes | None, patience: Patience) -> Answer:
    """Send one request; the answer's body is still to be read."""
    connection = connect(path, patience.longest_s)
    head = f"{method} {target} HTTP/1.1\r\nHost: spawn\r\nConnection: close\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    try:
        connection.sendall(f"{head}\r\n".encode("ascii") + (body or b""))
    except OSError:
        pass  # the engine may have refused early and hung up: its answer is still there to read
    try:
        return Answer(connection, path, patience)
    except BaseException:
        connection.close()
        raise
