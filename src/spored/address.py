"""Where the runner of a directory listens."""

from __future__ import annotations

import os

_LONGEST = 107


def socket_address(directory: str) -> tuple[str, int]:
    """The address of the runner's socket, and a descriptor to close after its use, or -1: a long path is reached through an open directory."""
    path = os.path.join(directory, "runner.sock")
    if len(os.fsencode(path)) <= _LONGEST:
        return path, -1
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{fd}/runner.sock", fd
