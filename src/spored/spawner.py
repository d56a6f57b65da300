"""Private /tmps without the rights of root: one helper process in a user namespace, in which it may mount, makes the children there.

A fork into a namespace of its own for every child would cost five times as much. The helper's children descend from the runner all the same.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Any, Callable, NamedTuple, NoReturn

from spored import launching, sandbox
from spored.attempts import Exit
from spored.errors import Refused
from spored.family import Family
from spored.frames import Channel
from spored.home import log
from spored.launching import InProcess, Request, Template
from spored.loop import Loop
from spored.usage import exit_of


class Listener(NamedTuple):
    """Who is told what became of the attempts given to a spawner, by attempt id."""

    started: Callable[[str, int], None]
    refused: Callable[[str, str], None]
    exited: Callable[[str, Exit], None]
    lost: Callable[[list[str]], None]


class Spawner:
    """The runner's side. When the helper dies, its attempts are lost, and the next launch makes a new one."""

    def __init__(self, loop: Loop, family: Family, lock: int) -> None:
        """`lock`: the descriptor of the runner's lock, which the helper holds too: as long as it may start something, there is no next runner."""
        self._lock = lock
        self._loop = loop
        self._family = family
        self._channel: Channel | None = None
        self._templates: dict[int, Template] = {}
        self._attempts: set[str] = set()
        self.listener: Listener | None = None
        self.pid = 0

    def launch(self, request: Request, _log: int) -> int:
        """Have the child made; what came of it is told later."""
        channel = self._channel or self._start()
        template = request.template
        if self._templates.get(id(template)) is not template:
            self._templates[id(template)] = template
            channel.send(("template", id(template), tuple(template)))
        self._attempts.add(request.id)
        channel.send(("launch", id(template), tuple(request._replace(template=None))))  # type: ignore[arg-type]
        return 0

    def tidy(self) -> None:
        if self._channel is not None:
            self._channel.send(("tidy", None, None))

    def _start(self) -> Channel:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            _be_spawner(theirs, self._lock)
        theirs.close()
        self._family.add(self.pid, lambda status: log(f"the spawner ended with status {status}"))
        self._channel = Channel(self._loop, ours, self._hear, self._ended)
        return self._channel

    def _hear(self, message: tuple[Any, ...]) -> None:
        assert self.listener is not None
        kind, attempt, what = message
        if kind == "started":
            self.listener.started(attempt, what)
            return
        self._attempts.discard(attempt)
        if kind == "refused":
            self.listener.refused(attempt, what)
        else:
            self.listener.exited(attempt, Exit(*what))

    def _ended(self) -> None:
        assert self.listener is not None
        self._channel = None
        self._templates.clear()
        attempts, self._attempts = self._attempts, set()
        self.listener.lost(sorted(attempts))


def _be_spawner(peer: socket.socket, lock: int) -> NoReturn:
    """The rest of the life of a forked process."""
    try:
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in (0, 1, 2, peer.fileno(), launching.NULL, lock):
                try:
                    os.close(int(name))
                except OSError:
                    pass
        os.chdir("/")
        sandbox.enter_user_namespace()
        _Maker(peer).run()
    except BaseException as error:
        log(f"the spawner failed: {error!r}")
    finally:
        os._exit(1)


class _Maker:
    """The helper's side: makes children as it is told, and tells how they end. When the runner is gone, it kills them."""

    def __init__(self, peer: socket.socket) -> None:
        nothing: dict[int, Callable[[], None]] = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ), _ignore)
        self._loop = Loop({**nothing, signal.SIGCHLD: self._reap})
        self._channel = Channel(self._loop, peer, self._hear, self._orphaned)
        self._launcher = InProcess(namespaces=True, visits=None)
        self._templates: dict[int, Template] = {}
        self._children: dict[int, str] = {}
        self._done = False

    def run(self) -> None:
        while not self._done:
            self._loop.turn()

    def _hear(self, message: tuple[Any, ...]) -> None:
        kind, number, fields = message
        if kind == "tidy":
            self._launcher.tidy()
            return
        if kind == "template":
            self._templates[number] = Template(*fields)
            return
        request = Request(*fields)._replace(template=self._templates[number])
        try:
            log_file = os.open(request.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                pid = self._launcher.launch(request, log_file)
            finally:
                os.close(log_file)
        except Refused as error:
            self._channel.send(("refused", request.id, str(error)))
        except OSError as error:
            self._channel.send(("refused", request.id, f"its log cannot be written: {error.strerror}"))
        else:
            self._children[pid] = request.id
            self._channel.send(("started", request.id, pid))

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            attempt = self._children.pop(pid, None)
            if attempt is not None:
                self._channel.send(("exited", attempt, tuple(exit_of(status, usage))))

    def _orphaned(self) -> None:
        for pid in self._children:
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                continue
        self._done = True


def _ignore() -> None:
    pass
