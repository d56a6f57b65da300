"""The journal's events as lines (docs/wire.md). Formatted by hand, because there are three for every attempt."""

from __future__ import annotations

import json
import time

from spored.attempts import Exit


def starting(attempt: str) -> str:
    """From here on this attempt id never starts again."""
    return f'{{"e":"starting","a":"{attempt}","t":{time.time():.6f}}}\n'


def started(attempt: str, pid: int) -> str:
    """The process runs."""
    return f'{{"e":"started","a":"{attempt}","t":{time.time():.6f},"pid":{pid}}}\n'


def refused(attempt: str, reason: str) -> str:
    """The process or the container could not be made."""
    text = json.dumps(reason)
    return f'{{"e":"refused","a":"{attempt}","t":{time.time():.6f},"reason":{text}}}\n'


def completed(attempt: str, status: str, message: str | None) -> str:
    """The script called `spored complete`."""
    return f'{{"e":"completed","a":"{attempt}","t":{time.time():.6f},"status":"{status}","message":{json.dumps(message)}}}\n'


def ended(attempt: str, how: Exit, why: str | None) -> str:
    """The process is gone."""
    code = "null" if how.code is None else how.code
    signal = "null" if how.signal is None else how.signal
    maxrss = "null" if how.maxrss is None else how.maxrss
    reason = "null" if why is None else f'"{why}"'
    user = "null" if how.user is None else f"{how.user:.6f}"
    system = "null" if how.system is None else f"{how.system:.6f}"
    return (
        f'{{"e":"ended","a":"{attempt}","t":{how.at:.6f},"code":{code},"signal":{signal},"user":{user},"system":{system},"maxrss":{maxrss},"why":{reason}}}\n'
    )


def dropped(attempt: str) -> str:
    """It was queued and will never start here."""
    return f'{{"e":"dropped","a":"{attempt}","t":{time.time():.6f}}}\n'


def lost(attempt: str) -> str:
    """Nobody knows how it ended."""
    return f'{{"e":"lost","a":"{attempt}","t":{time.time():.6f}}}\n'


def runner(pid: int, boot: str) -> str:
    """A runner took over."""
    return f'{{"e":"runner","pid":{pid},"boot":{json.dumps(boot)},"t":{time.time():.6f}}}\n'
