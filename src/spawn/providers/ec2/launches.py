"""Which attempts an instance was launched for, read back from the user data of its launch: one call for each launch, not for each instance."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from spawn.domain.errors import SpawnError
from spawn.domain.jobs import Job
from spawn.providers.ec2.asking import patiently, read_object
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.seen import Seen
from spawn.providers.ec2.userdata import BEGIN, END, STAGED

Member = tuple[int, int]
"""Position and attempt."""


def launch_in(user_data: bytes) -> Mapping[str, Any] | None:
    """The launch.json that user data carries; None when it has none, or only names where it is staged. Anything but user data of ours has none."""
    try:
        script = (gzip.decompress(user_data) if user_data[:2] == b"\x1f\x8b" else user_data).decode("utf-8", "replace")
        _, begun, rest = script.partition(f"\n{BEGIN}\n")
        packed, ended, _ = rest.partition(f"\n{END}\n")
        if not begun or not ended:
            return None
        found = json.loads(gzip.decompress(base64.b64decode(packed.replace("# ", ""), validate=False)))
    except (OSError, EOFError, ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None


def is_staged(user_data: bytes) -> bool:
    """Whether user data lets the agent read its launch.json from the bucket."""
    try:
        script = gzip.decompress(user_data) if user_data[:2] == b"\x1f\x8b" else user_data
    except (OSError, EOFError):
        return False
    return f"\n{STAGED}".encode() in script


def unrolled(runs: Sequence[Sequence[int]]) -> list[Member]:
    """What runs `[position, index, attempt, count, step]` stand for."""
    return [(position + nth, attempt) for position, _, attempt, count, _ in runs for nth in range(count)]


class Launches:
    """The launches of one array, each read once."""

    def __init__(self, clients: Clients, job: Job) -> None:
        self._clients = clients
        self._job = job
        self._read: dict[str, Mapping[str, Any]] = {}

    def members(self, seen: Seen) -> tuple[list[Member], bool]:
        """What an instance was launched for, and whether it takes from the array's queue instead; nothing when its launch cannot be read."""
        token = seen.facts.get("ClientToken") or seen.facts["InstanceId"]
        launch = self._read.get(token)
        if launch is None:
            launch = self._read[token] = self._launch(seen, token)
        if launch.get("pool"):
            return [], True
        members, number = launch.get("members", []), seen.facts.get("AmiLaunchIndex", 0)
        return (unrolled(members[number]) if number < len(members) else []), False

    def _launch(self, seen: Seen, token: str) -> Mapping[str, Any]:
        try:
            return self._in_user_data(seen, token)
        except SpawnError:
            # whoever may read the bucket alone learns of these attempts when they are claimed
            return {}

    def _in_user_data(self, seen: Seen, token: str) -> Mapping[str, Any]:
        ask = partial(self._clients.client("ec2", seen.region).describe_instance_attribute, InstanceId=seen.facts["InstanceId"], Attribute="userData")
        answer = patiently(ask, action=f"read the user data of {seen.facts['InstanceId']}")
        user_data = base64.b64decode(answer.get("UserData", {}).get("Value", ""))
        return (self._staged(token) if is_staged(user_data) else launch_in(user_data)) or {}

    def _staged(self, token: str) -> Mapping[str, Any] | None:
        assert self._job.fleet is not None
        s3, key = self._clients.client("s3", self._job.fleet.bucket_region), f"arrays/{self._job.id}/launch/{token}.json"
        content = read_object(s3, self._job.fleet.bucket, key, action=f"read {key}")
        try:
            found = json.loads(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
