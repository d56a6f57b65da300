"""The only place that joins the parts: `python -m spawn.bootstrap engine` is the engine's process."""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from spawn import __version__
from spawn.api.native.routes import native_app, native_routes
from spawn.api.native.service import Service
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.api.server import listen, make_server
from spawn.config import SOCKET_NAME, engine_settings
from spawn.domain.durations import parse_duration
from spawn.domain.errors import ConfigurationError, SpawnError, Unavailable
from spawn.domain.instants import Instant, from_seconds, iso
from spawn.domain.quantities import parse_cpus, parse_memory
from spawn.domain.scheduling import Capacity
from spawn.engine.loop import Engine
from spawn.engine.shutdown import terminate_everything
from spawn.providers.local.connection import connect
from spawn.providers.local.files import LocalFiles
from spawn.providers.local.provider import LocalProvider
from spawn.store.sqlite import SqliteStore

STORE_NAME = "store.db"
LOCK_NAME = "engine.lock"
IDLE_EXIT = timedelta(minutes=30)
_LOOK_FOR_IDLENESS_S = 20.0
_OTHER_ENGINE_WITHIN_S = 30.0
_log = logging.getLogger("spawn.engine")


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        """The present instant."""
        return from_seconds(time.time())


def machine_capacity() -> Capacity:
    """The vCPUs that this process may use and the memory of this machine, unless the user's settings say otherwise."""
    settings = engine_settings()
    cpus = len(os.sched_getaffinity(0)) * 1000
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    if "cpus" in settings:
        cpus = parse_cpus(str(settings["cpus"].value), field=settings["cpus"].origin)
    if "memory" in settings:
        memory = parse_memory(str(settings["memory"].value), field=settings["memory"].origin)
    return Capacity(cpus=cpus, memory=memory)


def idle_exit() -> timedelta:
    """After how long without work or requests the engine ends by itself."""
    setting = engine_settings().get("idle-exit")
    return IDLE_EXIT if setting is None else parse_duration(str(setting.value), field=setting.origin)


class EngineProcess:
    """Everything one engine is made of, from the lock to the socket."""

    def __init__(self, state_dir: Path) -> None:
        """Open the store and the runner; raises SpawnError with the way out when the engine cannot start."""
        self.state_dir = state_dir
        self.clock = SystemClock()
        self.idle_exit = idle_exit()
        capacity = machine_capacity()
        self.store = SqliteStore(state_dir / STORE_NAME)
        runner = state_dir / "runner"
        self.files = LocalFiles(arrays=state_dir / "arrays", runner=runner)
        self.provider = LocalProvider(runner_directory=runner, files=self.files, capacity=capacity, clock=self.clock)
        self.engine = Engine(store=self.store, provider=self.provider, clock=self.clock)
        self.started_at = self.clock.now()
        self._seen = time.monotonic()
        self._terminate = False
        self._stopping = False
        self._ended = threading.Event()
        service = Service(engine=self.engine, records=self.store, files=self.files, clock=self.clock)
        self._server = make_server(native_app(native_routes(service, self), seen=self._note_request))

    def _note_request(self) -> None:
        self._seen = time.monotonic()

    def describe(self) -> dict[str, Any]:
        """The Engine of docs/api.md."""
        active, total = self.store.counts()
        capacity = self.provider.capacity()
        use = self.engine.call(lambda state: state.usage())
        return {
            "schema_version": SCHEMA_VERSION,
            "pid": os.getpid(),
            "runner_pid": self.provider.runner_pid,
            "socket": str(self.state_dir / SOCKET_NAME),
            "store": str(self.store.path),
            "version": __version__,
            "started_at": iso(self.started_at),
            "idle_exit_s": self.idle_exit.total_seconds(),
            "arrays": {"active": active, "total": total},
            "children": {"running": use.running, "queued": use.waiting},
            "capacity": {"cpus": capacity.cpus / 1000, "memory_mib": capacity.memory, "cpus_used": use.cpus / 1000, "memory_mib_used": use.memory},
            "features": dict(self.provider.features()),
        }

    def stop(self, terminate: bool) -> None:
        """End after the answer to this request; with `terminate` end first all that runs. Again: nothing."""
        if self._terminate or self._stopping:
            return

        def finish() -> None:
            if terminate:
                self._terminate = True
                terminate_everything(self.engine)
            self._stopping = True
            self._server.should_exit = True

        threading.Thread(target=finish, name="stop").start()

    def is_stopping(self) -> bool:
        """Whether it is about to end."""
        return self._stopping or self._server.should_exit

    def run(self, ready: Any) -> None:
        """Serve until stopped or idle for long; `ready` is called when the first answer can be given."""
        self.provider.connect(self.engine.wake)
        self.engine.turn()
        loop = threading.Thread(target=self.engine.run, name="engine")
        sock = listen(self.state_dir / SOCKET_NAME)
        loop.start()
        threading.Thread(target=self._end_when_idle, name="idle", daemon=True).start()
        ready()
        try:
            self._server.run(sockets=[sock])
        finally:
            # a client that finds no socket knows that the engine ended on purpose
            (self.state_dir / SOCKET_NAME).unlink(missing_ok=True)
            self._ended.set()
            self.engine.close()
            loop.join()
            self.provider.close(terminate=self._terminate, grace_s=5.0)
            self.store.close()

    def _end_when_idle(self) -> None:
        while not self._ended.wait(min(_LOOK_FOR_IDLENESS_S, self.idle_exit.total_seconds())):
            idle_s = time.monotonic() - self._seen
            try:
                busy = self.store.counts()[0] or self.store.next_instance_end() is not None
            except SpawnError:
                continue
            if not busy and idle_s >= self.idle_exit.total_seconds():
                _log.info("nothing to do for %.0f s: ending", idle_s)
                self.stop(terminate=True)
                return


