"""What a launch says to its instances, read out of user data as docs/wire-ec2.md has them."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from spawn.testing.ec2lab.boot.reaching import Unreachable

_GUARD = re.compile(r"^shutdown -[hP] \+(\d+)", re.MULTILINE)
_EMBEDDED = re.compile(r"^# spored-launch-begin\n((?:# .*\n)*?)# spored-launch-end$", re.MULTILINE)
_STAGED = re.compile(r"^python3 \S+ instance install (--.+) \|\| fail ", re.MULTILINE)


class Unreadable(Exception):
    """User data that no agent comes out of; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt to make."""

    position: int
    index: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """launch.json, as far as an acted instance heeds it."""

    array: str
    key: str
    token: str
    members: tuple[tuple[tuple[int, int, int, int, int], ...], ...]
    pool: str | None
    slots: int
    grace_s: float
    bucket: str
    region: str
    prefix: str
    ttl_s: float | None
    idle_s: float | None
    on_complete: str
    spot: bool
    upload_s: float
    control_s: float
    beat_s: float
    notice_s: float

    def tasks(self, launch_index: int) -> Iterator[Task]:
        """What the instance with this number has to do; nothing when the launch has no such number."""
        for position, index, attempt, count, step in self.members[launch_index] if launch_index < len(self.members) else ():
            for nth in range(count):
                yield Task(position=position + nth, index=index + nth * step, attempt=attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """User data: the guard's minutes, and the launch or why there is none."""

    guard_minutes: int | None
    launch: Launch | None
    trouble: str | None = None


Fetch = Callable[[str, str], bytes | None]
"""Gets an object by bucket and key; None: there is none."""


def read(user_data: bytes, fetch: Fetch) -> Orders:
    """Understand user data; `fetch` gets what is staged."""
    try:
        script = (gzip.decompress(user_data) if user_data[:2] == b"\x1f\x8b" else user_data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        return Orders(guard_minutes=None, launch=None, trouble=f"the user data cannot be read: {error}")
    guard = _GUARD.search(script)
    minutes = int(guard[1]) if guard is not None else None
    try:
        return Orders(guard_minutes=minutes, launch=parse(_document(script, fetch)))
    except (Unreadable, Unreachable, OSError, ValueError, KeyError, TypeError) as error:
        return Orders(guard_minutes=minutes, launch=None, trouble=f"{type(error).__name__}: {error}")


def _document(script: str, fetch: Fetch) -> Any:
    embedded = _EMBEDDED.search(script)
    if embedded is not None:
        return json.loads(gzip.decompress(base64.b64decode("".join(line[2:] for line in embedded[1].splitlines()))))
    staged = _STAGED.search(script)
    if staged is None:
        raise Unreadable("the user data launch no agent")
    words = shlex.split(staged[1])
    told = dict(zip(words[::2], words[1::2], strict=True))
    body = fetch(told["--bucket"], told["--key"])
    if body is None:
        raise Unreadable("what was staged is not there")
    if sha256(body).hexdigest() != told["--sha256"]:
        raise Unreadable("what was staged is not what was launched")
    return json.loads(body)


def parse(message: Any) -> Launch:
    """Understand launch.json. Unreadable when it speaks another wire, KeyError or TypeError when something is missing."""
    if message["wire"] != 1:
        raise Unreadable(f"the launch speaks wire {message['wire']!r}")
    every = message["every"]
    return Launch(
        array=message["array"],
        key=message["key"],
        token=message["token"],
        members=tuple(tuple((run[0], run[1], run[2], run[3], run[4]) for run in runs) for runs in message["members"]),
        pool=message["pool"],
        slots=message["slots"],
        grace_s=message["spec"]["grace_s"],
        bucket=message["bucket"],
        region=message["region"],
        prefix=message["prefix"],
        ttl_s=message["ttl_s"],
        idle_s=message["idle_s"],
        on_complete=message["on_complete"],
        spot=message["spot"],
        upload_s=every["upload_s"],
        control_s=every["control_s"],
        beat_s=every["beat_s"],
        notice_s=every["notice_s"],
    )
