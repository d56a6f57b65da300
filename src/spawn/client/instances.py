"""Instances on EC2 as the engine tells of them (docs/api.md), decoded."""

from __future__ import annotations

from msgspec import Struct


class Instance(Struct, frozen=True, kw_only=True):
    """An instance as it was last seen."""

    type: str
    region: str
    zone: str
    market: str
    address: str | None = None
    image: str = ""
    key_name: str | None = None
    launched_at: str | None = None
    ended_at: str | None = None
    ended_why: str | None = None
    checked_in_at: str | None = None
    heard_at: str | None = None
    ends_at: str | None = None
    unsent: str | None = None


class Entrance(Struct, frozen=True, kw_only=True):
    """What is needed to reach an instance that runs."""

    instance_id: str
    region: str
    zone: str
    address: str | None
    image: str
    default_image: bool
    key_name: str | None
    checked_in: bool


class FleetPlace(Struct, frozen=True, kw_only=True):
    """Where on EC2 an array runs; `objects` is where its logs, outputs and outcomes are."""

    account: str
    regions: list[str]
    instance_types: list[str]
    market: str
    instances: int | None
    objects: str
