"""The calls about EC2 and about money, one function each (docs/api.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from spawn.client.client import Client
from spawn.client.estimates import Cost, Plan
from spawn.client.leftovers import Sweep
from spawn.client.objects import Array
from spawn.client.paths import with_query
from spawn.client.submission import Submission

SLOW_ANSWER_S: Final = 90.0
"""How much longer an answer may take that the engine gets from AWS, which throttles and is asked again."""

LONG_ANSWER_S: Final = 900.0
"""The same for what reads thousands of objects, or looks through every region."""


def plan(client: Client, submission: Submission, *, on_silence: Callable[[], None] | None = None) -> Plan:
    """What launching this on EC2 would take and cost; nothing is made. `on_silence` is called when no answer has come after 3 s."""
    return client.call("POST", "/v1/plans", msgspec.json.encode(submission), Plan, silent_s=SLOW_ANSWER_S, on_silence=on_silence)


def costs(client: Client, *, arrays: Sequence[str] = (), tags: Sequence[str] = (), by: str | None = None) -> list[Cost]:
    """What arrays have cost so far and will have at their end: those named, or all that carry these tags, newest first."""

    class Costs(msgspec.Struct):
        arrays: list[Cost]

    return client.call("GET", with_query("/v1/costs", {"array": arrays, "tag": tags, "by": by}), None, Costs).arrays


def cleanup(client: Client, *, regions: Sequence[str], access: Mapping[str, str], dry_run: bool, within_s: float = LONG_ANSWER_S) -> Sweep:
    """What of ours has outlived its end in an account; without `dry_run` it is removed. Again: what is left."""
    body = {"regions": regions, "access": access, "dry_run": dry_run}
    return client.call("POST", "/v1/cleanup", msgspec.json.encode(body), Sweep, silent_s=within_s)


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """Whose access was renewed."""

    account: str
    arrays: list[str]


def renew(client: Client, *, access: Mapping[str, str]) -> Renewed:
    """Give the engine another access for arrays whose own is not accepted any more. Again: none is left."""
    return client.call("POST", "/v1/access", msgspec.json.encode({"access": access}), Renewed, silent_s=SLOW_ANSWER_S)


def adopt(client: Client, array_id: str, *, bucket: str | None, access: Mapping[str, str]) -> Array:
    """Take over an array that was launched elsewhere; Conflict when it is here already."""
    body = {"array_id": array_id, "bucket": bucket, "access": access}
    return client.call("POST", "/v1/adopt", msgspec.json.encode(body), Array, silent_s=LONG_ANSWER_S)
