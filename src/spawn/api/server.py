"""The HTTP server on the engine's unix socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

_PATH_LIMIT = 107


def listen(path: Path) -> socket.socket:
    """A listening unix socket, mode 0600, in place of one that a dead engine left behind."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        if len(os.fsencode(path)) <= _PATH_LIMIT:
            sock.bind(str(path))
        else:
            # a socket's address has room for 107 bytes; through the directory's descriptor any path fits
            directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                sock.bind(f"/proc/self/fd/{directory}/{path.name}")
            finally:
                os.close(directory)
    finally:
        os.umask(before)
    sock.listen(128)
    return sock


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server to be run on a socket of `listen`; it ends when `should_exit` is set, or on SIGTERM and SIGINT."""
    return uvicorn.Server(uvicorn.Config(app, loop="asyncio", http="h11", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2))
