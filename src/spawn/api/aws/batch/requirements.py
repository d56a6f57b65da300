"""Consumable resources as jobs and definitions require them: read from requests, and shown in answers (spec 2.12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spawn.api.aws.callers import Caller, name_in
from spawn.domain.errors import InvalidField
from spawn.domain.submission_rules import check_consumables

_FIELD = "consumableResourceList"


def read_consumables(members: Mapping[str, Any] | None) -> dict[str, int]:
    """How much of which resource each child takes, by name. One without a resource or a quantity above 0, or named twice, is refused."""
    taken: dict[str, int] = {}
    for entry in (members or {}).get(_FIELD, ()):
        reference, quantity = entry.get("consumableResource"), entry.get("quantity")
        if not reference or quantity is None:
            raise InvalidField(_FIELD, "an entry has a consumableResource and a quantity")
        name = name_in(reference, "consumable-resource", _FIELD)
        if quantity < 1:
            raise InvalidField(_FIELD, f"a quantity of {quantity} of '{name[:60]}' is not 1 or more")
        if name in taken:
            raise InvalidField(_FIELD, f"'{name[:60]}' is named twice")
        taken[name] = quantity
    check_consumables(taken)
    return taken


def show_consumables(caller: Caller, taken: Mapping[str, int]) -> dict[str, Any] | None:
    """The `consumableResourceProperties` of an answer; None: nothing is taken."""
    if not taken:
        return None
    return {_FIELD: [{"consumableResource": caller.arn(f"consumable-resource/{name}"), "quantity": quantity} for name, quantity in taken.items()]}
