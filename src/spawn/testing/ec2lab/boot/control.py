"""What control.json says to acted instances: read once for all that ask at about the same time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spawn.testing.ec2lab.boot.launches import Launch
from spawn.testing.ec2lab.boot.reaching import Services
from spawn.testing.ec2lab.machines import Machine

_SAME_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """control.json; without one, nothing is said."""

    seq: int = 0
    ends_at: float | None = None
    ends_at_of: Mapping[str, float | None] = field(default_factory=dict)
    stop: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def end_of(self, instance_id: str) -> float | None:
        """The end that it names for an instance; None: it names none."""
        return self.ends_at_of.get(instance_id) or self.ends_at


class Controls:
    """The control.json of every array; an answer is good for a second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._read: dict[tuple[str, str], tuple[float, Control]] = {}

    def at(self, now: float, machine: Machine, launch: Launch) -> Control:
        """What it says now. Unreachable when the bucket does not answer."""
        name = (launch.bucket, launch.prefix)
        known = self._read.get(name)
        if known is not None and now - known[0] < _SAME_S:
            return known[1]
        body = self._services.get(machine, launch.bucket, f"{launch.prefix}control.json")
        said = json.loads(body) if body is not None else {}
        control = Control(seq=said.get("seq", 0), ends_at=said.get("ends_at"), ends_at_of=said.get("ends_at_of") or {}, stop=said.get("stop") or {})
        self._read[name] = now, control
        return control
