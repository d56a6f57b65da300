"""The engine, as verbs reach it: on a terminal it is said, once, when it is slow."""

from __future__ import annotations

from spawn.cli.render import talk
from spawn.client import start
from spawn.client.client import Client


def ensure_engine(*, terminating: bool = False) -> Client:
    """The engine of this user, started when none answers; with `terminating` one that begins nothing that waits, and terminates all."""
    return start.ensure_engine(on_slow=_say_slow, terminating=terminating, on_trouble=talk.warn)


def running_engine() -> Client:
    """The engine of this user; NotListening when none answers. Has little patience, and starts nothing."""
    return start.running_engine(on_slow=_say_slow)


def _say_slow() -> None:
    talk.progress("the engine is slow to answer; waiting (Ctrl-C ends the waiting, and nothing that runs)")
