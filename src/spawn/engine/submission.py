"""From what a client asks to a job: read every value, look up what it depends on, and only then make anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Final

import msgspec

from spawn.domain.dependencies import Dependency, Target, parse_depends_on, resolve
from spawn.domain.durations import format_duration
from spawn.domain.errors import InvalidField, UsageError
from spawn.domain.fleets import DEFAULT_TTL, Fleet, FleetOptions, refuse_contradictions
from spawn.domain.ids import ArrayKey, JobId
from spawn.domain.indexes import IndexSet
from spawn.domain.instances import KEPT, Lifetime, OnComplete
from spawn.domain.instants import Instant
from spawn.domain.jobs import Demand, Job, Work
from spawn.domain.quantities import parse_share
from spawn.domain.queues import DEFAULT_QUEUE, EC2, EC2_PLACE, LOCAL
from spawn.domain.retries import RetryStrategy, parse_retry_rule
from spawn.domain.scheduling import Capacity
from spawn.domain.submission_rules import check_launch_name, check_own_tags

GRACE_S: Final = 30.0
"""Seconds between SIGTERM and SIGKILL, unless said otherwise (spec 2.7)."""

LONGEST_S: Final = 10 * 365 * 86_400.0
"""Longest duration that is taken: ten years."""

UMASK: Final = 0o022
"""The children's file mode creation mask when the client sends none."""

WAITING: Final = "#!/bin/sh\nexit 0\n"
"""What runs when neither a script nor a command was given: nothing, on an instance that lives on."""

NAME_WITHOUT_ONE: Final = "job"
"""What a single script is called that was given no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What `POST /v1/arrays` takes; docs/api.md says what each member means."""

    name: str | None = None
    indexes: str | None = None
    max_concurrent: int | None = None
    script: str | None = field(default=None, repr=False)
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    workdir: str | None = None
    ttl_s: float | None = None
    timeout_s: float | None = None
    on_complete: str | None = None
    retries: int = 0
    retry_on: tuple[str, ...] = ()
    max_failures: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory_mib: int | None = None
    private_tmp: bool | None = None
    depends_on: tuple[Mapping[str, str | None], ...] = ()
    sequential: bool = False
    cloud: Mapping[str, object] = field(default_factory=dict)
    compat_env: bool = True
    umask: int | None = None
    grace_s: float | None = None
    provider: str = LOCAL
    no_ttl: bool = False
    idle_s: float | None = None
    access: Mapping[str, str] = field(default_factory=dict, repr=False)
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a submission is read against: the provider's capacity and abilities, and the jobs that it may depend on."""

    capacity: Capacity
    features: Mapping[str, str | None]
    targets: Mapping[JobId, Target]
    fleet: Fleet | None = None  #: where it runs on EC2


def dependencies_of(submission: Submission) -> tuple[Dependency, ...]:
    """The dependencies as asked; the ids may still be prefixes or names."""
    for entry in submission.depends_on:
        if not entry.get("id"):
            raise InvalidField("--depends-on", "an entry names no array")
    parsed = [parse_depends_on(f"{entry['id']}:{entry['type']}" if entry.get("type") else str(entry["id"])) for entry in submission.depends_on]
    return tuple(parsed)


def make_job(
    submission: Submission, depends_on: tuple[Dependency, ...], around: Surroundings, *, job: JobId, key: ArrayKey, at: Instant
) -> tuple[Job, tuple[str, ...]]:
    """The job that a submission describes, and sentences for its user; raises UsageError or Conflict before anything is made."""
    _check_plain_values(submission)
    indexes = None if submission.indexes is None else IndexSet.parse(submission.indexes)[0]
    waits = resolve(depends_on, targets=around.targets, indexes=indexes, accept_failed=False)
    demand = _demand(submission, around.capacity)
    private_tmp, notes = _private_tmp(submission, around.features) if around.fleet is None else (False, ())
    if around.fleet is None and submission.memory_mib and (why := around.features["memory_limit"]):
        notes += (f"--memory is used for placement, but not enforced: {why}",)
    made = Job(
        id=job,
        key=key,
        name=name_of(submission),
        queue=DEFAULT_QUEUE if around.fleet is None else EC2_PLACE,
        indexes=indexes,
        work=_work(submission, private_tmp, elsewhere=around.fleet is not None),
        demand=demand,
        retry=RetryStrategy.for_launch(retries=submission.retries, rules=tuple(parse_retry_rule(text) for text in submission.retry_on)),
        timeout=_seconds("--timeout", submission.timeout_s),
        lifetime=lifetime_of(submission),
        grace=timedelta(seconds=GRACE_S if submission.grace_s is None else submission.grace_s),
        max_failures=None if submission.max_failures is None else parse_share(submission.max_failures),
        tags=_tags(submission),
        depends_on=depends_on,
        waits=waits,
        cloud=submission.cloud,
        created_at=at,
        fleet=around.fleet,
    )
    return made, notes


def _check_plain_values(submission: Submission) -> None:
    """What the CLI never sends wrongly, but another client may: nothing of it may reach the runner, or fail a turn that is others', too."""
    for field_name, seconds in (("--ttl", submission.ttl_s), ("--timeout", submission.timeout_s), ("--grace", submission.grace_s)):
        if seconds is not None and not 0 <= seconds <= LONGEST_S:
            raise InvalidField(field_name, f"{seconds:g} s is not between 0 and ten years")
    if submission.workdir is not None and not submission.workdir.startswith("/"):
        raise InvalidField("--workdir", f"'{submission.workdir}' is not an absolute path")
    if submission.memory_mib is not None and submission.memory_mib < 1:
        raise InvalidField("--memory", f"{submission.memory_mib} MiB is not 1 or more")
    if submission.umask is not None and not 0 <= submission.umask <= 0o777:
        raise InvalidField("umask", f"{submission.umask} is not between 0 and 511")
    variables = {**submission.environment, **submission.env}
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise InvalidField("--env", f"'{name[:60]}' cannot be a variable of a process")
    if any("\0" in word for word in (submission.workdir or "", submission.script or "", *(submission.command or ()))):
        raise UsageError("a path, script or command holds a NUL character, which no process can be given")


