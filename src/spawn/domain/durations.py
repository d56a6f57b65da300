"""Durations as people write them: `90s`, `30m`, `2h`, `1d12h`; refused when unclear."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from spawn.domain.errors import InvalidField

LONGEST: Final = timedelta(days=3650)
"""The longest duration that is taken: ten years. A longer one is a slip of the finger."""

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]+)([a-z]*)", re.IGNORECASE | re.ASCII)
_EXAMPLES = "write a duration such as 90s, 30m, 2h or 1d12h"


def parse_duration(text: str, *, field: str) -> timedelta:
    """Read whole numbers with the units d, h, m, s, each at most once and the largest first.

    Refused, with the value and an example (InvalidField): a number without unit, other units, 0, signs, and more than ten years.
    """
    text = text.strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidField(field, f"'{text[:60]}' is not a duration: {_EXAMPLES}")
    units = [unit for _, unit in parts]
    if "" in units:
        raise InvalidField(field, _without_unit(text, parts))
    if unknown := next((unit for unit in units if unit not in _UNITS), None):
        raise InvalidField(field, f"'{text[:60]}' has the unit '{unknown[:20]}', which is none of d, h, m, s: {_EXAMPLES}")
    if units != [unit for unit in _UNITS if unit in units]:
        raise InvalidField(field, f"'{text[:60]}' has a unit twice or a smaller one before a larger one: {_EXAMPLES}")
    seconds = sum(_seconds(number, unit) for number, unit in parts)
    if seconds == 0:
        raise InvalidField(field, f"'{text[:60]}' is no time at all: {_EXAMPLES}")
    if seconds > LONGEST.total_seconds():
        raise InvalidField(field, f"'{text[:60]}' is longer than ten years ({LONGEST.days}d): {_EXAMPLES}")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, in whole seconds, rounded down: `1d12h`, `90s` as `1m30s`, nothing as `0s`."""
    seconds = int(abs(duration).total_seconds())
    text = ""
    for unit, length in _UNITS.items():
        count, seconds = divmod(seconds, length)
        text += f"{count}{unit}" if count else ""
    return f"-{text}" if text and duration < timedelta() else text or "0s"


def _seconds(number: str, unit: str) -> int:
    # a number of more than twelve digits is far beyond the longest duration in every unit
    return int(number[-12:] if len(number.lstrip("0")) <= 12 else "9" * 12) * _UNITS[unit]


def _without_unit(text: str, parts: list[tuple[str, str]]) -> str:
    if len(parts) == 1:
        number = parts[0][0][:20]
        return f"'{number}' is no time at all: {_EXAMPLES}" if not number.strip("0") else f"'{number}' has no unit: write {number}s, {number}m or {number}h"
    return f"'{text[:60]}' has a number without a unit: {_EXAMPLES}"
