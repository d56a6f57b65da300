"""Watching a launch on EC2 until all its instances are there, or it is plain that this takes longer."""

from __future__ import annotations

from typing import Final

from spawn.cli.render import launched
from spawn.cli.render.launched import Progress
from spawn.client import cloud
from spawn.client.client import Client
from spawn.client.objects import Array, Launched

_LOOK_EVERY_S: Final = 0.5

_HOLD_UPS: Final = frozenset({"throttled", "over-quota", "no-capacity", "access"})
"""Kinds of reasons that may keep instances from being launched for long."""

_IDLE_LOOKS: Final = 4
"""After so many looks without a new instance, and with none being launched, nobody goes on watching."""

_LOOKS: Final = 20
"""The same while instances are being launched."""


def follow(client: Client, array: Launched, wanted: int) -> Progress:
    """Show how the launch goes until all instances are there, the array has settled, or nothing moves for long; and what holds it up when it stands still."""
    looks = 0
    with launched.progress(wanted) as show:
        state, current = _look(client, array.array_id, wanted), client.array(array.array_id)
        while not (state.is_complete or current.settled or _is_stuck(current, looks)):
            show(state.launched, state.reasons if looks else [])
            current = client.settled(array.array_id, _LOOK_EVERY_S)
            seen, state = state.launched, _look(client, array.array_id, wanted)
            looks = looks + 1 if state.launched == seen else 0
        show(state.launched, [])
    return state


def _look(client: Client, array_id: str, wanted: int) -> Progress:
    (cost,) = cloud.costs(client, arrays=[array_id])
    there = min(cost.instances, wanted)
    reasons = client.why(array_id) if there < wanted else []
    return Progress(there, wanted, [reason for reason in reasons if reason.kind in _HOLD_UPS] or reasons)


def _is_stuck(array: Array, looks: int) -> bool:
    return looks >= (_LOOKS if array.counts.get("STARTING") else _IDLE_LOOKS)
