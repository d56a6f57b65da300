"""What the engine and the scripts may ask, and the answers: the socket side of docs/wire.md."""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import Callable, NamedTuple

from spored import WIRE, __version__, cgroups, events
from spored.attempts import Array, Attempt, Begun, Entry, Verdict
from spored.errors import CONFLICT, CONTAINER_ERRORS, NOT_FOUND, BadMessage
from spored.home import Home, log
from spored.journal import Journal
from spored.lifecycle import Lifecycle
from spored.loop import now
from spored.messages import Message, ids_of, key_of, pairs_of, parse, placement_of, started_by
from spored.server import Connection, Server
from spored.specs import count, member, parse_spec, path, seconds, spec_of_remains


class Identity(NamedTuple):
    """What a runner says of itself."""

    boot: str
    features: dict[str, str | None]


class Control:
    """Understands lines. A line that is wrong anywhere is answered with `error` and not acted on at all."""

    def __init__(self, home: Home, identity: Identity, journal: Journal, lifecycle: Lifecycle, begun: Begun) -> None:
        self._home = home
        self._identity = identity
        self._journal = journal
        self._lifecycle = lifecycle
        self._begun = begun
        self._arrays: dict[str, Array] = {}
        self._unclear: dict[str, str] = {}  #: what was wrong with the last description of an array
        self._forgotten: set[str] = set()  #: dropped as soon as nothing of them waits, runs or is kept
        self.server: Server | None = None
        self.shutdown: Callable[[float], None] = lambda _: None
        self.closing = False
        self._ops: dict[str, Callable[[Connection, Message], None]] = {
            "hello": self._hello,
            "array": self._array,
            "start": self._start,
            "stop": self._stop,
            "drop": self._drop,
            "release": self._release,
            "deadline": self._deadline,
            "limit": self._limit,
            "ack": self._ack,
            "forget": self._forget,
            "shutdown": self._shutdown,
            "complete": self._complete,
            "status": self._status,
            "running": self._container_runs,
            "contained": self._container_ended,
        }

    def hear(self, connection: Connection, line: bytes) -> None:
        """Act on one line."""
        message: Message = {}
        try:
            message = parse(line)
            op = self._ops.get(message["op"])
            if op is None:
                raise BadMessage(f"unknown op {message['op'][:60]!r}")
            op(connection, message)
        except BadMessage as error:
            self._answer_error(connection, message, str(error))
        except Exception as error:
            # A fault of this program in one request must not cost the attempts that run.
            log(f"a request failed: {traceback.format_exc()}")
            self._answer_error(connection, message, f"the runner failed at this: {error!r}")

    def _answer_error(self, connection: Connection, message: Message, text: str) -> None:
        """What was to start with this line never will: the journal says so, or the engine would wait for ever."""
        if not self.closing:
            for key, position, attempt in started_by(message):
                if self._begun.add(key, position, attempt):
                    self._journal.write(events.refused(f"{key}:{position}:{attempt}", f"CannotStartContainerError: the runner did not understand it: {text}"))
        connection.send({"op": "error", "message": text})

    # --- the engine

    def _hello(self, connection: Connection, message: Message) -> None:
        if member(message, "wire", int) != WIRE:
            raise BadMessage(
                f"the engine speaks wire {message['wire']}, this runner (process {os.getpid()}, version {__version__}) wire {WIRE}: "
                f"use the version that started it, or `kill {os.getpid()}` to end it with all that it runs"
            )
        member(message, "engine", int)
        self._lifecycle.room.set(count(message, "cpus"), count(message, "memory"))
        assert self.server is not None
        self.server.take_engine(connection)
        connection.send(
            {
                "op": "welcome",
                "wire": WIRE,
                "pid": os.getpid(),
                "version": __version__,
                "boot": self._identity.boot,
                "journal": self._journal.identity,
                "queued": self._lifecycle.waiting.ids(),
                "running": list(self._lifecycle.running),
                "features": self._identity.features,
            }
        )
        connection.send({"op": "grew", "segment": self._journal.segment, "offset": self._journal.offset})

    def _array(self, _: Connection, message: Message) -> None:
        key = key_of(message)
        try:
            spec = parse_spec(member(message, "spec", dict))
        except BadMessage as error:
            self._unclear[key] = str(error)
            raise
        self._unclear.pop(key, None)
        self._forgotten.discard(key)
        array = self._arrays.get(key)
        if array is None:
            self._arrays[key] = Array(key, spec)
        else:
            array.describe(spec)
        # For the next runner, which finds the remains of this one's attempts by it.
        note = os.path.join(self._home.arrays, key)
        try:
            with open(note, "w", encoding="ascii") as file:
                json.dump({"directory": spec.directory, "keep": spec.keep}, file)
        except OSError:
            pass  # it only helps to tidy up after a crash; a full disk shows itself at the first start

    def _described(self, message: Message) -> Array:
        key = key_of(message)
        array = self._arrays.get(key)
        if array is None:
            raise BadMessage(f"array {key} has not been described")
        return array

    def _start(self, _: Connection, message: Message) -> None:
        if self.closing:
            raise BadMessage("the runner is shutting down and starts nothing")
        if (unclear := self._unclear.get(key_of(message))) is not None:
            raise BadMessage(f"array {message['key']} was described wrongly: {unclear}")
        array = self._described(message)
        size = array.spec.size
        placement = placement_of(message)
        children = member(message, "children", list)
        for child in children:
            if type(child) is not list or len(child) != 3 or any(type(number) is not int for number in child):
                raise BadMessage(f"a child must be [position, index, attempt], not {str(child)[:60]}")
            if not 0 <= child[0] < size or child[1] < 0 or child[2] < 1:
                raise BadMessage(f"no child of array {array.key} (size {size}) is {child}")
        for position, index, attempt in children:
            if self._begun.add(array.key, position, attempt):
                self._lifecycle.waiting.add(Entry(f"{array.key}:{position}:{attempt}", array, position, attempt, index, placement))

    def _stop(self, _: Connection, message: Message) -> None:
        why = member(message, "why", str)
        if why not in ("stopped", "ttl"):
            raise BadMessage(f"why must be stopped or ttl, not {why[:60]!r}")
        grace = seconds(message, "grace_s")
        for identity in ids_of(message):
            running = self._lifecycle.running.get(identity)
            if running is not None:
                self._lifecycle.stop(running, why, grace)
            else:
                self._lifecycle.drop(identity)

    def _drop(self, _: Connection, message: Message) -> None:
        for identity in ids_of(message):
            self._lifecycle.drop(identity)

    def _release(self, _: Connection, message: Message) -> None:
        key = key_of(message)
        keep_files = member(message, "keep_files", bool)
        unknown = Array(key, spec_of_remains(path(message, "directory")))
        lifecycle = self._lifecycle
        for identity, index in list(pairs_of(message, key)):
            kept = lifecycle.kept.get(identity)
            running = lifecycle.running.get(identity)
            if kept is not None:
                lifecycle.release(kept, keep_files)
            elif running is not None:
                lifecycle.give_up(running, keep_files)
            elif not lifecycle.drop(identity):
                self._release_unknown(unknown, identity, index, keep_files)

    def _release_unknown(self, array: Array, identity: str, index: int, keep_files: bool) -> None:
        """Of a former runner's time: its processes are known by their marks, its files by their names."""
        _, position, number = identity.split(":")
        attempt = Attempt(Entry(identity, array, int(position), int(number), index), 0.0)
        attempt.over = True
        attempt.cgroup = cgroups.former(self._home.path).get(identity)
        self._lifecycle.release(attempt, keep_files)

    def _deadline(self, _: Connection, message: Message) -> None:
        at = seconds(message, "at")
        for identity in ids_of(message):
            attempt = self._lifecycle.running.get(identity) or self._lifecycle.kept.get(identity)
            if attempt is not None:
                self._lifecycle.set_deadline(attempt, at)
            elif identity in self._lifecycle.waiting:
                self._lifecycle.deadlines[identity] = at

    def _limit(self, _: Connection, message: Message) -> None:
        array = self._described(message)
        array.limit = None if message.get("max_concurrent") is None else count(message, "max_concurrent")

    def _ack(self, _: Connection, message: Message) -> None:
        count(message, "offset")
        self._journal.acknowledge(count(message, "segment"))

    def _forget(self, _: Connection, message: Message) -> None:
        self._forgotten.add(key_of(message))
        busy = {identity[:10] for identity in (*self._lifecycle.waiting.ids(), *self._lifecycle.running, *self._lifecycle.kept)}
        for key in self._forgotten - busy:
            self._forgotten.discard(key)
            self._unclear.pop(key, None)
            self._arrays.pop(key, None)
            try:
                os.unlink(os.path.join(self._home.arrays, key))
            except OSError:
                pass

    def _shutdown(self, _: Connection, message: Message) -> None:
        self.shutdown(seconds(message, "grace_s"))

    # --- scripts

    def _complete(self, connection: Connection, message: Message) -> None:
        identity = member(message, "a", str)
        status = member(message, "status", str)
        said = None if message.get("message") is None else member(message, "message", str)
        if status not in ("success", "failure"):
            raise BadMessage(f"status must be success or failure, not {status[:60]!r}")
        attempt = self._lifecycle.running.get(identity)
        if attempt is None or attempt.over:
            ended = attempt is not None or identity in self._lifecycle.kept
            text = f"attempt {identity} has already ended" if ended else f"no attempt {identity} runs here"
            connection.send({"op": "declined", "exit": CONFLICT if ended else NOT_FOUND, "message": text})
        elif attempt.completed not in (None, status):
            connection.send({"op": "declined", "exit": CONFLICT, "message": f"this attempt has already been completed as {attempt.completed}"})
        else:
            if attempt.completed is None:
                self._lifecycle.complete(attempt, status, said)
            if self._journal.pending:
                self._journal.after_flush(lambda: connection.send({"op": "recorded"}))
            else:
                connection.send({"op": "recorded"})

    # --- supervisors

    def _supervised(self, message: Message) -> Attempt:
        identity = member(message, "a", str)
        attempt = self._lifecycle.running.get(identity)
        if attempt is None or attempt.placement.engine is None:
            raise BadMessage(f"no container of attempt {identity[:60]} runs here")
        return attempt

    def _container_runs(self, connection: Connection, message: Message) -> None:
        self._lifecycle.runs(self._supervised(message))
        connection.send({"op": "recorded"})

    def _container_ended(self, connection: Connection, message: Message) -> None:
        attempt = self._supervised(message)
        refused = None if message.get("refused") is None else member(message, "refused", str)
        if refused is not None and not refused.startswith(CONTAINER_ERRORS):
            raise BadMessage(f"refused must begin with one of {', '.join(CONTAINER_ERRORS)}, not {refused[:60]!r}")
        code = None if message.get("code") is None else count(message, "code") & 0xFF
        attempt.verdict = Verdict(refused, code, member(message, "oom", bool), member(message, "removed", bool))
        connection.send({"op": "recorded"})

    def _status(self, connection: Connection, message: Message) -> None:
        identity = member(message, "a", str)
        attempt = self._lifecycle.running.get(identity) or self._lifecycle.kept.get(identity)
        if attempt is None:
            connection.send({"op": "declined", "exit": NOT_FOUND, "message": f"no attempt {identity} runs here"})
            return
        elapsed, left = attempt.times(now())
        spec = attempt.spec
        connection.send(
            {
                "op": "status",
                "index": attempt.index if spec.is_array else None,
                "size": spec.size if spec.is_array else None,
                "array": spec.id,
                "attempt": attempt.number,
                "name": spec.name,
                "elapsed_s": round(elapsed, 3),
                "ttl_left_s": None if left is None else round(left, 3),
                "deadline": None if left is None else round(time.time() + left, 3),
            }
        )
