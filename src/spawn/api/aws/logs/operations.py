"""All operations of CloudWatch Logs that are answered."""

from __future__ import annotations

from collections.abc import Mapping

from spawn.api.aws.callers import Handler
from spawn.api.aws.doors import Door


def operations(door: Door) -> Mapping[str, Handler]:
    """Every operation by its name in the service model."""
    from spawn.api.aws.logs.reading import operations as reading

    return reading(door)
