"""`spawn engine start|stop|status|logs`, for those who care."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import nullcontext, suppress
from typing import Final

import click

from spawn.cli import options
from spawn.cli.confirming import confirmed
from spawn.cli.reaching import ensure_engine, running_engine
from spawn.cli.render import data, talk
from spawn.cli.render.data import Column, Kind
from spawn.cli.verbs import Verb, VerbGroup
from spawn.client import lock
from spawn.client.objects import Engine
from spawn.client.start import is_up
from spawn.client.wire import CutOff, NotListening
from spawn.config import LOG_NAME, SOCKET_NAME, state_directory
from spawn.domain.errors import Conflict, NotFound, Unavailable

_STOP_PATIENCE_S: Final = 60.0

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
def stop(terminate: bool, dry_run: bool, yes: bool) -> None:
    """Stop the engine. What runs goes on, and the next command that needs the engine starts it again."""
    try:
        client = running_engine()
    except NotListening:
        _stop_unreachable(terminate=terminate, dry_run=dry_run)
        return
    running, ending = "", []
    # an engine of another version may say nothing that is understood, and is stopped all the same
    with nullcontext() if terminate else suppress(Conflict):
        engine = client.engine()
        ending = _watch(engine.pid, engine.runner_pid if terminate else None)
    if terminate:
        busy = engine.children
        running = f" and terminate {busy.get('running', 0)} running and {busy.get('queued', 0)} queued children"
    if dry_run:
        talk.say(f"would stop the engine{running}")
        return
    if terminate and not confirmed(f"Stop the engine{running}?", yes=yes):
        return
    try:
        client.stop_engine(terminate=terminate)
    except CutOff:
        pass  # it was quicker than its own answer
    _until_gone()
    _until_ended(ending)
    talk.say("the engine has stopped" + ("" if terminate else "; what ran goes on"))


def _stop_unreachable(*, terminate: bool, dry_run: bool) -> None:
    """End an engine that lives although its socket is gone, so that it cannot be asked; when none lives, say so."""
    directory = state_directory()
    pid = lock.holder(directory)
    if pid is None:
        talk.say(f"no engine runs for {directory}")
        return
    found = _unreachable(pid)
    if terminate:
        raise Unavailable(f"{found}, and cannot be asked to terminate what runs: try again in some seconds, or stop it without --terminate")
    if lock.is_paused(pid):
        raise Unavailable(f"{found}; {lock.way_out(directory)}")
    if dry_run:
        talk.say(f"would stop the engine; {found}: it would get SIGTERM")
        return
    talk.say(f"{found}: sending it SIGTERM")
    processes = _watch(pid)
    if processes and lock.is_engine(pid):  # asked after the descriptor was opened: both mean the same process
        signal.pidfd_send_signal(processes[0], signal.SIGTERM)
    _until_ended(processes)
    talk.say("the engine has stopped; what ran goes on")


def _unreachable(pid: int) -> str:
    return f"the engine, process {pid}, runs but does not answer at {state_directory() / SOCKET_NAME}"


def _until_gone() -> None:
    end = time.monotonic() + _STOP_PATIENCE_S
    while is_up(state_directory()):
        if time.monotonic() > end:
            raise Unavailable(f"the engine still answers after {_STOP_PATIENCE_S:.0f} s; see `spawn engine logs`")
        time.sleep(0.02)


def _watch(*pids: int | None) -> list[int]:
    """Descriptors that become readable when these processes end; opened before they are asked to, so that no later process of the same id is meant."""
    found = []
    for pid in pids:
        if pid is not None:
            with suppress(ProcessLookupError):
                found.append(os.pidfd_open(pid))
    return found


def _until_ended(processes: list[int]) -> None:
    """Return when the processes themselves have ended: nothing of the state directory is in use any more."""
    end = time.monotonic() + _STOP_PATIENCE_S
    for process in processes:
        ended, _, _ = select.select([process], [], [], max(0.0, end - time.monotonic()))
        os.close(process)
        if not ended:
            raise Unavailable(f"the engine or its runner has not ended after {_STOP_PATIENCE_S:.0f} s; see `spawn engine logs`")


@command.command(cls=Verb, examples="spawn engine status\nspawn engine status -o json")
@options.output_options
def status(output_format: str, quiet: bool) -> None:
    """Say which engine runs. Starts none; exits with 6 when none runs."""
    try:
        engine = running_engine().engine()
    except NotListening as error:
        if (pid := lock.holder(state_directory())) is not None:
            raise Unavailable(f"{_unreachable(pid)}: try again in some seconds, or end it with `spawn engine stop` (what runs goes on)") from error
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
