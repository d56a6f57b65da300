"""The objects of the native API (docs/api.md), as they are written to the wire."""

from __future__ import annotations

from typing import Any, Final

import msgspec

SCHEMA_VERSION: Final = 1


class Instance(msgspec.Struct, kw_only=True):
    """An instance on EC2 as it was last seen; unset is what nobody has seen yet."""

    type: str
    region: str
    zone: str
    market: str
    address: str | None
    image: str
    key_name: str | None
    launched_at: str | None
    ended_at: str | None
    ended_why: str | None
    checked_in_at: str | None
    heard_at: str | None
    ends_at: str | None  #: the end that its agent confirms
    unsent: str | None


class Member(msgspec.Struct, kw_only=True):
    """One child of one job, as `spawn list` shows it. What is UNSET here is not said of children on this machine."""

    schema_version: int = SCHEMA_VERSION
    array_id: str
    name: str
    index: int | None
    id: str
    instance_id: str | None
    state: str
    status: str
    status_reason: str | None
    exit_code: int | None
    reason: str | None
    attempt: int
    lost: bool
    created_at: str | None
    started_at: str | None
    stopped_at: str | None
    age_s: float
    tags: dict[str, str]
    interrupted: bool | msgspec.UnsetType = msgspec.UNSET
    instance: Instance | msgspec.UnsetType | None = msgspec.UNSET


class Attempt(msgspec.Struct, kw_only=True):
    """One run of a child that has ended or is under way."""

    attempt: int
    instance_id: str | None  #: null: none was launched for it
    status: str | None  #: SUCCEEDED, FAILED, or null while it is under way
    status_reason: str | None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: str | None
    stopped_at: str | None
    cpu_s: float | None = None
    max_rss_kib: int | None = None
    log: str
    output: str
    lost: bool
    interrupted: bool | msgspec.UnsetType = msgspec.UNSET


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a request that changes some children; each call uses the members that docs/api.md gives it."""

    indexes: str | None = None
    reason: str | None = None
    grace_s: float | None = None
    ttl_s: float | None = None
    hibernate: bool = False
    dry_run: bool = False


class Documents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a request to take job files."""

    documents: list[dict[str, Any]]
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    dry_run: bool = False


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a change of the cap on an array."""

    max_concurrent: int | None


class Stop(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to end the engine."""

    terminate: bool = False
