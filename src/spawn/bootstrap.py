"""The only place that joins the parts: `python -m spawn.bootstrap engine` is the engine's process."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from spawn import __version__
from spawn.api.aws.doors import Door
from spawn.api.native.cloud import Cloud, cloud_routes
from spawn.api.native.costs import Costs, ListPrices
from spawn.api.native.door import door_routes
from spawn.api.native.housekeeping import Housekeeping
from spawn.api.native.routes import native_app, native_routes
from spawn.api.native.service import Service
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.api.server import listen, make_server
from spawn.config import ENDPOINT_NAME, LOCK_NAME, SOCKET_NAME, STORE_NAME
from spawn.domain.costs import Price
from spawn.domain.errors import ConfigurationError, SpawnError, Unavailable
from spawn.domain.instants import iso
from spawn.domain.queues import EC2
from spawn.endpoint.endpoint import Endpoint
from spawn.endpoint.operations import Operations
from spawn.engine.files import FilesByPlace
from spawn.engine.fleets import Unended
from spawn.engine.loop import Engine
from spawn.engine.shutdown import terminate_all, terminate_everything, wait_until_nothing_runs
from spawn.machine import SystemClock, ec2_poll_s, idle_exit, machine_capacity, make_own, take_lock
from spawn.providers.ec2.fleets import Ec2Fleets
from spawn.providers.ec2.provider import Ec2Provider
from spawn.providers.local.connection import connect
from spawn.providers.local.files import LocalFiles
from spawn.providers.local.provider import LocalProvider
from spawn.store.opening import has_room
from spawn.store.sqlite import SqliteStore

_LOOK_EVERY_S = 2.0
_OTHER_ENGINE_WITHIN_S = 30.0
_EC2_WITHIN_S = 30.0
_log = logging.getLogger("spawn.engine")


class EngineProcess:
    """Everything one engine is made of, from the lock to the socket."""

    def __init__(self, state_dir: Path, *, terminating: bool = False) -> None:
        """Open the store and the runner; raises SpawnError with the way out when the engine cannot start.

        `terminating`: what waits is terminated before anything of it can begin.
        """
        self.state_dir = state_dir
        self.clock = SystemClock()
        self.idle_exit = idle_exit()
        capacity = machine_capacity()
        self.store = SqliteStore(state_dir / STORE_NAME)
        runner = state_dir / "runner"
        self.files = LocalFiles(arrays=state_dir / "arrays", runner=runner)
        self.provider = LocalProvider(runner_directory=runner, files=self.files, capacity=capacity, clock=self.clock)
        copies = LocalFiles(arrays=state_dir / "ec2" / "arrays", runner=runner)
        self.ec2 = Ec2Provider(directory=state_dir / "ec2", clock=self.clock, look_soon_s=ec2_poll_s())
        fleets = Ec2Fleets(self.ec2, files=copies, clock=self.clock)
        self.engine = Engine(store=self.store, provider=self.provider, clock=self.clock, elsewhere={EC2: self.ec2})
        self.started_at = self.clock.now()
        self._seen = time.monotonic()
        self._terminating = terminating
        self._terminate = False
        self._left: Future[Unended] = Future()
        self._retired = False
        self._stopping = False
        self._ended = threading.Event()
        self._socket_path = state_dir / SOCKET_NAME
        self._socket_inode = 0
        files = FilesByPlace(here=self.files, copies=copies)
        operations = Operations(Door(engine=self.engine, records=self.store, files=files, clock=self.clock))
        service = Service(engine=self.engine, records=self.store, files=files, clock=self.clock, take_documents=operations.documents, fleets=fleets)
        costs = Costs(records=self.store, clock=self.clock, fleets=fleets, prices=list_prices())
        self.endpoint = Endpoint(state_dir / ENDPOINT_NAME, operations, alive=lambda: self.engine.call(lambda _: None))
        routes = [
            *native_routes(service, self),
            *cloud_routes(Cloud(planning=service.planning, costs=costs, housekeeping=Housekeeping(service=service))),
            *door_routes(self.endpoint),
        ]
        self._server = make_server(native_app(routes, seen=self._note_request, trouble=self._trouble))

    def _note_request(self) -> None:
        self._seen = time.monotonic()

    def _trouble(self) -> str | None:
        """Why nothing new can be recorded; None: it can."""
        why = self.engine.trouble if has_room(self.state_dir) else f"no space left in {self.state_dir}: free some"
        return None if why is None else f"the engine cannot record what happens, so that what is shown may be out of date: {why}"

    def describe(self) -> dict[str, Any]:
        """The Engine of docs/api.md."""
        active, total = self.store.counts()
        capacity = self.provider.capacity()
        use = self.engine.call(lambda state: state.usage())
        return {
            "schema_version": SCHEMA_VERSION,
            "pid": os.getpid(),
            "runner_pid": self.provider.runner_pid,
            "socket": str(self._socket_path),
            "store": str(self.store.path),
            "version": __version__,
            "started_at": iso(self.started_at),
            "idle_exit_s": self.idle_exit.total_seconds(),
            "arrays": {"active": active, "total": total},
            "children": {"running": use.running, "queued": use.waiting},
            "instances": len(self.ec2.unended()),
            "capacity": {"cpus": capacity.cpus / 1000, "memory_mib": capacity.memory, "cpus_used": use.cpus / 1000, "memory_mib_used": use.memory},
            "features": dict(self.provider.features()),
        }

    def stop(self, terminate: bool) -> Future[Unended]:
        """End; with `terminate` end first all that runs, instances on EC2 within 30 s. What AWS has not confirmed by then. Again: nothing more."""
        if self._stopping or (self._terminate and terminate):
            return self._left
        self._terminate |= terminate

        def finish() -> None:
            left = self._terminate_everything() if terminate else Unended()
            # before any waiting client is answered: one that finds no socket knows that the engine ended on purpose
            self._socket_path.unlink(missing_ok=True)
            self._stopping = True
            if not self._left.done():
                self._left.set_result(left)
            self._server.should_exit = True

        threading.Thread(target=finish, name="stop", daemon=True).start()
        return self._left

    def _terminate_everything(self) -> Unended:
        """Here the runner has the last word; what EC2 has not confirmed is asked for again by the next engine."""
        grace_s = 0.0
        try:
            grace_s = terminate_everything(self.engine)
        except SpawnError:
            _log.exception("not everything could be terminated one by one; the runner ends it all")
        try:
            self.ec2.terminate_all(_EC2_WITHIN_S)
            wait_until_nothing_runs(self.engine, grace_s)
        except SpawnError:
            _log.exception("it could not be seen whether everything has ended")
        return self.ec2.unended()

    def is_stopping(self) -> bool:
        """Whether it is about to end."""
        return self._stopping or self._server.should_exit

    def run(self, ready: Any) -> None:
        """Serve until stopped or idle for long; `ready` is called when the first answer can be given."""
        # what was imported stays; and most of what a turn makes is gone at its end, so looking for cycles often finds nothing
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)
        self.provider.connect(self.engine.wake)
        if self._terminating:
            self.engine.tell(terminate_all)
        self.engine.turn()
        loop = threading.Thread(target=self.engine.run, name="engine")
        sock = listen(self._socket_path)
        self._socket_inode = self._socket_path.stat().st_ino
        loop.start()
        threading.Thread(target=self._watch_over, name="watch", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            # the server ends in good order at these signals and then raises them again: by then they have done their work
            signal.signal(number, lambda *_: None)
        self.endpoint.resume()
        ready()
        try:
            self._server.run(sockets=[sock])
        finally:
            if self._is_reachable():
                self._socket_path.unlink(missing_ok=True)
            self._ended.set()
            self.endpoint.shut()
            self.engine.close()
            loop.join()
            # an engine that retires takes its runner along, which has nothing to do either; instances on EC2 end by themselves
            self.provider.close(terminate=self._terminate or self._retired, grace_s=5.0)
            self.ec2.close(terminate=False, grace_s=5.0)
            self.store.close()

    def _is_reachable(self) -> bool:
        """Whether the socket is still where clients look for it."""
        try:
            return self._socket_path.stat().st_ino == self._socket_inode
        except OSError:
            return False

    def _watch_over(self) -> None:
        """End when nobody can reach this engine any more, when its store is gone, or when it has had nothing to do for long."""
        while not self._ended.wait(_LOOK_EVERY_S):
            if self.is_stopping():
                return
            if not self._is_reachable() or not self.store.is_in_place():
                _log.error("the socket or the store was removed: ending; what runs goes on, and the next engine takes it over")
                self.stop(terminate=False)
                return
            self.endpoint.resume()
            if self._retires():
                _log.info("nothing to do for %.0f s: ending", self.idle_exit.total_seconds())
                self._retired = True
                self.stop(terminate=False)
                return

    def _retires(self) -> bool:
        """Whether this engine has had nothing to do for long, and so takes no more commands from now on. Instances on EC2 are not left before their end."""
        if time.monotonic() - self._seen < self.idle_exit.total_seconds():
            return False
        try:
            return self.engine.retire_if(lambda state: state.is_idle() and not self.endpoint.is_wanted and not self.ec2.is_busy())
        except SpawnError:
            return False


def list_prices() -> ListPrices:
    """EC2's prices in its oldest region by the table shipped with spawn; what reads it is imported when the first price is asked for."""
    region = "us-east-1"

    def of_type(name: str) -> Price | None:
        from spawn.providers.ec2.prices import shipped_price

        return shipped_price(region, name)

    def of_volumes() -> float:
        from spawn.providers.ec2.prices import shipped_volume_price

        price = shipped_volume_price(region)
        assert price is not None, "the table has this region"
        return price.usd

    return ListPrices(region=region, of_type=of_type, of_volumes=of_volumes, volume_gib=8)


