"""`spawn connect`: a shell or command inside a member's instance."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from spawn.cli import options, values
from spawn.cli.reaching import ensure_engine
from spawn.cli.remote import WAYS, How, enter, read_addresses
from spawn.cli.targets import split
from spawn.cli.verbs import Verb
from spawn.client.objects import Session
from spawn.domain.errors import ConfigurationError, NotFound, UsageError

EXAMPLES = """\
spawn connect my-array-3                           a shell with its variables, directory and /tmp
spawn connect my-array-3 -- sh -c 'cat /tmp/out'   a command; its exit code is passed on
spawn connect i-0abc0000000000301                  by instance
spawn connect my-array-3 --via ssm                 on EC2, without an open port"""

_USER = values.shaped("a user", r"[A-Za-z_][A-Za-z0-9._-]{0,31}", "ubuntu")
_ADDRESSES = values.Read("cidr", read_addresses)


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
@click.option("--via", type=values.OneOf("way", WAYS), help="On EC2: which way in (default: ssh, with the key of --key-name or EC2 Instance Connect).")
@click.option("--identity", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="On EC2: the private key for ssh.")
@click.option("--user", type=_USER, help="On EC2: who logs in (default: by the image).")
@click.option("--allow-from", type=_ADDRESSES, help="On EC2: whom to open port 22 for when it is closed (default: this machine).")
@click.option("-y", "--yes", is_flag=True, help="On EC2: open port 22 for this machine when it is closed, without asking.")
@click.pass_context
def command(ctx: click.Context, member: str, via: str | None, identity: Path | None, user: str | None, allow_from: str | None, yes: bool) -> int:
    """Enter a member's instance: the environment, directory and /tmp that its script had."""
    command_line: list[str] | None = ctx.meta.get("spawn.command")
    if command_line is not None and not command_line:
        raise UsageError("there is no command after `--`: leave `--` out for a shell")
    if via == "instance-connect" and identity is not None:
        raise UsageError("--via instance-connect makes a key of its own: leave --identity out, or take --via ssh")
    ref, indexes = split(member, None)
    client = ensure_engine()
    session = client.session(member if indexes is None else f"{ref}:{indexes}")
    if session.instance is not None:
        how = How(via, None if identity is None else identity.absolute(), user, allow_from, yes)
        return enter(session.instance, session.index or 0, member, command_line or [], how, client.state_dir)
    given = [f"--{name}" for name, value in (("via", via), ("identity", identity), ("user", user), ("allow-from", allow_from)) if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: {member} runs on this machine, which is entered without: leave {'them' if len(given) > 1 else 'it'} out")
    return _enter(session, command_line or [])


def _enter(session: Session, command_line: list[str]) -> NoReturn:
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
