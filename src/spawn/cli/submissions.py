"""From flags to what the engine is asked to launch."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from spawn.cli import values
from spawn.cli.ec2_options import cloud_of
from spawn.cli.render import talk
from spawn.cli.scripts import WAITING_SCRIPT, check_command, check_interpreter
from spawn.client.submission import Submission
from spawn.config import Setting
from spawn.domain.errors import UsageError

_PROVIDERS: Final = ("local", "ec2")


def make_submission(ctx: click.Context, flags: dict[str, Any]) -> Submission:
    """Check what the flags mean together, and put it into the engine's words."""
    cloud = cloud_of(flags)
    _refuse_contradictions(flags, cloud)
    elsewhere = flags["provider"] != "local"
    env = _environment_flags(ctx, flags["env"])
    script, command = _what_to_run(ctx)
    indexes, limit = _indexes(flags["array"], flags["max_concurrent"])
    where = _for_elsewhere(flags) if elsewhere else _for_here(ctx, flags, env, script, command)
    return Submission(
        name=flags["name"],
        indexes=indexes,
        max_concurrent=limit,
        script=script,
        command=command,
        env=env,
        ttl_s=flags["ttl"],
        timeout_s=flags["timeout"],
        on_complete=flags["on_complete"],
        retries=flags["retries"],
        retry_on=list(flags["retry_on"]),
        max_failures=flags["max_failures"],
        tags=_tags(ctx, flags["tag"]),
        cpus=flags["cpus"],
        memory_mib=flags["memory"],
        depends_on=[_dependency(text) for text in flags["depends_on"]],
        sequential=flags["sequential"],
        cloud=cloud,
        compat_env=flags["compat_env"],
        grace_s=flags["grace"],
        provider=flags["provider"],
        no_ttl=elsewhere and flags["no_ttl"],
        idle_s=flags["idle_timeout"],
        dry_run=flags["dry_run"],
        **where,
    )


def _for_here(ctx: click.Context, flags: dict[str, Any], env: dict[str, str], script: str | None, command: list[str] | None) -> dict[str, Any]:
    """What runs on this machine has this shell's surroundings; what could not start here is refused."""
    environment = _environment()
    workdir = flags["workdir"] or _here()
    if command is not None:
        check_command(command, workdir=workdir, environment=environment | env)
    if script is not None:
        check_interpreter(script, ctx.meta.get("spawn.script_name", "the script"))
    return {"environment": environment, "workdir": workdir, "umask": _umask(), "private_tmp": flags["private_tmp"]}


def _for_elsewhere(flags: dict[str, Any]) -> dict[str, Any]:
    """Nothing of this shell goes to another machine but what finds and pays for that: its AWS settings."""
    from spawn.cli.accessing import access_here

    return {"workdir": flags["workdir"], "access": access_here()}


def _refuse_contradictions(flags: dict[str, Any], cloud: dict[str, Any]) -> None:
    if flags["provider"] not in _PROVIDERS:
        raise UsageError(f"--provider: '{flags['provider']}' is not part of this version, which knows {' and '.join(_PROVIDERS)}")
    if flags["sequential"] and flags["array"] is None:
        raise UsageError("--sequential orders the indexes of an array: add --array")
    if flags["retry_on"] and not flags["retries"]:
        raise UsageError("--retry-on says what is retried, and --retries how often: add --retries N")
    if flags["no_ttl"] and flags["ttl"] is not None:
        raise UsageError("--ttl and --no-ttl contradict each other: give one of them")
    if cloud:
        from spawn.domain.fleets import Distribution, FleetOptions, refuse_contradictions

        asked: dict[str, Any] = {member: tuple(value) if isinstance(value, list) else value for member, value in cloud.items()}
        FleetOptions(**asked | {"distribute": Distribution(cloud.get("distribute", "static"))})
        refuse_contradictions(cloud, None if flags["provider"] == "local" else flags["on_complete"])
    if flags["provider"] == "local":
        _refuse_what_needs_ec2(flags)
    elif flags["private_tmp"] and flags["instances"] is not None:
        raise UsageError("--private-tmp: the runs of one EC2 instance share its /tmp: leave it out, and let them write to $TASK_OUTPUT_DIR")


def _refuse_what_needs_ec2(flags: dict[str, Any]) -> None:
    if flags["on_complete"] == "hibernate":
        raise UsageError("--on-complete: only EC2 instances hibernate: write stop, or add --provider ec2")
    if flags["rehearse"]:
        raise UsageError("--rehearse plays a launch on EC2: add --provider ec2")


def _what_to_run(ctx: click.Context) -> tuple[str | None, list[str] | None]:
    script: str | None = ctx.meta.get("spawn.script")
    command: list[str] | None = ctx.meta.get("spawn.command")
    if command is not None and not command:
        raise UsageError("there is no command after `--`")
    if script is not None and command is not None:
        raise UsageError("--user-data and a command after `--` exclude each other: give one")
    if script is None and command is None:
        ctx.meta["spawn.waits"] = True
        return WAITING_SCRIPT, None
    return script, command


def _indexes(array: str | None, max_concurrent: int | None) -> tuple[str | None, int | None]:
    """The set without its `%K`, and how many at once."""
    if array is None:
        return None, max_concurrent
    from spawn.domain.indexes import IndexSet

    _, limit = IndexSet.parse(array)
    if limit is not None and max_concurrent is not None and limit != max_concurrent:
        raise UsageError(f"--array {array} and --max-concurrent {max_concurrent} name two limits: give one")
    return array.partition("%")[0], limit if max_concurrent is None else max_concurrent


def _environment() -> dict[str, str]:
    """This shell's variables. One that is not UTF-8 cannot travel, and is named."""
    environment = {}
    for name, value in os.environ.items():
        try:
            f"{name}{value}".encode()
        except UnicodeEncodeError:
            talk.note(f"the variable {name.encode(errors='replace').decode()} is not UTF-8 and is not passed on")
        else:
            environment[name] = value
    return environment


def _umask() -> int:
    """The umask of the shell that launches. It can only be read by setting it, so it is set back at once."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _here() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise UsageError("the working directory is gone: go to one that is there, or name one with --workdir") from error


def _environment_flags(ctx: click.Context, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(_from_settings(ctx, "env", values.VARIABLE)) | dict(pairs)


def _tags(ctx: click.Context, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    tags = dict(_from_settings(ctx, "tag", values.TAG)) | dict(pairs)
    for key in tags:
        if key.startswith("array:"):
            raise UsageError(f"--tag: '{key}' is a tag that spawn sets itself")
    return tags


def _from_settings(ctx: click.Context, key: str, kind: values.Read) -> list[tuple[str, str]]:
    setting = ctx.meta.get("spawn.settings", {}).get(key)
    if not isinstance(setting, Setting) or not isinstance(setting.value, list):
        return []
    try:
        return [kind.convert(text, None, ctx) for text in setting.value]
    except click.BadParameter as refused:
        raise UsageError(f"--{key} (from {setting.origin}): {refused.message}") from refused


def _dependency(text: str) -> dict[str, str | None]:
    """`ID` and `ID:3` as they are; `ID:N_TO_N` as the id and its type."""
    ref, colon, word = text.rpartition(":")
    if colon and word.upper() == "N_TO_N":
        return {"id": ref, "type": "N_TO_N"}
    return {"id": text, "type": None}
