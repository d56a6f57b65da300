"""The calls about instances of arrays on EC2, one function each (docs/api.md). The engine asks AWS before it answers."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from spawn.client.client import Client
from spawn.client.objects import Change
from spawn.client.paths import array_path, with_query

_ASKING_AWS_S: Final = 90.0
"""How much longer an answer may take that the engine gets from AWS."""

BRING_S: Final = 20.0
"""How long one call waits for what is being brought."""


class Brought(Change, frozen=True, kw_only=True):
    """What is here now, what is not and why, and what is still coming: to be asked for again."""

    coming: str | None = None
    coming_count: int = 0


def stop(client: Client, array_id: str, *, indexes: str | None, hibernate: bool, dry_run: bool) -> Change:
    """Stop instances that run, and keep their disks. Again: changes nothing."""
    body = msgspec.json.encode({"indexes": indexes, "hibernate": hibernate, "dry_run": dry_run})
    return client.call("POST", array_path(array_id, "stop"), body, Change, silent_s=_ASKING_AWS_S)


def start(client: Client, array_id: str, *, indexes: str | None, dry_run: bool) -> Change:
    """Start instances that are stopped. Again: changes nothing."""
    body = msgspec.json.encode({"indexes": indexes, "dry_run": dry_run})
    return client.call("POST", array_path(array_id, "start"), body, Change, silent_s=_ASKING_AWS_S)


def ends(client: Client, array_id: str, *, indexes: str | None, within_s: float) -> Change:
    """Those whose instances say themselves that they end when they are to; `skipped` are the others, and what they say. Unavailable when AWS is slower."""
    query = {"indexes": indexes, "timeout_s": within_s}
    return client.call("GET", with_query(array_path(array_id, "ends"), query), None, Change, silent_s=within_s)


def bring(
    client: Client, array_id: str, what: Literal["logs", "outputs"], *, indexes: str | None, attempt: int | None = None, within_s: float = BRING_S
) -> Brought:
    """Have logs or outputs brought to this machine, and wait for them so long. Again: only what is new."""
    query = {"what": what, "indexes": indexes, "attempt": attempt, "timeout_s": within_s}
    return client.call("GET", with_query(array_path(array_id, "brought"), query), None, Brought, silent_s=within_s)