def run_engine(state_dir: Path, ready_fd: int, *, terminating: bool = False) -> int:
    """The engine's process: take the lock, start, say so on `ready_fd`, serve. The exit code."""
    try:
        lock = _take_lock_or_find_other(state_dir)
        if lock is None:
            _say(ready_fd, {"ready": True})
            return 0
        process = EngineProcess(state_dir, terminating=terminating)
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


def _take_lock_or_find_other(state_dir: Path) -> int | None:
    """Hold the lock of this state directory for as long as the process lives; None when another engine answers there."""
    make_own(state_dir)
    until = time.monotonic() + _OTHER_ENGINE_WITHIN_S
    while (lock := take_lock(state_dir / LOCK_NAME)) is None:
        sock = connect(state_dir / SOCKET_NAME)
        if sock is not None:
            sock.close()
            return None
        if time.monotonic() > until:
            holder = (state_dir / LOCK_NAME).read_text().strip()
            raise Unavailable(f"the engine of process {holder} holds {state_dir / LOCK_NAME} but does not answer: `kill {holder}` ends it, then try again")
        time.sleep(0.02)
    return lock


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
    engine.add_argument("--terminating", action="store_true")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("uvicorn", "botocore", "boto3", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return run_engine(given.state_dir, given.ready_fd, terminating=given.terminating)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    # a thread that waits for an answer of AWS would keep the process for as long as that takes; what is to be kept is written
    os._exit(code)
