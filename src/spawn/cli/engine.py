"""`spawn engine start|stop|status|logs`, for those who care."""

from __future__ import annotations

import shutil
import time
from typing import Final

import click

from spawn.cli import ending, options
from spawn.cli.confirming import confirmed
from spawn.cli.reaching import ensure_engine, running_engine
from spawn.cli.render import data, talk
from spawn.cli.render.data import Column, Kind
from spawn.cli.verbs import Verb, VerbGroup
from spawn.client import lock
from spawn.client.objects import Engine
from spawn.client.start import is_up
from spawn.client.wire import NotListening
from spawn.config import LOG_NAME, SOCKET_NAME, state_directory
from spawn.domain.errors import NotFound, Unavailable

EXAMPLES = """\
spawn engine status -o json        pid, runner_pid, socket, store, version
spawn engine stop                  what runs goes on; the next engine takes over
spawn engine stop --terminate      end everything first
spawn engine logs --tail 50"""

_KEPT: Final = ("pid", "runner_pid", "socket", "store", "version")

ENGINES: Final[Kind[Engine]] = Kind(
    (
        Column("PID", lambda e: e.pid, right=True),
        Column("RUNNER", lambda e: e.runner_pid, right=True),
        Column("VERSION", lambda e: e.version),
        Column("STORE", lambda e: e.store),
        Column("SOCKET", lambda e: e.socket),
        Column("STARTED", lambda e: e.started_at, wide=True),
        Column("ACTIVE", lambda e: e.arrays.get("active"), wide=True),
        Column("RUNNING", lambda e: e.children.get("running"), wide=True),
        Column("QUEUED", lambda e: e.children.get("queued"), wide=True),
    ),
    identity=lambda e: str(e.pid),
    name=lambda e: e.socket,
)


@click.group(cls=VerbGroup, examples=EXAMPLES, no_args_is_help=True)
def command() -> None:
    """Start, stop and look at the process behind it all. It starts by itself when it is needed."""


@command.command(cls=Verb, examples="spawn engine start")
@options.output_options
def start(output_format: str, quiet: bool) -> None:
    """Start the engine, unless it runs already."""
    was_up = is_up(state_directory())
    engine = ensure_engine().engine()
    data.records(ENGINES, [engine], options.output_of(output_format, quiet))
    if was_up:
        talk.hint("it ran already")


@command.command(cls=Verb, examples="spawn engine stop\nspawn engine stop --terminate --yes")
@click.option("--terminate", is_flag=True, help="Stop everything that runs first, and the runner too.")
@options.dry_run_option
@options.yes_option
def stop(terminate: bool, dry_run: bool, yes: bool) -> int:
    """Stop the engine. What runs goes on, and the next command that needs the engine starts it again."""
    try:
        client = running_engine()
    except NotListening:
        if lock.holder(state_directory()) is not None or not terminate or not ending.is_anything_recorded():
            ending.stop_unreachable(terminate=terminate, dry_run=dry_run)
            return 0
        if dry_run:
            talk.say("would start an engine, for none runs, and with it terminate all that runs or waits")
            return 0
        confirmed("No engine runs. Start one, and with it terminate all that runs or waits?", yes=yes)
        return ending.terminate(ensure_engine(terminating=True))
    if not terminate:
        ending.stop(client, dry_run=dry_run)
        return 0
    engine = client.engine()
    what = f"the engine and terminate {engine.children.get('running', 0)} running and {engine.children.get('queued', 0)} queued children"
    if engine.instances:
        what += f", and {engine.instances} instance{'s' if engine.instances > 1 else ''} on EC2"
    if dry_run:
        talk.say(f"would stop {what}")
        return 0
    confirmed(f"Stop {what}?", yes=yes)
    return ending.terminate(client)


@command.command(cls=Verb, examples="spawn engine status\nspawn engine status -o json")
@options.output_options
def status(output_format: str, quiet: bool) -> None:
    """Say which engine runs. Starts none; exits with 6 when none runs."""
    try:
        engine = running_engine().engine()
    except NotListening as error:
        if (pid := lock.holder(state_directory())) is not None:
            raise Unavailable(f"{ending.unreachable(pid)}: try again in some seconds, or end it with `spawn engine stop` (what runs goes on)") from error
        raise Unavailable(f"no engine answers at {state_directory() / SOCKET_NAME}; `spawn engine start` starts one") from error
    output = options.output_of(output_format, quiet)
    if output.format in ("json", "jsonl", "yaml") and not quiet:
        data.document(engine, output)
    else:
        data.records(ENGINES, [engine], output)


@command.command(cls=Verb, examples="spawn engine logs --tail 50\nspawn engine logs -f")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="The last N lines.")
@click.option("-f", "--follow", is_flag=True, help="Stay, and show what comes; Ctrl-C ends it.")
def logs(tail: int | None, follow: bool) -> None:
    """Show the engine's own log."""
    path = state_directory() / LOG_NAME
    try:
        if not shutil.disk_usage(path.parent).free:
            talk.warn(f"no space left in {path.parent}: what the engine has to say since is missing here")
        log = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise NotFound(f"there is no log at {path}: {error.strerror}") from error
    with log:
        content = log.read()
        if tail is not None:
            content = b"".join(content.splitlines(keepends=True)[-tail:] if tail else [])
        data.write_bytes(content)
        data.flush()
        while follow:
            more = log.read()
            if more:
                data.write_bytes(more)
                data.flush()
            else:
                time.sleep(0.2)
