"""What the user of a launch on EC2 should know before it is made: what costs without working, and what has no effect."""

from __future__ import annotations

from datetime import timedelta

from spawn.domain.durations import format_duration
from spawn.domain.instances import Lifetime, OnComplete
from spawn.engine.submission import WAITING, Submission, lifetime_of


def advice(submission: Submission) -> tuple[str, ...]:
    """Sentences."""
    lifetime = lifetime_of(submission)
    return (*_living_on(submission, lifetime), *_without_effect(submission, lifetime))


def _living_on(submission: Submission, lifetime: Lifetime) -> list[str]:
    """Only for who did not say what becomes of the instances, and does not want them to wait for him."""
    waits = submission.command is None and submission.script in (None, WAITING)
    if submission.on_complete is not None or lifetime.on_complete is not OnComplete.NONE or waits:
        return []
    until = "somebody ends them" if lifetime.ttl is None else f"their TTL of {format_duration(lifetime.ttl)}"
    if lifetime.idle is not None:
        until = f"they were idle for {format_duration(lifetime.idle)}"
    return [f"when their work is done the instances stay, and cost, until {until}: --on-complete terminate ends them with it"]


def _without_effect(submission: Submission, lifetime: Lifetime) -> list[str]:
    if lifetime.ttl is None:
        return []
    ttl, found = format_duration(lifetime.ttl), []
    for name, seconds in (("--timeout", submission.timeout_s), ("--idle-timeout", submission.idle_s)):
        if seconds is not None and seconds >= lifetime.ttl.total_seconds():
            found.append(f"{name} {format_duration(timedelta(seconds=seconds))} has no effect: the instances end after their TTL of {ttl}")
    if submission.grace_s is not None and submission.grace_s * 2 > lifetime.ttl.total_seconds():
        grace = format_duration(timedelta(seconds=submission.grace_s))
        found.append(f"--grace {grace} is cut short where the TTL of {ttl} ends what runs: half of it is left for that at most")
    return found