def run_engine(state_dir: Path, ready_fd: int) -> int:
    """The engine's process: take the lock, start, say so on `ready_fd`, serve. The exit code."""
    try:
        lock = _take_lock(state_dir)
        if lock is None:
            _wait_for_other(state_dir)
            _say(ready_fd, {"ready": True})
            return 0
        process = EngineProcess(state_dir)
        process.run(lambda: _say(ready_fd, {"ready": True}))
    except SpawnError as error:
        _log.error("%s", error)
        _say(ready_fd, {"error": {"code": error.code, "message": str(error)}})
        return error.exit_code
    except OSError as error:
        message = f"the engine cannot start in {state_dir}: {error.strerror or error}"
        _log.exception("%s", message)
        _say(ready_fd, {"error": {"code": ConfigurationError.code, "message": message}})
        return ConfigurationError.exit_code
    return 0


def _take_lock(state_dir: Path) -> int | None:
    """Hold the lock of this state directory for as long as the process lives; None when another engine holds it."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    state_dir.chmod(0o700)
    lock = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _wait_for_other(state_dir: Path) -> None:
    """Wait until the engine that holds the lock answers, or lets go of it."""
    until = time.monotonic() + _OTHER_ENGINE_WITHIN_S
    while (sock := connect(state_dir / SOCKET_NAME)) is None:
        if time.monotonic() > until:
            raise Unavailable(f"another engine holds {state_dir / LOCK_NAME} but does not answer: see {state_dir / 'engine.log'}")
        time.sleep(0.02)
    sock.close()


def _say(ready_fd: int, line: dict[str, Any]) -> None:
    try:
        os.write(ready_fd, json.dumps(line).encode() + b"\n")
        os.close(ready_fd)
    except OSError:
        return  # whoever started this engine did not wait for it


def main(arguments: list[str]) -> int:
    """Read the command line of the engine's process."""
    parser = argparse.ArgumentParser(prog="spawn.bootstrap")
    verbs = parser.add_subparsers(required=True)
    engine = verbs.add_parser("engine")
    engine.add_argument("--state-dir", type=Path, required=True)
    engine.add_argument("--ready-fd", type=int, required=True)
    given = parser.parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return run_engine(given.state_dir, given.ready_fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
