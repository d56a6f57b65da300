"""What scripts write, also where users of EC2 look for it: in cloud-init's own log."""

from __future__ import annotations

import os
from collections.abc import Iterable

from spored.instance.ledger import write_privately

_MOST_BYTES = 1 << 20


class Mirror:
    """Appends what logs have grown to another file. How far it came is kept in `directory`, a file for each log that is followed."""

    def __init__(self, target: str, directory: str) -> None:
        self._target = target
        self._directory = directory
        self._places: dict[str, int] = {}
        os.makedirs(directory, 0o700, exist_ok=True)

    def follow(self, logs: Iterable[tuple[str, str]]) -> None:
        """Append what is new in these (each with a name of its own), up to a megabyte each. Where the target is not there or takes nothing: nothing."""
        if os.path.exists(self._target):
            for name, path in logs:
                try:
                    self._follow(name, path)
                except OSError:
                    continue

    def _follow(self, name: str, path: str) -> None:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = self._noted(name)
        if os.path.getsize(path) <= place:
            return
        with open(path, "rb") as file:
            file.seek(place)
            data = file.read(_MOST_BYTES)
        with open(os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb", buffering=0) as target:
            target.write(data)
        self._places[name] = place + len(data)
        write_privately(os.path.join(self._directory, name), str(self._places[name]))

    def _noted(self, name: str) -> int:
        try:
            with open(os.path.join(self._directory, name), encoding="ascii") as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def forget(self, name: str) -> None:
        """This log grows no more."""
        self._places.pop(name, None)
        try:
            os.unlink(os.path.join(self._directory, name))
        except OSError:
            pass
