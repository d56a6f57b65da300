"""The agent out of its archive: Python compiles what it finds in a directory once, and what it finds in an archive each time it starts."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib

from spored.home import this_program


def unpacked(directory: str) -> str | None:
    """The program of this archive as a file below `directory`, unpacked there; None when this is no archive, or there is no room for it.

    Everybody on this machine may read it. Again: the same.
    """
    archive = this_program()
    if not zipfile.is_zipfile(archive):
        return None
    try:
        with open(archive, "rb") as file:
            place = os.path.join(directory, f"spored-{zlib.crc32(file.read()):08x}")
        if not os.path.isdir(place):
            _unpack(archive, place)
    except OSError:
        return None
    return os.path.join(place, "spored", "__main__.py")


def _unpack(archive: str, place: str) -> None:
    """All of it or nothing."""
    shutil.rmtree(place + ".new", ignore_errors=True)
    mask = os.umask(0o022)
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place + ".new")
        os.rename(place + ".new", place)
    finally:
        os.umask(mask)
