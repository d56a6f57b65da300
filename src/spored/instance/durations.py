"""Durations as people write them."""

from __future__ import annotations

import re

from spored.errors import USAGE, SporedError

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
LONGEST_S = 10 * 365 * 86400


def duration_of(text: str) -> float:
    """Seconds: `90s`, `30m`, `2h`, `1d12h`. Refused: a number without a unit, units out of order, nothing, and more than ten years."""
    match = _FORM.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise SporedError(f"{text!r} is no duration: write 90s, 30m, 2h or 1d12h", USAGE)
    total = sum(int(number) * seconds for number, seconds in zip(match.groups(), _UNITS.values()) if number)
    if not 0 < total <= LONGEST_S:
        raise SporedError(f"a duration must be longer than 0 s and at most ten years, not {text!r}", USAGE)
    return float(total)


def shown(seconds: float) -> str:
    """The same in words that `duration_of` takes, to the second."""
    left, words = round(seconds), []
    for unit, size in _UNITS.items():
        number, left = divmod(left, size)
        if number:
            words.append(f"{number}{unit}")
    return "".join(words) or "0s"
