"""Times and durations, for people."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """At most two units: `45s`, `3m12s`, `2h05m`, `3d4h`; `-` when unknown."""
    if seconds is None:
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def between(start: str | None, end: str | None) -> float | None:
    """Seconds from one time of the API to another, or to now; None before the start."""
    if start is None:
        return None
    from datetime import UTC, datetime

    return ((datetime.fromisoformat(end) if end else datetime.now(UTC)) - datetime.fromisoformat(start)).total_seconds()


def size(count: float) -> str:
    """Bytes: `512 B`, `1.5 KiB`, `3.2 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
