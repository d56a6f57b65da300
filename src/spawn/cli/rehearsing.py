"""`spawn launch --rehearse`: the launch as it would go on EC2, in a laboratory on this machine; nothing is launched and nothing is paid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from itertools import islice
from typing import Final, Protocol

from msgspec.structs import replace

from spawn.cli.following import follow
from spawn.cli.planning import Consent, agreed, submit, unsaid, with_ttl
from spawn.cli.render import costs, data, launched, talk
from spawn.cli.render.data import Output
from spawn.cli.render.terminal import printable
from spawn.cli.render.times import duration
from spawn.cli.waiting import EXIT_DETACHED, EXIT_TIMED_OUT, exit_code, tell, until_settled
from spawn.client import cloud
from spawn.client.client import Client
from spawn.client.objects import Array, Child, FailureGroup, Launched, Member
from spawn.client.submission import Submission
from spawn.domain.errors import ConfigurationError, SpawnError

_MODULE: Final = "spawn.testing.ec2lab.rehearsal"
_LOG_LINES: Final = 10


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


def rehearse(
    submission: Submission, output: Output, timeout_s: float | None, laboratory: Callable[[int], AbstractContextManager[Laboratory]] | None = None
) -> int:
    """Launch in the laboratory, wait until it has settled there, and say what happened and what it would have cost. The exit code of `launch --wait`.

    Ctrl-C ends the rehearsal, and all that runs in it. `laboratory`: for so many machines (default: the one that this package brings).
    """
    calls: Mapping[str, int] = {}
    try:
        with (laboratory or _laboratory())(_machines(submission)) as place:
            for sentence in place.notes:
                talk.note(sentence)
            code = _play(place, submission, output, timeout_s)
        calls = place.calls
    except KeyboardInterrupt:
        talk.say("\nThe rehearsal is ended, and with it all that ran there.")
        code = EXIT_DETACHED
    if calls:
        talk.say("Calls of AWS: " + ", ".join(f"{count} {action}" for action, count in sorted(calls.items(), key=lambda entry: -entry[1])))
    talk.hint("Nothing of it is kept, logs and outputs neither. Change it and rehearse again, or launch it on EC2 without --rehearse.")
    talk.note("this was a rehearsal: nothing was launched, and nothing has to be paid")
    return code


def _play(laboratory: Laboratory, submission: Submission, output: Output, timeout_s: float | None) -> int:
    """The launch, from its plan to its end."""
    client, consent = laboratory.client, Consent(yes=True, confirm_above=math.inf)
    submission = replace(with_ttl(submission, consent), access=dict(laboratory.access))
    plan = agreed(client, submission, consent, output)
    if plan is None:
        return 0
    begun = submit(client, submission, output)
    for sentence in unsaid(begun, plan):
        talk.note(sentence)
    for_people = launched.is_for_people(output)
    if for_people:
        follow(client, begun, plan.instances)
        launched.instances(begun, launched.first_members(client, begun))
        data.flush()
    array = until_settled(client, begun, timeout_s)
    if not for_people:
        launched.record(_as_it_is(client, begun, array, output), output)
    groups = tell(client, array)
    _show_logs(client, array, groups)
    for line in costs.page(*cloud.costs(client, arrays=[array.array_id])):
        talk.say(line)
    if array.settled:
        return exit_code([array])
    talk.say(f"Not settled after {duration(timeout_s)}: it is ended as it is")
    return EXIT_TIMED_OUT


def _as_it_is(client: Client, begun: Launched, array: Array, output: Output) -> Launched:
    """The answer to the launch with what has become of it since."""
    now = {field: getattr(array, field) for field in array.__struct_fields__ if field != "notes"}
    if launched.wants_children(output):
        now["children"] = [
            Child(index=member.index, id=member.id, name=member.name, instance_id=member.instance_id) for member in client.members(array=array.array_id)
        ]
    return replace(begun, **now)


def _show_logs(client: Client, array: Array, groups: Sequence[FailureGroup]) -> None:
    """The end of one log of those that failed, unless it has been shown with why they did, and of one of those that succeeded."""
    is_shown = any(group.example is not None and group.example.log_tail for group in groups)
    for status in ("SUCCEEDED",) if is_shown else ("FAILED", "SUCCEEDED"):
        for member in islice(client.members(array=array.array_id, status=status), 1 if array.counts.get(status) else 0):
            _show_log(client, member)


def _show_log(client: Client, member: Member) -> None:
    try:
        content = client.log(member.id, tail=_LOG_LINES).content
    except SpawnError:
        return  # it never began, or its log was lost with its instance: its reason has been told
    talk.say(f"End of the log of {printable(member.name)}:" if content else f"{printable(member.name)} printed nothing")
    for line in content.decode(errors="replace").splitlines():
        talk.say(f"  {printable(line)}")


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
