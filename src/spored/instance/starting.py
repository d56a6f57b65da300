"""`spored instance install` and `instance run`: what user data and the unit start. Both soon leave the archive that the agent comes in."""

from __future__ import annotations

import os
import sys

from spored.errors import USAGE, SporedError
from spored.instance.places import Places
from spored.options import parse, unknown

_OF_INSTALL = ("--bucket", "--region", "--key", "--sha256", "--endpoint")


def instance(words: list[str]) -> int:
    """`install`: unpack the agent, fetch the launch where flags say that it is staged, and write the unit; `run`: be the agent."""
    options, rest = parse(words, dict.fromkeys(("--root", *_OF_INSTALL), True))
    places = Places(os.path.abspath(options.pop("--root", "/")))
    if len(rest) != 1:
        raise SporedError("instance needs one word: install or run", USAGE)
    if rest[0] == "install":
        _leave_the_archive(places, words)
        from spored.instance.install import install
        from spored.instance.staged import staged_of

        return install(places, staged_of(options))
    if rest[0] == "run":
        if options:
            raise SporedError(f"{next(iter(options))} is a flag of instance install, not of instance run", USAGE)
        from spored.instance.serving import serve

        return serve(places)
    raise unknown("word of instance", rest[0], ["install", "run"])


def _leave_the_archive(places: Places, words: list[str]) -> None:
    """Go on with the same command as a program of the unpacked agent, which the unit then names; nothing where that cannot be."""
    from spored.instance.unpacking import unpacked

    program = unpacked(os.path.dirname(places.command))
    if program is not None:
        os.execv(sys.executable, [sys.executable, "-IS", program, "instance", *words])
