"""Where the runner of a directory listens."""

from __future__ import annotations

import os

SOCKET = "runner.sock"
_LONGEST = 107


def socket_address(directory: str, name: str = SOCKET) -> tuple[str, int]:
    """The address of a socket in a directory, and a descriptor to close after its use, or -1: a long path is reached through an open directory."""
    path = os.path.join(directory, name)
    if len(os.fsencode(path)) <= _LONGEST:
        return path, -1
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{fd}/{name}", fd
