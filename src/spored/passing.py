"""What a supervisor is asked for by signals, and passing that on to its container."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from spored.engines import Cli


class Signals:
    """What has been asked for by signals. The descriptor `fd` becomes readable when that changes."""

    def __init__(self) -> None:
        self.fd, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self.stop = self.kill = False
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGUSR1, self._note)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _: Any) -> None:
        if number == signal.SIGTERM:
            self.stop = True
        else:
            self.kill = True

    def wanted(self) -> bool:
        """Whether the container is to end."""
        return self.stop or self.kill

    def clear(self) -> None:
        """Take note of what `fd` told."""
        try:
            os.read(self.fd, 512)
        except BlockingIOError:
            pass


class Passing:
    """Passes the wish to end on to the container, again until the engine took it: a container that is just being started takes no signal."""

    def __init__(self, cli: Cli, name: str, signals: Signals) -> None:
        self._cli = cli
        self._name = name
        self._signals = signals
        self._stopped = self._killed = False
        self._since: float | None = None

    @property
    def waits(self) -> bool:
        """Whether there is something that the engine has not taken yet, or must see to now."""
        return (self._signals.stop and not self._stopped) or self._signals.kill

    def on(self) -> None:
        """Pass on what has not been taken."""
        if self._signals.kill:
            self._since = self._since or time.monotonic()
            self._killed = self._killed or self._send("KILL")
        elif self._signals.stop and not self._stopped:
            self._stopped = self._send("TERM")

    def is_overdue(self, seconds: float) -> bool:
        """Whether the container should have been dead for so long."""
        return self._since is not None and time.monotonic() - self._since > seconds

    def _send(self, name: str) -> bool:
        return self._cli.call("kill", "--signal", name, self._name).code == 0
