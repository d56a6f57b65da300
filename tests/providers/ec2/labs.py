"""Laboratories for tests of what is looked up and made before a launch."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any, Final

from spawn.domain.fleets import FleetOptions, Plan
from spawn.domain.instants import Instant, from_seconds
from spawn.engine.fleets import Wish
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.planning import plan_with
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import LabPlan

NOON: Final = from_seconds(1_790_000_000)


def lab(**plan: Any) -> Lab:
    """A laboratory at noon."""
    return Lab(LabPlan(**plan), clock=ManualClock(NOON))


def clients_of(lab: Lab) -> Clients:
    """Clients of the laboratory's user: the same for a laboratory, because to make them takes longer than a test."""
    return _clients(tuple(lab.environment().items()))


@cache
def _clients(settings: tuple[tuple[str, str], ...]) -> Clients:
    return Clients(dict(settings))


def wish(children: int = 10, *, ttl: timedelta | None = timedelta(hours=2), tags: dict[str, str] | None = None, **more: Any) -> Wish:
    """A launch; `name` and `work_bytes` apart, what is not of a wish is an option of its fleet."""
    name, work_bytes = more.pop("name", "render"), more.pop("work_bytes", 100)
    more.setdefault("instance_types", ("c7i.large",))
    return Wish(options=FleetOptions(**more), name=name, children=children, ttl=ttl, tags=tags or {}, work_bytes=work_bytes)


def plan_in(lab: Lab, asked: Wish, at: Instant = NOON) -> Plan:
    """The plan of a wish."""
    return plan_with(clients_of(lab), asked, at)
