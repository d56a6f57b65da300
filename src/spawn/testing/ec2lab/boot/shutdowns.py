"""What `shutdown` and its kin are asked to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

OFF = "poweroff"
REBOOT = "reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked: the machine's end in so many minutes, that it is forgotten, or when it will be."""

    act: str  #: `end`, `cancel`, `show` or `wall` (words to the users, nothing else)
    how: str = OFF
    minutes: float = 0.0


class BadUsage(ValueError):
    """The command line cannot be understood; the message is what the program says."""


def of_shutdown(words: list[str], now: datetime) -> Request:
    """Understand the words after `shutdown`, as systemd does: without a time it is in a minute."""
    how, act = OFF, "end"
    rest: list[str] = []
    for word in words:
        if word == "--show":
            act = "show"
        elif word in {"--no-wall", "--poweroff", "--halt"}:
            continue
        elif word == "--reboot":
            how = REBOOT
        elif re.fullmatch(r"-[hHPrkct]+", word):
            how = REBOOT if "r" in word else how
            act = "cancel" if "c" in word else "wall" if "k" in word else act
        elif word.startswith("-"):
            raise BadUsage(f"shutdown: unrecognized option '{word}'")
        else:
            rest.append(word)
    if act in {"cancel", "show"}:
        return Request(act=act)
    return Request(act=act, how=how, minutes=_minutes(rest[0], now) if rest else 1.0)


def _minutes(word: str, now: datetime) -> float:
    if word == "now":
        return 0.0
    if re.fullmatch(r"\+\d+", word):
        return float(word[1:])
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", word)
    if clock is None or int(clock[1]) > 23 or int(clock[2]) > 59:
        raise BadUsage(f"Failed to parse time specification: {word}")
    then = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
    if then < now:
        then += timedelta(days=1)
    return (then - now).total_seconds() / 60


def of_poweroff(program: str, words: list[str]) -> Request:
    """Understand `poweroff`, `halt` and `reboot`."""
    for word in words:
        if word not in {"-f", "--force", "-p", "--poweroff", "-w", "--no-wall", "-h", "--halt", "--reboot", "-n", "-d"}:
            raise BadUsage(f"{program}: unrecognized option '{word}'")
    return Request(act="end", how=REBOOT if program == "reboot" or "--reboot" in words else OFF)
