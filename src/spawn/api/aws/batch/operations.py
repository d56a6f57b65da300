"""All operations of AWS Batch, joined from the modules of their nouns."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from spawn.api.aws.callers import Handler
from spawn.api.aws.doors import Door

_NOUNS: Final = ("definitions", "submitting", "describing", "listing", "stopping", "queues", "environments", "policies", "consumables", "tags", "snapshots")


def operations(door: Door) -> Mapping[str, Handler]:
    """Every operation by its name in the service model."""
    joined: dict[str, Handler] = {}
    for noun in _NOUNS:
        joined |= import_module(f"spawn.api.aws.batch.{noun}").operations(door)
    return joined
