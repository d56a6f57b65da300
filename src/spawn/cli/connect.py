"""`spawn connect`: a shell or command inside a member's instance."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec

from spawn.cli import options
from spawn.cli.reaching import ensure_engine
from spawn.cli.targets import split
from spawn.cli.verbs import Verb
from spawn.client.objects import Session
from spawn.domain.errors import ConfigurationError, NotFound, UsageError

EXAMPLES = """\
spawn connect my-array-3                           a shell with its variables, directory and /tmp
spawn connect my-array-3 -- sh -c 'cat /tmp/out'   a command; its exit code is passed on
spawn connect i-0abc0000000000301                  by instance"""


class Connect(Verb):
    """Splits the command off at `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Everything after `--` is the command."""
        if "--" in args:
            place = args.index("--")
            args, ctx.meta["spawn.command"] = args[:place], args[place + 1 :]
        return super().parse_args(ctx, args)


@click.command(cls=Connect, examples=EXAMPLES, options_metavar="[FLAGS]")
@click.argument("member", shell_complete=options.complete_array)
@click.pass_context
def command(ctx: click.Context, member: str) -> None:
    """Enter a member's instance: the environment, directory and /tmp that its script had."""
    command_line: list[str] | None = ctx.meta.get("spawn.command")
    if command_line is not None and not command_line:
        raise UsageError("there is no command after `--`: leave `--` out for a shell")
    ref, indexes = split(member, None)
    session = ensure_engine().session(member if indexes is None else f"{ref}:{indexes}")
    _enter(session, command_line or [])


def _enter(session: Session, command_line: list[str]) -> None:
    """Become `spored enter`. The session holds variables of the user's: it travels through an unlinked file, never the command line."""
    agent = find_spec("spored")
    if agent is None or agent.origin is None:
        raise ConfigurationError("spored is not installed beside spawn: install spawn-arrays again")
    main = Path(agent.origin).with_name("__main__.py")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the program that this one becomes reads it
    file.write(msgspec.json.encode(session))
    file.flush()
    file.seek(0)
    os.set_inheritable(file.fileno(), True)
    sys.stdout.flush()
    arguments = [sys.executable, "-IS", str(main), "enter", "--session-fd", str(file.fileno())]
    try:
        os.execv(sys.executable, [*arguments, "--", *command_line] if command_line else arguments)
    except OSError as error:
        raise NotFound(f"cannot run {sys.executable}: {error.strerror}") from error
