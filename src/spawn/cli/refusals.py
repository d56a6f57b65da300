"""Click's refusals, in one sentence each."""

from __future__ import annotations

import click
from click.core import ParameterSource

from spawn.config import Setting, did_you_mean


def sentence(refused: click.ClickException) -> str:
    """Which flag or verb, what is wrong with it, and what would do."""
    if isinstance(refused, click.NoSuchOption):
        return _no_such_option(refused)
    if isinstance(refused, click.exceptions.NoSuchCommand):
        return _no_such_command(refused)
    if isinstance(refused, click.MissingParameter):
        return _missing(refused)
    if isinstance(refused, click.BadParameter):
        return f"{_where(refused)}{_one_line(refused.message)}"
    return _one_line(refused.format_message())


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _no_such_option(refused: click.NoSuchOption) -> str:
    ctx = refused.ctx
    known = [name for param in ctx.command.params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")] if ctx is not None else []
    known.append("--help")
    near = did_you_mean(refused.option_name, known) if refused.option_name.startswith("--") else ""
    help_with = f"; `{ctx.command_path} --help` lists what there is" if ctx is not None and "mean" not in near else ""
    return f"unknown flag '{refused.option_name}'{near if 'mean' in near else ''}{help_with}"


def _no_such_command(refused: click.exceptions.NoSuchCommand) -> str:
    ctx = refused.ctx
    known = ctx.command.list_commands(ctx) if ctx is not None and isinstance(ctx.command, click.Group) else []
    near = did_you_mean(refused.command_name, known)
    path = ctx.command_path if ctx is not None else "spawn"
    return f"unknown verb '{refused.command_name}'{near or f'; `{path} --help` lists what there is'}"


def _missing(refused: click.MissingParameter) -> str:
    ctx = refused.ctx
    name = refused.param.get_error_hint(ctx).replace("'", "") if refused.param is not None and ctx is not None else "an argument"
    return f"{name} is missing" + (f"; `{ctx.command_path} --help` shows how" if ctx is not None else "")


def _where(refused: click.BadParameter) -> str:
    """`--ttl: `, or `--ttl (from SPAWN_TTL): ` when it was not typed."""
    param, ctx = refused.param, refused.ctx
    if param is None:
        return ""
    name = param.opts[-1] if param.opts and param.opts[-1].startswith("-") else param.human_readable_name
    origin = ""
    if ctx is not None and ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT_MAP:
        settings = ctx.meta.get("spawn.settings", {})
        setting = settings.get((param.name or "").replace("_", "-"))
        origin = f" (from {setting.origin})" if isinstance(setting, Setting) else ""
    return f"{name}{origin}: "
