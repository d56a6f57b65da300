"""The tags by which everything of ours is found again in an account, and what they say of its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from spawn.domain.instants import Instant, from_seconds, later
from spawn.domain.jobs import Job

ARRAY: Final = "spawn:array"
"""The array's id. Whatever carries this tag is ours."""

KEY: Final = "spawn:key"
"""The array's key, which is part of its attempts' ids and of the names of its queue and role."""

OWNER: Final = "spawn:owner"
"""The ARN of whoever launched it."""

LAUNCHED: Final = "spawn:launched"
"""When the launch was written down, in whole seconds since the epoch."""

TTL: Final = "spawn:ttl-s"
"""Whole seconds from boot to the end that the instance brings about itself; `none` with `--no-ttl`."""

BUCKET: Final = "spawn:bucket"
"""The bucket in which its agent says until when it really lives: `spawn extend` moves that."""

NO_TTL: Final = "none"


def tags_of(job: Job, *, owner: str, launched_at: Instant) -> dict[str, str]:
    """What instances, volumes and all else that is made for an array carries. The same arguments give the same tags: a launch can be asked for again."""
    ttl = job.lifetime.ttl
    tags = {
        ARRAY: job.id,
        KEY: job.key,
        OWNER: owner[:256],
        LAUNCHED: str(launched_at // 1000),
        TTL: NO_TTL if ttl is None else str(round(ttl.total_seconds())),
    }
    return tags if job.fleet is None else tags | {BUCKET: job.fleet.bucket}


def read_tags(entries: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """The tags of an answer of EC2 or IAM, by name."""
    return {entry["Key"]: entry["Value"] for entry in entries or ()}


def end_of(tags: Mapping[str, str], booted_at: Instant) -> Instant | None:
    """When an instance that booted then is to end by its tags; None: they do not say, or it has no TTL."""
    ttl, launched = tags.get(TTL, ""), tags.get(LAUNCHED, "")
    if not ttl.isdecimal():
        return None
    began = max(booted_at, from_seconds(int(launched))) if launched.isdecimal() else booted_at
    return later(began, timedelta(seconds=int(ttl)))
