"""`spawn launch --rehearse`: the launch as it would go on EC2, in a laboratory on this machine; nothing is launched and nothing is paid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Final, Protocol

from msgspec.structs import replace

from spawn.cli.planning import Consent, launch_on_ec2, with_ttl
from spawn.cli.render import costs, talk
from spawn.cli.render.data import Output
from spawn.cli.waiting import wait_for_launched
from spawn.client import cloud
from spawn.client.client import Client
from spawn.client.submission import Submission
from spawn.domain.errors import ConfigurationError

_MODULE: Final = "spawn.testing.ec2lab.rehearsal"


class Laboratory(Protocol):
    """An engine of its own and an EC2 of its own; both end, with all that runs there, when the context is left."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on how it differs from EC2."""

    @property
    def calls(self) -> Mapping[str, int]:
        """The API calls that were made, by action; known when the context has been left."""

    @property
    def client(self) -> Client:
        """The engine."""

    @property
    def access(self) -> Mapping[str, str]:
        """The AWS variables by which the laboratory is reached."""


def rehearse(submission: Submission, output: Output, timeout_s: float | None) -> int:
    """Launch in the laboratory, wait until it has settled there, and say what happened and what it would have cost. The exit code of `launch --wait`."""
    consent = Consent(yes=True, confirm_above=math.inf)
    with _laboratory()(_machines(submission)) as laboratory:
        client = laboratory.client
        for sentence in laboratory.notes:
            talk.note(sentence)
        array = launch_on_ec2(client, replace(with_ttl(submission, consent), access=dict(laboratory.access)), consent, output)
        if array is None:
            code = 0
        else:
            for sentence in array.notes:
                talk.note(sentence)
            code = wait_for_launched(client, array, output, timeout_s)
            for line in costs.page(*cloud.costs(client, arrays=[array.array_id])):
                talk.say(line)
    if laboratory.calls:
        talk.say("Calls of AWS: " + ", ".join(f"{count} {action}" for action, count in sorted(laboratory.calls.items(), key=lambda entry: -entry[1])))
    talk.note("this was a rehearsal: nothing was launched, and nothing has to be paid")
    return code


def _machines(submission: Submission) -> int:
    """How many instances it would launch at most."""
    from spawn.domain.indexes import IndexSet

    children = 1 if submission.indexes is None else len(IndexSet.parse(submission.indexes)[0])
    shared = submission.cloud.get("instances")
    return min(children, shared) if isinstance(shared, int) else children


def _laboratory() -> Callable[[int], AbstractContextManager[Laboratory]]:
    try:
        module = import_module(_MODULE)
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"--rehearse needs the laboratory, which is not installed ({missing.name} is missing): pip install 'spawn-arrays[rehearse]'"
        ) from missing
    found: Callable[[int], AbstractContextManager[Laboratory]] = module.laboratory
    return found
