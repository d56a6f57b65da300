"""What the launch says that this instance has to do: `launch.json` of docs/wire-ec2.md, read and checked once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spored.errors import UNAVAILABLE, USAGE, BadMessage, SporedError
from spored.messages import key_of
from spored.specs import Spec, count, member, parse_spec, seconds

WIRE = 1
"""Version of what the engine and an instance say to each other."""
ON_COMPLETE = ("terminate", "stop", "hibernate", "none")
_MOST_ATTEMPTS = 10_000_000


@dataclass(frozen=True)
class Assignment:
    """One attempt that somebody has to run."""

    position: int
    index: int
    attempt: int

    def id(self, key: str) -> str:
        """The attempt id."""
        return f"{key}:{self.position}:{self.attempt}"

    @property
    def child(self) -> tuple[int, int, int]:
        """As the runner is told of it."""
        return self.position, self.index, self.attempt


class Every(NamedTuple):
    """How often things are done, in seconds."""

    upload_s: float
    control_s: float
    beat_s: float
    notice_s: float


@dataclass(frozen=True)
class Launch:
    """What one launch says to all of its instances. `spec` is passed on to the runner as it came; `checked` is what it means."""

    array: str
    key: str
    token: str
    members: tuple[tuple[tuple[int, int, int, int, int], ...], ...]
    pool: str | None
    slots: int
    spec: dict[str, Any] = field(repr=False)
    checked: Spec = field(repr=False)
    bucket: str
    region: str
    prefix: str
    endpoints: dict[str, str | None]
    ttl_s: float | None
    idle_s: float | None
    on_complete: str
    spot: bool
    every: Every

    def assignments(self, launch_index: int) -> list[Assignment]:
        """What the instance with this number has to do. SporedError when the launch has nothing under that number: nobody guesses an index."""
        if not 0 <= launch_index < len(self.members):
            raise SporedError(f"launch index {launch_index} has no entry in members, which has {len(self.members)}", USAGE)
        return list(_unrolled(self.members[launch_index]))


def _unrolled(runs: tuple[tuple[int, int, int, int, int], ...]) -> Iterator[Assignment]:
    for position, index, attempt, number, step in runs:
        for nth in range(number):
            yield Assignment(position + nth, index + nth * step, attempt)


def read_launch(path: str) -> Launch:
    """The launch in a file. SporedError with the reason when it cannot be read or is not understood."""
    try:
        with open(path, encoding="utf-8") as file:
            message = json.load(file)
    except OSError as error:
        raise SporedError(f"{path} cannot be read: {error.strerror}", UNAVAILABLE) from error
    except ValueError as error:
        raise SporedError(f"{path} is not JSON: {error}", USAGE) from None
    try:
        return parse_launch(message)
    except BadMessage as error:
        raise SporedError(f"{path} is not understood: {error}", USAGE) from None


def parse_launch(message: Any) -> Launch:
    """A launch from the wire. Members it does not know are passed over."""
    if not isinstance(message, dict):
        raise BadMessage("a launch must be a JSON object")
    if message.get("wire") != WIRE:
        raise BadMessage(f"it speaks wire {message.get('wire')!r}, this agent wire {WIRE}")
    spec = member(message, "spec", dict)
    return Launch(
        array=member(message, "array", str),
        key=key_of(message),
        token=member(message, "token", str),
        members=_members(message),
        pool=None if message.get("pool") is None else _url(message, "pool"),
        slots=count(message, "slots"),
        spec=spec,
        checked=parse_spec(spec),
        bucket=_word(message, "bucket"),
        region=_word(message, "region"),
        prefix=_prefix(message),
        endpoints=_endpoints(message),
        ttl_s=None if message.get("ttl_s") is None else seconds(message, "ttl_s"),
        idle_s=None if message.get("idle_s") is None else seconds(message, "idle_s"),
        on_complete=_one_of(message, "on_complete", ON_COMPLETE),
        spot=member(message, "spot", bool),
        every=_every(member(message, "every", dict)),
    )


def _members(message: dict[str, Any]) -> tuple[tuple[tuple[int, int, int, int, int], ...], ...]:
    members = []
    for runs in member(message, "members", list):
        if not isinstance(runs, list) or not all(_is_run(run) for run in runs):
            raise BadMessage(f"members must hold lists of [position, index, attempt, count, step], not {str(runs)[:60]}")
        if sum(run[3] for run in runs) > _MOST_ATTEMPTS:
            raise BadMessage(f"members gives one instance more than {_MOST_ATTEMPTS:,} attempts")
        members.append(tuple((run[0], run[1], run[2], run[3], run[4]) for run in runs))
    return tuple(members)


def _is_run(run: object) -> bool:
    if not isinstance(run, list) or len(run) != 5 or any(type(number) is not int for number in run):
        return False
    position, index, attempt, number, step = run
    return bool(position >= 0 and index >= 0 and attempt >= 1 and number >= 1 and (step >= 1 or number == 1))


def assignment_of(message: object) -> Assignment:
    """One attempt as a message of a pool's queue names it. BadMessage when it does not: it must not be run."""
    if not isinstance(message, dict):
        raise BadMessage("the message must be a JSON object")
    assignment = Assignment(count(message, "position"), count(message, "index"), count(message, "attempt"))
    if assignment.attempt < 1:
        raise BadMessage("attempt must be at least 1, not 0")
    return assignment


def _word(message: dict[str, Any], name: str) -> str:
    value = member(message, name, str)
    if not value:
        raise BadMessage(f"{name} must not be empty")
    return value


def _prefix(message: dict[str, Any]) -> str:
    prefix = _word(message, "prefix")
    if prefix.startswith("/") or not prefix.endswith("/"):
        raise BadMessage(f"prefix must end with / and not begin with it, not {prefix!r}")
    return prefix


def _url(message: dict[str, Any], name: str) -> str:
    value = _word(message, name)
    if not value.startswith(("http://", "https://")):
        raise BadMessage(f"{name} must be a URL, not {value!r}")
    return value


def _endpoints(message: dict[str, Any]) -> dict[str, str | None]:
    endpoints = member(message, "endpoints", dict)
    return {name: None if endpoints.get(name) is None else _url(endpoints, name).rstrip("/") for name in ("s3", "sqs", "ec2")}


def _one_of(message: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = member(message, name, str)
    if value not in choices:
        raise BadMessage(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _every(message: dict[str, Any]) -> Every:
    every = Every(*(seconds(message, name, "every.") for name in Every._fields))
    if min(every) <= 0:
        raise BadMessage("every: no pause may be 0")
    return every
