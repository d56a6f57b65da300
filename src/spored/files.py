"""The files of attempts (docs/wire.md, "Files of an attempt")."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Set

Inside = Mapping[bytes, Set[bytes]]
"""For each directory below another, relative to it and itself the empty path: the names in it. A file has none."""
NOTHING: Inside = {b"": frozenset()}
"""An empty directory."""


def stem_of(directory: bytes, position: int, index: int, attempt: int) -> bytes:
    """What the paths of an attempt's files begin with: a thousand positions to a shard, so that no directory grows huge."""
    return b"%b/%d/%d-%d" % (directory, position // 1000, index, attempt)


class Spares:
    """Directories of one kind for the attempts of one array. What an attempt left empty is given to the next one under a new name.

    A rename costs a fifth of removing and making, and file systems such as ext4 do not hand out inodes again that were freed a moment ago: with
    a thousand of those, making any file takes ten times as long.
    """

    def __init__(self, mode: int | None = None) -> None:
        """`mode`: the exact permissions, whatever the umask; None leaves them to it."""
        self._mode = mode
        self._spares: list[bytes] = []
        self._fresh_mode = self._fresh_owner = -1
        self._inside = NOTHING

    def make(self, path: bytes) -> bool:
        """Make the directory `path`, and its shard if need be. One that is there stays as it is. True: it has served before."""
        while self._spares:
            try:
                os.rename(self._spares.pop(), path)
                return True
            except OSError:
                continue  # someone removed the spare, or `path` is there with something in it
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        except FileNotFoundError:
            shard = os.path.dirname(path)
            # makedirs gives its mode to the last directory only
            os.makedirs(os.path.dirname(shard), 0o700, exist_ok=True)
            os.makedirs(shard, 0o700, exist_ok=True)
            os.mkdir(path)
        if self._mode is not None:
            os.chmod(path, self._mode)
        if self._fresh_mode < 0:
            status = os.lstat(path)
            self._fresh_mode, self._fresh_owner = status.st_mode, status.st_uid
        return False

    def retire(self, path: bytes, inside: Inside = NOTHING) -> bool:
        """An attempt no longer needs `path`: keep it for the next one. False: it holds more than `inside`, or is not as it was made; it stays."""
        try:
            if os.listdir(path) if inside is NOTHING else not _holds_only(path, inside):
                return False
            status = os.lstat(path)
        except OSError:
            return False
        if status.st_mode != self._fresh_mode or status.st_uid != self._fresh_owner:
            return False
        self._spares.append(path)
        self._inside = inside
        return True

    def clear(self) -> None:
        """Remove what no one needed any more."""
        for path in self._spares:
            remove_empty(path, self._inside)
        self._spares.clear()


def _holds_only(path: bytes, inside: Inside) -> bool:
    for place, names in inside.items():
        entry = os.path.join(path, place) if place else path
        if place and not stat.S_ISDIR(os.lstat(entry).st_mode):
            if os.path.getsize(entry):
                return False
        elif set(os.listdir(entry)) != names:
            return False
    return True


def remove_empty(path: bytes, inside: Inside = NOTHING) -> bool:
    """Remove a directory that holds only `inside`. True: it is gone, or was not there; False: something else is in it."""
    try:
        for place in sorted(inside, reverse=True):
            entry = os.path.join(path, place) if place else path
            if place and not stat.S_ISDIR(os.lstat(entry).st_mode):
                if os.path.getsize(entry):
                    return False
                os.unlink(entry)
            else:
                os.rmdir(entry)
    except FileNotFoundError:
        return not os.path.lexists(path)
    except OSError:
        return False
    return True
