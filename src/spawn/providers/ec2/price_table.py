"""The price table shipped with spawn: dated, and for where AWS says nothing. Asks nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from spawn.domain.costs import Price

SHIPPED: Final = "table shipped with spawn"

_TABLE: Final = "prices-2026-01-19.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePrice:
    """US dollars for a GiB-month of gp3, where that was read, and the day it holds for."""

    usd: float
    source: str
    as_of: str


def shipped_price(region: str, type_name: str) -> Price | None:
    """What the table shipped with spawn says; None: nothing."""
    entry = _table().get(region, {})
    usd = entry.get("types", {}).get(type_name)
    return None if usd is None else Price(usd=usd, source=SHIPPED, as_of=entry["as_of"])


def shipped_volume_price(region: str) -> VolumePrice | None:
    """What the table shipped with spawn says for a GiB-month of gp3; None: nothing."""
    entry = _table().get(region)
    return None if entry is None else VolumePrice(usd=entry["gp3"], source=SHIPPED, as_of=entry["as_of"])


@cache
def _table() -> dict[str, Any]:
    regions: dict[str, Any] = json.loads(files("spawn.providers.ec2").joinpath(_TABLE).read_text(encoding="utf-8"))["regions"]
    return regions
