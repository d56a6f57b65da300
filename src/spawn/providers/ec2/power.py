"""Starting and stopping instances that are there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

from spawn.domain.errors import ConfigurationError, SpawnError, Unavailable
from spawn.domain.fleets import InstanceFacts
from spawn.providers.ec2.asking import patiently
from spawn.providers.ec2.clients import Clients

_A_CALL: Final = 100


def power(clients: Clients, facts: Mapping[int, InstanceFacts], positions: Collection[int], *, on: bool, hibernate: bool) -> dict[int, str]:
    """Start or stop the instances of these children; by position, why where it could not be done. Started or stopped already: nothing."""
    failed = {position: "it has no instance that is known" for position in positions if position not in facts}
    by_region: dict[str, dict[str, list[int]]] = {}
    for position in positions:
        if position in facts:
            by_region.setdefault(facts[position].region, {}).setdefault(facts[position].instance_id, []).append(position)
    for region, owners in by_region.items():
        ec2, ids = clients.client("ec2", region), sorted(owners)
        call = ec2.start_instances if on else partial(ec2.stop_instances, Hibernate=hibernate)
        action = f"{'start' if on else 'hibernate' if hibernate else 'stop'} instances in {region}"
        for at in range(0, len(ids), _A_CALL):
            refused = _each(call, ids[at : at + _A_CALL], action)
            failed |= {position: why for instance, why in refused.items() for position in owners[instance]}
    return failed


def _each(call: Callable[..., Any], ids: Sequence[str], action: str) -> dict[str, str]:
    """Why which of these could not be done: EC2 refuses a call as a whole for one instance that it cannot do."""
    try:
        patiently(partial(call, InstanceIds=list(ids)), action=action)
    except SpawnError as error:
        if len(ids) == 1 or isinstance(error, (ConfigurationError, Unavailable)):
            return dict.fromkeys(ids, str(error))
        half = len(ids) // 2
        return _each(call, ids[:half], action) | _each(call, ids[half:], action)
    return {}
