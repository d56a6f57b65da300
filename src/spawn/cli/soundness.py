"""Whether the values of settings can be meant: read as `spawn launch` and the engine read them, before either does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import click

from spawn.cli import values
from spawn.config import Setting
from spawn.domain.errors import UsageError
from spawn.machine import ec2_poll_s, idle_exit, machine_capacity

_ENGINE: Final[tuple[Callable[[], object], ...]] = (machine_capacity, idle_exit, ec2_poll_s)
_TABLES: Final = {"env": values.VARIABLE, "tag": values.TAG}


def unsound(launch: Mapping[str, Setting]) -> Iterator[str]:
    """What a launch with these settings, or an engine with the user's, would refuse: a sentence each, which says where it is set."""
    yield from _of_launches(launch)
    for read in _ENGINE:
        try:
            read()
        except UsageError as refused:
            yield str(refused)


def _of_launches(settings: Mapping[str, Setting]) -> Iterator[str]:
    from spawn.cli.launch import command

    flags = {param.name: param for param in command.params}
    with click.Context(command, info_name="launch") as ctx:
        provider = settings.get("provider")
        ctx.meta["spawn.provider"] = "local" if provider is None else str(provider.value).lower()
        for key, setting in settings.items():
            kind = _TABLES.get(key) or flags[key.replace("-", "_")].type
            for value in setting.value if isinstance(setting.value, list) else [setting.value]:
                try:
                    kind.convert(value, None, ctx)
                except click.BadParameter as refused:
                    yield f"{setting.origin}: {refused.message}"
