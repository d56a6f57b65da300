"""The stand-ins that end a machine: shutdown, poweroff, halt and reboot."""

from __future__ import annotations

from datetime import UTC, datetime

from spawn.testing.ec2lab.boot import shutdowns
from spawn.testing.ec2lab.boot.answers import Answer, Manager


def handle(manager: Manager, program: str, words: list[str]) -> Answer:
    """Do what one of them was called for."""
    try:
        now = datetime.now().astimezone()
        request = shutdowns.of_shutdown(words, now) if program == "shutdown" else shutdowns.of_poweroff(program, words)
    except shutdowns.BadUsage as error:
        return Answer(code=1, err=f"{error}\n")
    if request.act == "cancel":
        manager.cancel()
        return Answer()
    if request.act == "wall":
        return Answer(err="The system is going down!\n")
    if request.act == "show":
        if manager.scheduled is None:
            return Answer(code=1, err="No scheduled shutdown.\n")
        return Answer(err=_when(*manager.scheduled))
    at = manager.schedule(request)
    return Answer(err=_when(request, at) if request.minutes > 0 else "")


def _when(request: shutdowns.Request, at: float) -> str:
    what = "Reboot" if request.how == shutdowns.REBOOT else "Shutdown"
    then = datetime.fromtimestamp(at, UTC)
    return f"{what} scheduled for {then:%a %Y-%m-%d %H:%M:%S} UTC, use 'shutdown -c' to cancel.\n"
