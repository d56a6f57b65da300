"""What of a launch can be refused without asking AWS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from spawn.domain.durations import format_duration
from spawn.domain.errors import InvalidField
from spawn.domain.fleets import LONGEST_LIFE
from spawn.engine.fleets import Wish
from spawn.providers.ec2.policies import parse_policies

MAX_WORK: Final = 5 * 1024 * 1024
"""Most bytes of script and environment; beyond them a bucket or an image is the better way to an instance."""

TAGS: Final = 50
OURS: Final = 10
"""Tags that a resource may have, and how many of them are kept for spawn's own (`spawn:…` and Name)."""

SHORT_LIFE: Final = timedelta(minutes=3)
"""A TTL below this is taken, and remarked upon."""

_LONGEST_NAME: Final = 255
_LONGEST_KEY: Final = 127
_LONGEST_VALUE: Final = 255


def check_wish(wish: Wish) -> tuple[str, ...]:
    """Refuse what EC2 would refuse for any account, with the offending value; what is left to say about the rest."""
    _check_name(wish)
    check_tags(wish.tags)
    if wish.work_bytes > MAX_WORK:
        size = f"{wish.work_bytes / 1024 / 1024:.1f} MiB"
        raise InvalidField(
            "--user-data", f"script and environment have {size}, and at most 5 MiB can be sent: put data into a bucket and let the script fetch it"
        )
    options = wish.options
    if options.iam_policies and options.instance_profile:
        raise InvalidField(
            "--iam-policy", f"the instance profile '{options.instance_profile}' is used as it is: add the policies to its role, or leave one of the two out"
        )
    if options.instances is not None and options.instances > wish.children:
        raise InvalidField("--instances", f"{options.instances} instances for {wish.children} indexes: at most one for each")
    if options.budget_usd is not None and wish.ttl is None:
        raise InvalidField("--budget", "without a TTL nothing limits what instances cost: give --ttl")
    if options.spot_max_price is not None and options.spot_max_price <= 0:
        raise InvalidField("--spot-max-price", f"{options.spot_max_price:g} is not more than 0: it is in US dollars an hour")
    return (*parse_policies(options.iam_policies).warnings, *_remarks(wish))


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that EC2 does not take, or that are spawn's own."""
    if len(tags) > TAGS - OURS:
        over = len(tags) - (TAGS - OURS)
        raise InvalidField("--tag", f"{len(tags)} tags: EC2 takes {TAGS} for a resource, {OURS} of which are spawn's own: leave out {over}")
    for key, value in tags.items():
        if not key or len(key) > _LONGEST_KEY:
            raise InvalidField("--tag", f"'{key[:60]}' has {len(key)} characters: EC2 takes 1 to {_LONGEST_KEY} for the name of a tag")
        if key.lower().startswith(("aws:", "spawn:")) or key == "Name":
            whose = "instances are named by --name" if key == "Name" else f"tags that begin with '{key.partition(':')[0]}:' are reserved"
            raise InvalidField("--tag", f"'{key[:60]}' cannot be given: {whose}")
        if len(value) > _LONGEST_VALUE:
            raise InvalidField("--tag", f"the value of '{key[:60]}' has {len(value)} characters: EC2 takes at most {_LONGEST_VALUE}")


def _check_name(wish: Wish) -> None:
    room = _LONGEST_NAME - 1 - len(str(wish.children))
    if len(wish.name) > room:
        raise InvalidField("--name", f"'{wish.name[:30]}…' has {len(wish.name)} characters: instances are named NAME-INDEX, for which EC2 leaves {room}")


def _remarks(wish: Wish) -> list[str]:
    remarks = []
    if wish.ttl is None:
        remarks.append("no TTL: an instance whose agent or script hangs is billed until somebody ends it (spawn terminate, spawn cleanup)")
    elif wish.ttl > LONGEST_LIFE:
        raise InvalidField("--ttl", f"{format_duration(wish.ttl)} is longer than a year: an instance cannot schedule its end so far ahead")
    elif wish.ttl < SHORT_LIFE:
        remarks.append(
            f"a TTL of {format_duration(wish.ttl)} leaves little or no time for work: booting takes a minute, and what runs is stopped in time before the end"
        )
    if wish.options.spot and not wish.options.on_demand_fallback:
        remarks.append("spot without --on-demand-fallback: while no zone has spot capacity, indexes wait")
    return remarks
