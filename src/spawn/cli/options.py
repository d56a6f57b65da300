"""Flags and arguments that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from spawn.cli import values
from spawn.cli.render.data import FORMATS, Format, Output

F = TypeVar("F", bound=Callable[..., Any])

_FORMAT = values.OneOf("output format", FORMATS)


def output_options(function: F) -> F:
    """`-o FORMAT` and `-q`."""
    function = click.option("-q", "--quiet", is_flag=True, help="Ids alone, one a line.")(function)
    return click.option("-o", "--output", "output_format", type=_FORMAT, default="table", help="How records are printed (default: table).")(function)


def output_of(output_format: str, quiet: bool) -> Output:
    """What the two flags mean together."""
    formats: dict[str, Format] = {name: name for name in FORMATS}
    return Output(formats[output_format], quiet)


def yes_option(function: F) -> F:
    """`--yes`: do not ask."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask; needed when there is no terminal to ask on.")(function)


def dry_run_option(function: F) -> F:
    """`--dry-run`: say what would be done."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(function)


def tag_option(about: str) -> Callable[[F], F]:
    """`--tag K=V`, repeatable, each tag once; those that spawn sets itself (`array:index`) choose among members, and may stand for several."""
    return click.option("--tag", type=values.TAG, multiple=True, callback=_each_tag_once, help=about)


def _each_tag_once(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    given: dict[str, str] = {}
    for key, value in pairs:
        if key in given and not key.startswith("array:"):
            raise click.BadParameter(f"'{key}' is given twice, as '{given[key]}' and as '{value}': give it once", ctx, param)
        given[key] = value
    return pairs


def complete_array(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names and ids of live arrays that begin so; nothing when no engine runs."""
    del ctx, param
    from spawn.cli.completing import arrays

    return [CompletionItem(word, help=what) for word, what in arrays(incomplete)]


def array_argument(function: F) -> F:
    """`ARRAY`, by id, unique prefix, name or `last`."""
    return click.argument("array", shell_complete=complete_array)(function)


def maybe_array_argument(function: F) -> F:
    """`[ARRAY]`; `last` when it is left out."""
    return click.argument("array", default="last", required=False, shell_complete=complete_array)(function)


def selection_argument(function: F) -> F:
    """`[SET]`: which indexes."""
    return click.argument("indexes", required=False, type=values.SELECTION, metavar="[SET]")(function)
