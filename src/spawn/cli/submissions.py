"""From flags to what the engine is asked to launch."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from spawn.cli import values
from spawn.cli.render import talk
from spawn.cli.scripts import WAITING_SCRIPT, check_command
from spawn.client.objects import Submission
from spawn.config import Setting
from spawn.domain.errors import UsageError

CLOUD_FLAGS: Final = ("--instance-type", "--spot", "--spot-max-price", "--ami", "--region", "--iam-policy", "--key-name")


def make_submission(ctx: click.Context, flags: dict[str, Any]) -> Submission:
    """Check what the flags mean together, and put it into the engine's words."""
    _refuse_contradictions(flags)
    environment = _environment()
    env = _environment_flags(ctx, flags["env"])
    workdir = flags["workdir"] or _here()
    script, command = _what_to_run(ctx)
    if command is not None:
        check_command(command, workdir=workdir, environment=environment | env)
    indexes, limit = _indexes(flags["array"], flags["max_concurrent"])
    return Submission(
        name=flags["name"],
        indexes=indexes,
        max_concurrent=limit,
        script=script,
        command=command,
        environment=environment,
        env=env,
        workdir=workdir,
        ttl_s=flags["ttl"],
        timeout_s=flags["timeout"],
        on_complete=flags["on_complete"],
        retries=flags["retries"],
        retry_on=list(flags["retry_on"]),
        max_failures=flags["max_failures"],
        tags=_tags(ctx, flags["tag"]),
        cpus=flags["cpus"],
        memory_mib=flags["memory"],
        private_tmp=flags["private_tmp"],
        depends_on=[_dependency(text) for text in flags["depends_on"]],
        sequential=flags["sequential"],
        cloud=_cloud(flags),
        compat_env=flags["compat_env"],
        umask=_umask(),
        grace_s=flags["grace"],
        dry_run=flags["dry_run"],
    )


def _refuse_contradictions(flags: dict[str, Any]) -> None:
    if flags["provider"] != "local":
        raise UsageError(f"--provider: '{flags['provider']}' is not part of this version, which runs arrays on this machine: leave it out, or write local")
    if flags["sequential"] and flags["array"] is None:
        raise UsageError("--sequential orders the indexes of an array: add --array")
    if flags["spot_max_price"] is not None and not flags["spot"]:
        raise UsageError("--spot-max-price is a limit for --spot: add --spot")
    if flags["retry_on"] and not flags["retries"]:
        raise UsageError("--retry-on says what is retried, and --retries how often: add --retries N")


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


def _cloud(flags: dict[str, Any]) -> dict[str, Any]:
    keys = (flag.lstrip("-").replace("-", "_") for flag in CLOUD_FLAGS)
    given = {key: flags[key] for key in keys if flags[key]}
    return given | ({"iam_policy": list(given["iam_policy"])} if "iam_policy" in given else {})
