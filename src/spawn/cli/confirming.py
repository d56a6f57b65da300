"""Asking before something is ended or forgotten."""

from __future__ import annotations

from typing import Final

import click

from spawn.cli.render import talk
from spawn.domain.errors import UsageError

EXIT_DECLINED: Final = 8


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on: `--yes`, or a yes on the terminal. Without a terminal that is refused; a no ends the program with 8, never with success."""
    if yes:
        return True
    answer = talk.confirm(question)
    if answer is None:
        raise UsageError("there is no terminal to ask on: add --yes to go ahead, or --dry-run to see what would be done")
    if not answer:
        talk.say("Nothing was changed.")
        raise click.exceptions.Exit(EXIT_DECLINED)
    return True
