"""What the agent says: all of it into its own log, and what somebody must see also on the console."""

from __future__ import annotations

import os
import time

_LOG_BYTES = 4 << 20


class Talk:
    """Writes lines. That they cannot be written stops nothing."""

    def __init__(self, path: str) -> None:
        """`path`: of the log; a long one of earlier times is put aside."""
        self._fd = -1
        try:
            if os.path.exists(path) and os.path.getsize(path) > _LOG_BYTES:
                os.replace(path, path + ".1")
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            pass

    def note(self, text: str) -> None:
        """Into the log."""
        _write(self._fd, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")

    def tell(self, text: str) -> None:
        """Into the log, and on the console: the unit's stderr goes there."""
        self.note(text)
        _write(2, f"spored: {text}\n")


def _write(fd: int, line: str) -> None:
    try:
        os.write(fd, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass
