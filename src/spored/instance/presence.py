"""What the instance says of itself: `instances/INSTANCE_ID.json`, anew at every change and from time to time."""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

from spored import __version__
from spored.instance.config import WIRE, Launch
from spored.instance.errands import Errands, Office
from spored.instance.metadata import Identity
from spored.instance.s3 import Bucket


class Presence:
    """Writes the object; what changes while it is being written is written next."""

    def __init__(self, launch: Launch, identity: Identity, bucket: Bucket, office: Office, clock: Callable[[], float]) -> None:
        self._key = f"{launch.prefix}instances/{identity.instance_id}.json"
        self._bucket = bucket
        self._clock = clock
        self._every = launch.every.beat_s
        self._errands = Errands(office, "io")
        self._said: dict[str, Any] = {}
        self._said_at = float("-inf")
        self.written = False  #: this instance has checked in
        self._fixed = {
            "wire": WIRE,
            "instance_id": identity.instance_id,
            "launch_index": identity.launch_index,
            "token": launch.token,
            "type": identity.type,
            "zone": identity.zone,
            "spored": __version__,
            "python": ".".join(str(number) for number in sys.version_info[:3]),
        }

    def say(self, members: dict[str, Any]) -> None:
        """Write it, if it says something new or was not written for long. Never waits."""
        if members == self._said and self._clock() - self._said_at < self._every:
            return
        self._said, self._said_at = members, self._clock()
        # One that is being written may have taken what was said before; one that still waits will take this.
        if len(self._errands) < 2:
            self._errands.add("instances object", self._write, self._wrote)

    def _write(self) -> None:
        body = json.dumps({**self._fixed, "at": round(self._clock(), 3), **self._said}).encode()
        self._bucket.put(self._key, body)

    def _wrote(self, _: None) -> None:
        self.written = True

    @property
    def is_settled(self) -> bool:
        """Whether all that was said is written."""
        return not self._errands

    @property
    def trouble(self) -> str | None:
        """Why it cannot be written."""
        return self._errands.trouble

    def hurry(self) -> None:
        """Time is short: try again at once."""
        self._errands.hurry()
