"""Ending the engine, with what runs or without, and waiting until it has ended."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import Final

from spawn.cli.render import talk
from spawn.client import lock
from spawn.client.client import Client
from spawn.client.endings import Ending
from spawn.client.start import is_up
from spawn.client.wire import CutOff
from spawn.config import SOCKET_NAME, STORE_NAME, state_directory
from spawn.domain.errors import Conflict, Unavailable

_STOP_PATIENCE_S: Final = 60.0
_MOST_NAMED: Final = 5


def is_anything_recorded() -> bool:
    """Whether an engine has ever recorded anything here, so that something of it may run or wait."""
    return (state_directory() / STORE_NAME).exists()


def stop(client: Client, *, dry_run: bool) -> None:
    """End the engine; what runs goes on."""
    processes = []
    # an engine of another version may say nothing that is understood, and is stopped all the same
    with suppress(Conflict):
        processes = _watch(client.engine().pid)
    if dry_run:
        talk.say("would stop the engine")
        return
    with suppress(CutOff):  # it was quicker than its own answer
        client.stop_engine(terminate=False)
    _until_gone()
    _until_ended(processes)
    talk.say("the engine has stopped; what ran goes on")


def terminate(client: Client) -> int:
    """End everything that runs, then the engine and its runner; the exit code, which is 1 when EC2 has not confirmed all of it."""
    engine = client.engine()
    processes = _watch(engine.pid, engine.runner_pid)
    if engine.instances:
        talk.progress("asking EC2 to terminate the instances (30 s at most)")
    try:
        left = client.stop_engine(terminate=True)
    except CutOff as error:
        raise Unavailable("the engine ended before it could say that all has ended: `spawn engine stop --terminate` again asks the next one") from error
    _until_gone()
    _until_ended(processes)
    if sentence := _unconfirmed(left):
        talk.error(f"the engine has stopped, but {sentence}")
        return 1
    talk.say("the engine has stopped")
    return 0


def _unconfirmed(left: Ending) -> str:
    """What EC2 has not confirmed, when that ends by itself, and what one can do; empty when it has confirmed all of it."""
    count = len(left.unended) + left.launching
    if not count:
        return ""
    named = ", ".join(one.id for one in left.unended[:_MOST_NAMED]) + (", …" if len(left.unended) > _MOST_NAMED else "")
    ends = sorted(one.ends_at for one in left.unended if one.ends_at is not None)
    endless = len(left.unended) - len(ends)
    sentences = [f"EC2 has not confirmed within 30 s that {count} instance{'s end' if count > 1 else ' ends'}" + (f" ({named})" if named else "")]
    if left.launching:
        sentences.append(f"{left.launching} of them may have been launched by a call that was not answered")
    if endless:
        sentences.append(f"{endless} of them {'have' if endless > 1 else 'has'} no TTL and may run for ever")
    if ends:
        sentences.append(f"at {ends[-1]} at the latest they have reached their TTL and end by themselves")
    return "; ".join(sentences) + "; `spawn engine start` asks EC2 again, `spawn cleanup` finds what is left"


def stop_unreachable(*, terminate: bool, dry_run: bool) -> None:
    """End an engine that lives although its socket is gone, so that it cannot be asked; when none lives, say so."""
    directory = state_directory()
    pid = lock.holder(directory)
    if pid is None:
        talk.say(f"no engine runs for {directory}")
        return
    found = unreachable(pid)
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


def unreachable(pid: int) -> str:
    """That an engine lives and does not answer."""
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
