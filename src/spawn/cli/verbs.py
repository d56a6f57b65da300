"""The verbs: which there are, in which module, in one line each. A module is imported when its verb runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple

import click


class Entry(NamedTuple):
    """Where a verb lives, and what the overview says of it."""

    module: str
    summary: str


VERBS: Final[dict[str, Entry]] = {
    "launch": Entry("launch", "Run a program or script once for every index"),
    "submit": Entry("submit", "Jobs as AWS Batch writes them, from JSON or YAML files"),
    "status": Entry("status", "Counts, progress, time left, and what failed and why"),
    "list": Entry("list", "The members of arrays, one a line"),
    "watch": Entry("watch", "The status, live; Ctrl-C leaves the array running"),
    "wait": Entry("wait", "Return when arrays have settled; the exit code says how"),
    "logs": Entry("logs", "What members printed"),
    "connect": Entry("connect", "A shell or command inside a member's instance"),
    "cost": Entry("cost", "What arrays cost, so far and to completion"),
    "retry": Entry("retry", "Run failed or lost indexes again, under the same id"),
    "cancel": Entry("cancel", "Give up what has not started"),
    "terminate": Entry("terminate", "Stop what runs, too, and end its instances"),
    "stop": Entry("stop", "Stop instances on EC2, and keep their disks"),
    "start": Entry("start", "Start instances on EC2 that were stopped"),
    "extend": Entry("extend", "Let instances live longer"),
    "limit": Entry("limit", "Change how many run at once"),
    "collect": Entry("collect", "Copy the outputs, with a manifest of what is missing"),
    "adopt": Entry("adopt", "Take over an array launched on EC2 from another machine"),
    "access": Entry("access", "Go on with this shell's AWS access where an array's own has expired"),
    "cleanup": Entry("cleanup", "Remove what was left behind on AWS"),
    "rm": Entry("rm", "Forget finished arrays, with their files"),
    "serve": Entry("serve", "The AWS Batch endpoint, for the AWS CLI, boto3 and the like"),
    "engine": Entry("engine", "Start, stop and look at the process behind it all"),
    "doctor": Entry("doctor", "Check this machine and this installation"),
    "version": Entry("version", "The version"),
    "completion": Entry("completion", "The script that completes verbs, flags and ids in a shell"),
}

EXAMPLES: Final = """\
spawn launch --array 100 -- ./process.sh          100 runs; each finds its number in $TASK_ARRAY_INDEX
spawn launch --array 5 --user-data @script.sh     a script, each run with a /tmp of its own
spawn status                                      how all arrays stand
spawn retry last @failed                          run again what failed"""


class _ExamplesFirst(click.Command):
    """A command whose help shows examples first."""

    def __init__(self, *args: Any, examples: str, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {})
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One sentence, examples, usage, flags, and the words that may follow."""
        self.format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)


class Verb(_ExamplesFirst):
    """A verb."""


class VerbGroup(_ExamplesFirst, click.Group):
    """A verb that further words follow."""


class Verbs(click.Group):
    """A group that imports a verb when it is called, and lists all without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of a user's day."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, imported now; None when there is none of that name."""
        del ctx
        entry = VERBS.get(cmd_name)
        if entry is None:
            return None
        command = import_module(f"spawn.cli.{entry.module}").command
        assert isinstance(command, click.Command)
        return command

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One sentence, examples, usage, verbs, flags."""
        self.format_help_text(ctx, formatter)
        write_examples(formatter, EXAMPLES)
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        with formatter.section("Verbs"):
            formatter.write_dl([(name, entry.summary) for name, entry in VERBS.items()])
        click.Command.format_options(self, ctx, formatter)


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    """The examples, as they stand, indented."""
    with formatter.section("Examples"):
        for line in examples.splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from spawn import __version__
        from spawn.cli.render.data import line

        line(f"spawn {__version__}")
        ctx.exit()


spawn = Verbs(
    "spawn",
    help="Job arrays: run one program many times, each run told its own index, and lose nothing.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    params=[click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version and exit.")],
)
