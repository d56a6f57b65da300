"""Amounts of money and of time on the bill, for people."""

from __future__ import annotations

from spawn.client.estimates import Price


def dollars(usd: float | None) -> str:
    """`$17.50`, `$1,234.00`, `$0.0026`; `-` when unknown."""
    if usd is None:
        return "-"
    if 0 < usd < 0.0001:
        return "<$0.0001"
    return f"${usd:.4f}" if 0 < usd < 0.01 else f"${usd:,.2f}"


def hourly(usd: float) -> str:
    """A price an hour, with as many digits as it has, four or six at most: `$0.0104/hour`, `$0.10/hour`."""
    text = f"{usd:.4f}" if usd >= 0.001 else f"{usd:.6f}"
    whole, _, digits = text.partition(".")
    return f"${whole}.{digits[:2]}{digits[2:].rstrip('0')}/hour"


def span(hours: float) -> str:
    """`30 minutes`, `1 hour`, `2.5 hours`, `90 seconds`."""
    seconds = round(hours * 3600)
    if seconds % 3600 and seconds < 7200:
        return _many(seconds // 60, "minute") if seconds % 60 == 0 else _many(seconds, "second") if seconds < 120 else f"{seconds / 60:.1f} minutes"
    return _many(seconds // 3600, "hour") if seconds % 3600 == 0 else f"{hours:,.2f}".rstrip("0").rstrip(".") + " hours"


def _many(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def origin(price: Price) -> str:
    """Where a price is from, and of which day."""
    return f"{price.source}, {price.as_of}"


def saving(cheap: float, dear: float) -> int:
    """By how many percent the first is less than the second."""
    return round(100 * (1 - cheap / dear)) if dear else 0