def name_of(submission: Submission) -> str:
    """What the job is called: the name given, or one made from its command."""
    if submission.name is not None:
        check_launch_name(submission.name)
        return submission.name
    if submission.command:
        base = submission.command[0].rsplit("/", 1)[-1]
        return "".join(char if char.isalnum() or char in "-_." else "-" for char in base).strip("-_.")[:64] or NAME_WITHOUT_ONE
    return NAME_WITHOUT_ONE if submission.indexes is None else "array"


def _tags(submission: Submission) -> dict[str, str]:
    check_own_tags(submission.tags)
    return dict(submission.tags)


def _work(submission: Submission, private_tmp: bool, *, elsewhere: bool) -> Work:
    """`elsewhere`: it runs on another machine, to which nothing of this shell's environment or directories goes that was not named."""
    if submission.script is not None and not submission.script.startswith("#!"):
        raise InvalidField("--user-data", "the script has no '#!' line: begin it with one, such as #!/bin/bash")
    if submission.script is not None and submission.command is not None:
        raise UsageError("--user-data and a command after -- were both given: give one of them")
    script = WAITING if submission.script is None and submission.command is None else submission.script
    if submission.command is not None and not submission.command:
        raise UsageError("the command after -- is empty")
    return Work(
        script=script,
        command=submission.command,
        environment=dict(submission.env) if elsewhere else {**submission.environment, **submission.env},
        given=tuple(submission.env),
        workdir=submission.workdir or ("" if elsewhere else "/"),
        private_tmp=private_tmp,
        compat_env=submission.compat_env,
        umask=UMASK if submission.umask is None else submission.umask & 0o777,
    )


def _private_tmp(submission: Submission, features: Mapping[str, str | None]) -> tuple[bool, tuple[str, ...]]:
    wanted = submission.private_tmp if submission.private_tmp is not None else submission.command is None
    if not wanted:
        return False, ()
    if why := features["private_tmp"]:
        return False, (f"the children share /tmp: a private one cannot be had here ({why})",)
    if submission.workdir == "/tmp":
        return True, ("each child has a /tmp of its own: files of this working directory, /tmp, are not seen there (--no-private-tmp shares it)",)
    return True, ()


def _demand(submission: Submission, capacity: Capacity) -> Demand:
    cpus = 1.0 if submission.cpus is None else submission.cpus
    if not 0 < cpus <= 1_000_000:
        raise InvalidField("--cpus", f"{cpus:g} is not above 0")
    demand = Demand(cpus=round(cpus * 1000), memory=submission.memory_mib or 0)
    if demand.cpus < 1:
        raise InvalidField("--cpus", f"{cpus:g} is less than a thousandth of a vCPU")
    if demand.cpus > capacity.cpus:
        raise InvalidField("--cpus", f"{cpus:g} is more than the {capacity.cpus / 1000:g} vCPUs of this machine")
    if demand.memory > capacity.memory:
        raise InvalidField("--memory", f"{demand.memory} MiB is more than the {capacity.memory} MiB of this machine")
    if submission.max_concurrent is not None and submission.max_concurrent < 1:
        raise InvalidField("--max-concurrent", f"{submission.max_concurrent} is not 1 or more")
    return demand


def lifetime_of(submission: Submission) -> Lifetime:
    """When its instances end. On EC2 there is a TTL unless `no_ttl` says otherwise, and no end without one; here a kept one ends a day after its attempt."""
    default = OnComplete.TERMINATE if submission.command is not None else OnComplete.NONE
    on_complete = default if submission.on_complete is None else OnComplete.parse(_on_complete(submission))
    ttl, idle = _seconds("--ttl", submission.ttl_s), _seconds("--idle-timeout", submission.idle_s)
    if submission.provider != EC2:
        return Lifetime(ttl=ttl, idle=idle or (None if ttl else KEPT), on_complete=on_complete)
    if submission.no_ttl and ttl is not None:
        raise UsageError("--ttl and --no-ttl were both given: give one of them")
    return Lifetime(ttl=None if submission.no_ttl else ttl or DEFAULT_TTL, idle=idle, on_complete=on_complete)


def _on_complete(submission: Submission) -> str:
    """`hibernate` is a way to stop that only EC2 knows; the fleet's options tell."""
    hibernates = submission.provider == EC2 and submission.on_complete == "hibernate"
    return OnComplete.STOP.value if hibernates else submission.on_complete or ""


def fleet_options(submission: Submission) -> FleetOptions:
    """What the `cloud` members of a submission ask of EC2; raises InvalidField for an unknown one or a wrong type."""
    known = {f.name for f in fields(FleetOptions)} - {"hibernate"}
    if unknown := sorted(set(submission.cloud) - known):
        raise InvalidField("cloud", f"'{unknown[0][:60]}' is not known: {', '.join(sorted(known))}")
    try:
        options = msgspec.convert(dict(submission.cloud), FleetOptions, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidField("cloud", str(error)) from error
    refuse_contradictions(submission.cloud, submission.on_complete)
    return replace(options, hibernate=submission.on_complete == "hibernate")


def _seconds(field_name: str, seconds: float | None) -> timedelta | None:
    if seconds is None:
        return None
    if seconds <= 0:
        raise InvalidField(field_name, f"{format_duration(timedelta(seconds=seconds))} is not above 0")
    return timedelta(seconds=seconds)
