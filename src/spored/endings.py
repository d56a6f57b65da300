"""How an attempt ended, as the journal says it."""

from __future__ import annotations

from spored import cgroups
from spored.attempts import Attempt, Exit


def exit_of_attempt(attempt: Attempt, how: Exit) -> Exit:
    """How it ended, of which `how` is the end of its first process: in a container, that is only its supervisor, whose own CPU time is nobody's business."""
    if attempt.placement.engine is None:
        return how
    if attempt.verdict is None or attempt.verdict.code is None:
        return how._replace(user=None, system=None, maxrss=None)
    return how._replace(code=attempt.verdict.code, signal=None, user=None, system=None, maxrss=None)


def why(attempt: Attempt, how: Exit) -> str | None:
    """Why it did not end by itself, if it did not."""
    if attempt.why is None and how.code != 0:
        group = attempt.cgroup is not None and cgroups.had_oom_kill(attempt.cgroup)
        if group or (attempt.verdict is not None and attempt.verdict.oom):
            return "oom"
    return attempt.why
