"""Points in time as whole milliseconds since the epoch, UTC: what AWS Batch shows and what the store keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NewType

Instant = NewType("Instant", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""


def from_seconds(seconds: float) -> Instant:
    """The instant of a clock reading in seconds, as `time.time()` gives it."""
    return Instant(round(seconds * 1000))


def later(at: Instant, by: timedelta) -> Instant:
    """The instant `by` after `at`."""
    return Instant(at + round(by.total_seconds() * 1000))


def to_datetime(at: Instant) -> datetime:
    """The same instant as an aware datetime."""
    return datetime.fromtimestamp(at / 1000, UTC)


def iso(at: Instant | None) -> str | None:
    """The instant as `2026-01-27T10:00:00.123Z`, None for None."""
    if at is None:
        return None
    return f"{to_datetime(at):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"
